"""A model's pictures before and after an edit, drawn into one folder and measured against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vu_core.evaluation import AFTER, BEFORE, evaluate
from vu_core.evidence import Evidence, Others
from vu_core.report import write_contact_sheet
from vu_core.sampling import Folder, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vu_core.edits import Edit
    from vu_core.evaluationplan import EvaluationPlan
    from vu_core.interfaces import Scorer
    from vu_core.judging import Judged
    from vu_core.registry import Entry
    from vu_core.specs import ScorerSpec
    from vu_core.types import Result

IMAGES = "images"


@dataclass(frozen=True, kw_only=True)
class DrawnEvidence(Evidence):
    """What a model that offers `Samples` draws: pictures in ``images/before`` and ``images/after`` of the folder."""

    stage = "sample"

    def obtain(self, name: str, edits: Sequence[Edit]) -> dict[str, int]:
        """Draw the pictures called ``name`` with ``edits`` in effect; see `vu_core.sampling.draw`."""
        return draw(
            self.model,
            edits,
            self.plan.samples,
            self.plan.protocol.sampler,  # type: ignore[arg-type]  # as planned
            self.pictures(name),
            self.ctx,
            cache=self.cache,
            label=f"drawing {name}",
        )

    def pictures(self, name: str) -> Folder:
        """Return the folder of the pictures called ``name``: `BEFORE` or `AFTER`."""
        return Folder(self.folder / IMAGES / name)

    def sheet(self, *, compared: bool) -> None:
        """Draw the contact sheet into the folder; without pictures after when nothing is ``compared``.

        Raises:
            RunError: The file cannot be written.
        """
        after = self.pictures(AFTER) if compared else None
        write_contact_sheet(self.folder, self.plan, self.pictures(BEFORE), after)

    def measure(
        self,
        scorers: Mapping[str, Scorer],
        *,
        compared: bool,
        others: Mapping[Others, int],
        watch: Callable[[str, Judged], None],
    ) -> tuple[list[Result], list[str]]:
        """Return the results of every metric on the pictures drawn, and a sentence for every one that failed."""
        before, after = self.pictures(BEFORE).read, self.pictures(AFTER).read if compared else None
        plan = self.plan
        return evaluate(
            before,
            after,
            plan.samples,
            plan.metrics,
            scorers,
            self.ctx,
            reference=plan.reference,
            examined=self.examined([BEFORE, AFTER] if compared else [BEFORE]),
            watch=watch,
        )


class Judges:
    """Loads scorers when they are first needed, and each of them once.

    Args:
        device: Where they compute.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._loaded: dict[str, Scorer] = {}

    def of(self, plan: EvaluationPlan) -> dict[str, Scorer]:
        """Return who judges in ``plan``, by role.

        Raises:
            PluginError: One cannot be imported.
        """
        return {role: self._load(entry) for role, entry in plan.scorers.items()}

    def _load(self, entry: Entry[ScorerSpec]) -> Scorer:
        name = f"{entry.plugin}:{entry.spec.name}"
        if name not in self._loaded:
            self._loaded[name] = entry.load()(device=self._device)
        return self._loaded[name]
