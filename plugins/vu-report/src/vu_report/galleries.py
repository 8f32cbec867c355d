"""Which pictures a page shows: before and after, from one prompt and one noise, with what the judges saw."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vu_core.evaluation import AFTER, BEFORE
from vu_core.evidence_drawn import IMAGES
from vu_core.interfaces import OTHER
from vu_core.types import FORGET, NEIGHBOURS, RETAIN
from vu_core.verdicts import VERDICTS_FILE, Verdict, read_verdicts
from vu_report.pictures import MAX_PICTURES, Thumbnail, Thumbnails

T = TypeVar("T")

TITLES = {FORGET: "To be forgotten", NEIGHBOURS: "Neighbours: most alike, to be kept", RETAIN: "To be kept"}

_NOTHING = "nothing recognisable"


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture of a sample.

    Attributes:
        label: Whose it is: ``"before"``, ``"after"``, or a run's name.
        picture: None when it is missing.
        seen: What the judges saw in it; empty when they said nothing.
        alt: What a reader who does not see it is told.
        changed: Whether a judge saw another class than before.
    """

    label: str
    picture: Thumbnail | None
    seen: str
    alt: str
    changed: bool


@dataclass(frozen=True, kw_only=True)
class Figure:
    """The pictures of one sample: the base model's first.

    Attributes:
        title: Its prompt, or its name where the prompt is not known.
        noise: Which noise it was drawn from; empty where that is not known.
        shots: Before, then after each edit.
    """

    title: str
    noise: str
    shots: tuple[Shot, ...]

    @property
    def changed(self) -> bool:
        """Whether a judge saw another class in any of them than before."""
        return any(shot.changed for shot in self.shots)


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Figures of one group.

    Attributes:
        group: ``"forget"``, ``"neighbours"``, ``"retain"`` or ``""`` where all stand together.
        title: For people.
        figures: Those shown.
        total: How many samples the group has.
    """

    group: str
    title: str
    figures: tuple[Figure, ...]
    total: int

    @property
    def changed(self) -> int:
        """How many of the figures shown changed their verdict."""
        return sum(figure.changed for figure in self.figures)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the pictures after one edit come from.

    Attributes:
        label: What the page calls it.
        folder: Of the run.
    """

    label: str
    folder: Path


