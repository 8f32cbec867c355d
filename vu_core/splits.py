"""Which picture is in which split, and which belong to a set to forget: a function of a seed, its id and shares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from vu_core.errors import ConfigError

if TYPE_CHECKING:
    from vu_core.interfaces import Split

TRAIN: Split = "train"
VALIDATION: Split = "validation"
TEST: Split = "test"
MEMBERSHIP: Split = "membership"
SALUN, SAMPLES = "salun", "samples"


def share(default: float, of: str) -> float:
    """Return the field of an option that is a share of the pictures, in [0, 1).

    Args:
        default: Its default.
        of: Which pictures, as its help says it.
    """
    found: float = field(default=default, metadata={"help": f"Share of the pictures {of}.", "ge": 0, "lt": 1})
    return found


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Which pictures of a dataset are in which split, and which make up a set of samples to forget.

    A picture's split depends on the seed, its id and the shares alone, not on what else is there; except by time, and
    with ``split=salun``, which draws as published.
    """

    split: Literal["source", "random", "temporal", "salun"] = field(
        default="source",
        metadata={
            "help": "The source's own splits, and random ones where it has none; random ones for all; by time: "
            "the newest pictures are for testing; or salun: as the code of Unlearn-Sparse and SalUn draws them, a "
            "share of each class for validation, and 'samples' by number."
        },
    )
    seed: int = field(default=0, metadata={"help": "Seed of random splits.", "ge": 0})
    validation: float = share(0.1, "for validation, where the source has no such split")
    test: float = share(0.1, "for testing, where the source has no such split")
    membership: float = share(0.1, "that nothing learns from, for membership attacks")
    samples: float = share(0.0, "to learn from that make up the concept 'samples:random', which prompts do not show")
    indices: str = field(
        default="",
        metadata={
            "help": "File that lists the pictures that make up the concept 'samples:listed': a JSON list, or one a "
            "line, of ids, or of their places among the pictures that the source has for training, from 0."
        },
    )

    def __post_init__(self) -> None:
        if self.validation + self.test + self.membership >= 1:
            raise ValueError("validation, test and membership leave nothing to learn from: their sum must be below 1")
        if self.split == SALUN and self.seed < 1:
            raise ValueError("split=salun needs a seed above 0: it draws samples with the seed below; published is 2")


@lru_cache(maxsize=1 << 17)  # metrics and datasets ask for the same pictures many times in a run
def draw(seed: int, purpose: str, id_: str) -> float:
    """Return a number in [0, 1) that looks random, is always the same, and is another for each purpose."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{id_}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def assign(
    sources: Mapping[str, str],
    options: SplitOptions,
    times: Mapping[str, str | float] | None = None,
    classes: Mapping[str, int] | None = None,
) -> dict[str, Split]:
    """Return the split of every picture, by id.

    Args:
        sources: By id, the split that the source itself puts a picture in; empty where it has none.
        options: How to split.
        times: By id, when a picture was made.
        classes: By id, the number of a picture's class.

    Raises:
        ConfigError: A split by time is asked for, but the source gives no times; or one of each class, but it gives no
            classes or has no pictures for testing.

    Example:
        >>> assign({"a": "train", "b": "test"}, SplitOptions(validation=0, membership=0))
        {'a': 'train', 'b': 'test'}
    """
    if options.split == "temporal":
        return _by_time(list(sources), options, times or {})
    if options.split == SALUN:
        return _of_each_class(sources, options, classes or {})
    given = dict.fromkeys(sources, "") if options.split == "random" else sources
    named: dict[str, Split] = {VALIDATION: VALIDATION, TEST: TEST}
    fixed = {id_: named[split] for id_, split in given.items() if split in named}
    lacking = [part for part in (VALIDATION, TEST) if part not in fixed.values()]
    drawn = _drawn((id_ for id_ in given if id_ not in fixed), (*lacking, MEMBERSHIP), options)
    return {id_: fixed[id_] if id_ in fixed else drawn[id_] for id_ in sources}


def _by_time(ids: Sequence[str], options: SplitOptions, times: Mapping[str, str | float]) -> dict[str, Split]:
    lacking = [id_ for id_ in ids if id_ not in times]
    if lacking:
        raise ConfigError(
            f"split=temporal was asked for, but {len(lacking)} of {len(ids)} pictures have no time",
            hint="Name the column that holds it, as in --data time=date, or use another split.",
        )
    ordered = sorted(ids, key=lambda id_: (times[id_], id_))
    last = len(ids) - round(len(ids) * options.test)
    first = last - round(len(ids) * options.validation)
    later: dict[str, Split] = {}
    later |= dict.fromkeys(ordered[first:last], VALIDATION) | dict.fromkeys(ordered[last:], TEST)
    drawn = _drawn(ordered[:first], (MEMBERSHIP,), options)
    return {id_: later[id_] if id_ in later else drawn[id_] for id_ in ids}


def draw_samples(learned: Sequence[str], options: SplitOptions) -> frozenset[str]:
    """Return which pictures make up the concept ``samples:random``.

    Each is drawn for itself, so that their number is about `SplitOptions.samples` of all; with ``split=salun`` their
    number is that, and they are the ones that the released code draws (see `_of_each_class`).

    Args:
        learned: The ids of the training pictures, in the source's order.
        options: The share, the seed and the split.
    """
    if not options.samples:
        return frozenset()
    if options.split != SALUN:
        return frozenset(id_ for id_ in learned if draw(options.seed, SAMPLES, id_) < options.samples)
    from numpy.random import RandomState

    places = RandomState(options.seed - 1).choice(len(learned), round(options.samples * len(learned)), replace=False)
    return frozenset(learned[place] for place in places)


def _of_each_class(sources: Mapping[str, str], options: SplitOptions, classes: Mapping[str, int]) -> dict[str, Split]:
    """Split as the released code of Unlearn-Sparse and SalUn does, with one seed for all stages.

    It sets a share of each class apart for validation, class after class, with one of numpy's old generators
    (github.com/OPTML-Group/Unlearn-Saliency, Classification/dataset.py). No part is kept for membership attacks.
    """
    from numpy.random import RandomState

    found: dict[str, Split] = {id_: TEST if split == TEST else TRAIN for id_, split in sources.items()}
    learned = [id_ for id_, split in found.items() if split == TRAIN]
    if len(learned) == len(found) or any(id_ not in classes for id_ in learned):
        raise ConfigError(
            "split=salun is for datasets of one class a picture, with pictures for testing",
            hint="Use another split, as in --data split=random.",
        )
    of_class: dict[int, list[str]] = {}
    for id_ in learned:
        of_class.setdefault(classes[id_], []).append(id_)
    generator = RandomState(options.seed)
    for _, members in sorted(of_class.items()):
        for place in generator.choice(len(members), int(options.validation * len(members)), replace=False):
            found[members[place]] = VALIDATION
    return found


def _drawn(ids: Iterable[str], parts: Sequence[Split], options: SplitOptions) -> dict[str, Split]:
    """Draw each picture into one of ``parts``, by their shares, or into ``train``."""
    shares = {VALIDATION: options.validation, TEST: options.test, MEMBERSHIP: options.membership}
    found: dict[str, Split] = {}
    for id_ in ids:
        place = draw(options.seed, "split", id_)
        found[id_] = TRAIN
        for part in parts:
            if place < shares[part]:
                found[id_] = part
                break
            place -= shares[part]
    return found
