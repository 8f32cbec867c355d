"""What the judges saw in each picture, one line a sample: ``verdicts.jsonl`` of a run's folder.

A line::

    {"sample": "cat-noto-0", "cluster": "cat-noto", "attributes": {"object": "cat", "style": "noto"},
     "prompt": "a cat in noto style", "seed": 3,
     "before": {"object": "cat", "style": "noto", "clip": 0.41}, "after": {"object": "dog", ...}}

A verdict is a class, a number where the judge compares picture and prompt, or a detector's list of labels with
their scores. What a judge could not say is left out, and so are features.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.errors import RunError
from vu_core.files import write_text
from vu_core.interfaces import Answers, Classes, Detections

if TYPE_CHECKING:
    from vu_core.judging import Judged

VERDICTS_FILE = "verdicts.jsonl"

Seen = str | float | Sequence[tuple[str, float]]
"""Class, number, or what was detected."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judges saw in the two pictures of one sample.

    Attributes:
        sample: The sample's id.
        cluster: Samples of one prompt share it.
        attributes: What the prompt asks to see, or a dataset's picture shows, by kind.
        prompt: Text given to the model; empty where an older vu did not write it.
        seed: Seed of the initial noise; None where an older vu did not write it.
        before: What was seen by the judge's role, of the base model's picture.
        after: The same of the edited model's picture.
        split: Of a dataset's picture, about which a classifier was asked: what it answered stands by its kind.
        synonym: Whether the prompt asks for a forgotten concept in other words than its own.
    """

    sample: str
    cluster: str
    attributes: Mapping[str, str]
    prompt: str = ""
    seed: int | None = None
    before: dict[str, Seen] = field(default_factory=dict)
    after: dict[str, Seen] = field(default_factory=dict)
    split: str = ""
    synonym: bool = False


class Verdicts:
    """Collects verdicts while pictures are judged; in the order in which samples are first seen."""

    def __init__(self) -> None:
        self._found: dict[str, Verdict] = {}

    def watch(self, name: str, judged: Judged) -> None:
        """Add a batch of the pictures called ``name``: ``"before"`` or ``"after"``."""
        scores = judged.batch.scores if judged.batch else {}
        seen = {
            score.kind if isinstance(score, Answers) else role: _plain(score, len(judged.samples))
            for role, score in scores.items()
        }
        for i, sample in enumerate(judged.samples):
            row = self._found.setdefault(
                sample.id,
                Verdict(
                    sample=sample.id,
                    cluster=sample.cluster,
                    attributes=dict(sample.attributes),
                    prompt=sample.prompt,
                    seed=sample.seed,
                    split=sample.split,
                    synonym=sample.synonym,
                ),
            )
            getattr(row, name).update({role: values[i] for role, values in seen.items() if i in values})

    def write(self, path: Path) -> None:
        """Write them as JSON lines, atomically.

        Raises:
            RunError: The file cannot be written.
        """
        write_text(path, "".join(json.dumps(asdict(row)) + "\n" for row in self._found.values()))


def read_verdicts(folder: Path) -> Iterator[Verdict]:
    """Yield the verdicts of a run's folder, one a sample.

    Raises:
        RunError: There are none, or they are damaged.
    """
    path = folder / VERDICTS_FILE
    try:
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                yield Verdict(**json.loads(line))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"'{path}' cannot be read: {error}", hint="Run it again: 'vu run --resume --out'.") from error


def _plain(score: Any, count: int) -> dict[int, Seen]:
    """Return what was seen by position; without numbers that are not finite, nothing of features."""
    if isinstance(score, Classes):
        return dict(enumerate(score.labels()))
    if isinstance(score, Answers):
        return {i: score.names[place] for i, place in enumerate(score.logits.argmax(dim=1).tolist())}
    if isinstance(score, Detections):
        return dict(enumerate(score.found))
    # Features are not turned into lists: a batch of them may be gigabytes.
    values = score.tolist() if getattr(score, "ndim", 0) == 1 else []
    if len(values) != count or not all(isinstance(value, float) for value in values):
        return {}
    return {i: value for i, value in enumerate(values) if math.isfinite(value)}
