"""A classifier's answers to a dataset's pictures before and after an edit, measured against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vu_core.answers import AnswerFile, Question, answer
from vu_core.evaluation import AFTER, BEFORE, Meters
from vu_core.evidence import Evidence, Others, names_of
from vu_core.interfaces import MODEL, Batch, Retrains
from vu_core.judging import Judged
from vu_core.retrained import read_retrained, read_unlearned, untrained_edits

if TYPE_CHECKING:
    from vu_core.edits import Edit
    from vu_core.interfaces import Scorer
    from vu_core.types import Result

_BATCH = 4096


@dataclass(frozen=True, kw_only=True)
class AnsweredEvidence(Evidence):
    """What a protocol asks a classifier, a model that offers `Classifies`; answers lie in ``answers`` in the folder."""

    stage = "answer"

    def obtain(self, name: str, edits: Sequence[Edit]) -> dict[str, int]:
        """Ask the model with ``edits`` in effect; keep its answers as ``name``. Return how many were computed."""
        return answer(
            self.model,
            edits,
            self._question,
            self.answers(name),
            self.ctx,
            cache=self.cache,
            label=f"asking {name}",
        )

    def others(self, edits: Sequence[Edit]) -> dict[Others, tuple[Edit, ...]]:
        """Return the retrained models that ``edits`` are held against, and the others that a metric compares with."""
        found: dict[Others, tuple[Edit, ...]] = {"retrained": read_retrained(self.plan.retrained, edits)}
        compared = {use.spec.compares for use in self.plan.metrics}
        if "unlearned" in compared:
            found["unlearned"] = read_unlearned(self.plan.unlearned, edits)
        if "untrained" in compared and isinstance(self.model, Retrains):
            found["untrained"] = untrained_edits(self.model)
        return found

    def answers(self, name: str) -> AnswerFile:
        """Return the file of the answers called ``name``."""
        return AnswerFile(self.folder / "answers" / f"{name}.safetensors")

    def measure(
        self,
        scorers: Mapping[str, Scorer],
        *,
        compared: bool,
        others: Mapping[Others, int],
        watch: Callable[[str, Judged], None],
    ) -> tuple[list[Result], list[str]]:
        """Return the results of every metric on the answers, and a sentence for every one that failed."""
        beside = {kind: names_of(kind, count) for kind, count in others.items()}
        sets = [BEFORE, *([AFTER] if compared else [])]
        examined = self.examined([*sets, *beside.get("retrained", ())])
        meters = Meters(self.plan.metrics, self.plan.samples, sets, beside, examined)
        for by_set in self._batches([*sets, *(name for names in beside.values() for name in names)]):
            for name in sets:
                watch(name, by_set[name])
            meters.take(by_set)
        return meters.results(scorers), meters.problems()

    def sheet(self, *, compared: bool) -> None:
        """Draw nothing: the pictures are the dataset's own."""

    @cached_property
    def _question(self) -> Question:
        return Question.of(self.plan.samples, self.plan.dataset, self.ctx)  # type: ignore[arg-type]  # as planned

    def _batches(self, names: Sequence[str]) -> Iterator[dict[str, Judged]]:
        import torch

        read = {name: self.answers(name).read() for name in names}
        for start in range(0, len(self.plan.samples), _BATCH):
            samples = self.plan.samples[start : start + _BATCH]
            nothing = torch.empty(len(samples), 3, 0, 0, dtype=torch.uint8)
            yield {
                name: Judged(
                    samples=samples,
                    batch=Batch(
                        samples=samples,
                        images=nothing,
                        scores={MODEL: answers.at(slice(start, start + len(samples)))},
                    ),
                    failed={},
                )
                for name, answers in read.items()
            }
