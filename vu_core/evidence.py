"""What a model is measured by, drawn or answered: the same steps before and after edits, whatever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vu_core.cache import ContentCache
from vu_core.examining import Examiners, FindingsFile
from vu_core.metrics import Subject

if TYPE_CHECKING:
    from vu_core.context import RunContext
    from vu_core.edits import Edit
    from vu_core.evaluation import AllExamined
    from vu_core.evaluationplan import EvaluationPlan
    from vu_core.interfaces import Scorer
    from vu_core.judging import Judged
    from vu_core.types import Result

Others = Literal["retrained", "unlearned", "untrained"]
"""Models that never learned what is forgotten; that forgot it by the same unlearner; that learned nothing."""


@dataclass(frozen=True, kw_only=True)
class Evidence(ABC):
    """What a protocol asks for, of one model.

    Attributes:
        stage: What obtaining it is called in the record: ``"sample"`` before and after.
        plan: What is drawn or asked, who judges it, what is computed.
        model: Offers what the protocol needs.
        folder: The run's folder, where all of it is kept.
        ctx: Shows progress.
        cache: What it has is taken from there, and what is new is put there.
    """

    stage: ClassVar[str]

    plan: EvaluationPlan
    model: Any
    folder: Path
    ctx: RunContext
    cache: ContentCache = field(default_factory=ContentCache.of_user)

    @abstractmethod
    def obtain(self, name: str, edits: Sequence[Edit]) -> dict[str, int]:
        """Draw or ask with ``edits`` in effect and keep the outcome as ``name``; return what was counted."""

    @abstractmethod
    def measure(
        self,
        scorers: Mapping[str, Scorer],
        *,
        compared: bool,
        others: Mapping[Others, int],
        watch: Callable[[str, Judged], None],
    ) -> tuple[list[Result], list[str]]:
        """Return the results of every metric on what was obtained, and a sentence for every one that failed.

        Args:
            scorers: The judges by role; none where nothing is judged.
            compared: Whether there is something after; otherwise what was before is measured alone.
            others: How many other models were asked, by what they are.
            watch: Called with ``"before"`` or ``"after"`` and every batch.
        """

    def others(self, edits: Sequence[Edit]) -> dict[Others, tuple[Edit, ...]]:
        """Return the other models that ``edits`` are held against, each an edit of the base model; none by default."""
        return {}

    def obtain_others(self, kind: Others, edits: Sequence[Edit]) -> dict[str, int]:
        """Obtain the same of other models, each an edit of the base model; return what was counted."""
        total, names = {"models": len(edits)}, names_of(kind, len(edits))
        add_up(total, (self.obtain(name, (edit,)) for name, edit in zip(names, edits, strict=True)))
        return total

    @cached_property
    def examiners(self) -> Examiners:
        """The metrics that examine models themselves; none of them makes it false."""
        return Examiners(self.plan.metrics, self.cache)

    def examine(self, name: str, edits: Sequence[Edit], original: Sequence[Edit]) -> dict[str, int]:
        """Let metrics examine the model that ``edits`` make; keep what they find as ``name``; return what was counted.

        ``original`` was in effect before unlearning.
        """
        plan = self.plan
        subject = Subject(
            model=self.model,
            edits=tuple(edits),
            original=tuple(original),
            dataset=plan.dataset,
            samples=plan.samples,
            ctx=self.ctx,
        )
        return self.examiners.examine(subject, self._findings(name), label=f"examining {name}")

    def examined(self, names: Sequence[str]) -> AllExamined:
        """Return what metrics found out about the models kept as ``names``."""
        return {name: self._findings(name).read() for name in names} if self.examiners else {}

    def _findings(self, name: str) -> FindingsFile:
        return FindingsFile(self.folder / "examined" / f"{name}.json")

    @abstractmethod
    def sheet(self, *, compared: bool) -> None:
        """Draw for people what was obtained, into the folder; without what came after where nothing is ``compared``.

        Raises:
            RunError: The file cannot be written.
        """


def add_up(total: dict[str, int], counts: Iterable[Mapping[str, int]]) -> None:
    """Add what is counted of several models, one after another, to ``total``, which an interruption leaves as it is.

    Example:
        >>> total = {"models": 2}
        >>> add_up(total, [{"computed": 2, "cached": 0}, {"computed": 1, "cached": 0}])
        >>> total
        {'models': 2, 'computed': 3, 'cached': 0}
    """
    for count in counts:
        for key, number in count.items():
            total[key] = total.get(key, 0) + number


def names_of(kind: Others, count: int) -> list[str]:
    """Return what the outcomes of ``count`` other models are kept as."""
    return [f"{kind}-{number}" for number in range(count)]