def galleries(
    sources: Sequence[Source], forget: Collection[str], neighbours: Collection[str], limit: int = MAX_PICTURES
) -> list[Gallery]:
    """Return the pictures of runs that share prompts and noise: before, as the first run has it, and after each.

    Args:
        sources: The runs; the first one's samples are shown.
        forget: Names of what was to be forgotten.
        neighbours: Names of what is most like it.
        limit: Pictures in all, at most.
    """
    samples = _samples(sources[0].folder)
    by_group = {group: [s for s in samples if _group(s, forget, neighbours) == group] for group in TITLES}
    found = [(group, members) for group, members in by_group.items() if members]
    sides = 1 + len(sources)
    shares = _shares([len(members) for _, members in found], limit // sides)
    thumbnails = Thumbnails(sides * sum(shares))
    return [
        Gallery(
            group=group,
            title=TITLES[group] if forget else "Pictures",
            figures=tuple(_figures(evenly(members, share), sources, thumbnails)),
            total=len(members),
        )
        for (group, members), share in zip(found, shares, strict=True)
    ]


def gallery_of_concepts(sources: Mapping[str, Sequence[Source]], each: int = 3) -> Gallery | None:
    """Return pictures of forgotten concepts: before, and after each of the runs that forgot it; None without any.

    Args:
        sources: The runs by the name of what they forgot; those of one concept share prompts and noise.
        each: Samples of a concept, at most.
    """
    sides = 1 + max(map(len, sources.values()), default=0)
    shown = evenly(list(sources), MAX_PICTURES // (sides * each))
    thumbnails = Thumbnails(sides * each * len(shown))
    figures: list[Figure] = []
    total = 0
    for concept in shown:
        samples = [s for s in _samples(sources[concept][0].folder) if concept in s.attributes.values()]
        figures += _figures(evenly(samples, each), sources[concept], thumbnails)
        total += len(samples)
    return Gallery(group="", title="What was forgotten", figures=tuple(figures), total=total) if figures else None


def evenly(items: Sequence[T], count: int) -> list[T]:
    """Return ``count`` of ``items``, spread evenly, in their order."""
    if count >= len(items):
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def _shares(sizes: Sequence[int], limit: int) -> list[int]:
    """Return how many of each group are shown: the first ones whole before the next, but some of each."""
    left, shares = limit, []
    for i, size in enumerate(sizes):
        reserved = sum(min(rest, limit // 10) for rest in sizes[i + 1 :])
        shares.append(max(0, min(size, left - reserved)))
        left -= shares[-1]
    return shares


def _samples(folder: Path) -> list[Verdict]:
    """Return the samples that have a picture, as judged, or by the names of their files where nothing was judged."""
    there = {path.stem for path in (folder / IMAGES / BEFORE).glob("*.png")}
    judged = [verdict for verdict in _verdicts(folder) if verdict.sample in there]
    return judged or [Verdict(sample=name, cluster=name, attributes={}) for name in sorted(there)]


def _verdicts(folder: Path) -> list[Verdict]:
    return list(read_verdicts(folder)) if (folder / VERDICTS_FILE).is_file() else []


def _group(sample: Verdict, forget: Collection[str], neighbours: Collection[str]) -> str:
    shown = set(sample.attributes.values())
    if shown & set(forget):
        return FORGET
    return NEIGHBOURS if shown & set(neighbours) else RETAIN


def _figures(samples: Sequence[Verdict], sources: Sequence[Source], thumbnails: Thumbnails) -> list[Figure]:
    verdicts = [{verdict.sample: verdict for verdict in _verdicts(source.folder)} for source in sources]
    return [_figure(sample, sources, verdicts, thumbnails) for sample in samples]


def _figure(
    sample: Verdict, sources: Sequence[Source], verdicts: Sequence[Mapping[str, Verdict]], thumbnails: Thumbnails
) -> Figure:
    title = sample.prompt or ", ".join(sample.attributes.values()) or sample.sample
    name = f"{sample.sample}.png"
    # The store's pictures are shared, so the base model's picture is the same in every run.
    before = thumbnails.of(sources[0].folder / IMAGES / BEFORE / name)
    shots = [_shot(BEFORE, before, sample.before, {}, title)]
    alone = not any((source.folder / IMAGES / AFTER).is_dir() for source in sources)
    for source, judged in zip(sources, verdicts, strict=True):
        verdict = judged.get(sample.sample)
        if verdict and (verdict.prompt, verdict.seed) != (sample.prompt, sample.seed):
            shots.append(_shot(source.label, None, {}, {}, title))
            continue
        after = thumbnails.of(source.folder / IMAGES / AFTER / name)
        shots.append(
            _shot(source.label, after, verdict.after if verdict else {}, verdict.before if verdict else {}, title)
        )
    noise = "" if sample.seed is None else f"seed {sample.seed}"
    return Figure(title=title, noise=noise, shots=tuple(shots[:1] if alone else shots))


def _shot(
    label: str,
    picture: Thumbnail | None,
    seen: Mapping[str, Any],
    before: Mapping[str, Any],
    title: str,
) -> Shot:
    classes = {role: value for role, value in seen.items() if isinstance(value, str)}
    earlier = {role: value for role, value in before.items() if isinstance(value, str)}
    changed = {role for role in classes if role in earlier and classes[role] != earlier[role]}
    words = ", ".join(_NOTHING if value == OTHER else value for value in classes.values())
    judged = f", judged {words}" if words else ""
    return Shot(
        label=label,
        picture=picture,
        seen=words,
        alt=f"{label}: {title}{judged}",
        changed=bool(changed),
    )
