"""A model's pictures before and after an edit, drawn into one folder and measured against each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.cache import ImageCache
from vu_core.evaluation import evaluate
from vu_core.sampling import Folder, draw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vu_core.context import RunContext
    from vu_core.edits import Edit
    from vu_core.interfaces import Scorer
    from vu_core.planning import EvaluationPlan
    from vu_core.types import Result

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a protocol asks for, of one model.

    Attributes:
        plan: What is drawn, who judges it, what is computed.
        model: Offers `Samples`.
        root: Folder of the pictures: ``before`` and ``after`` inside it.
        ctx: Device of the judges; shows progress.
        cache: Pictures are taken from it where it has them, and put into it.
    """

    plan: EvaluationPlan
    model: Any
    root: Path
    ctx: RunContext
    cache: ImageCache = field(default_factory=ImageCache.of_user)

    def draw(self, name: str, edits: Sequence[Edit]) -> dict[str, int]:
        """Draw the pictures called ``name`` with ``edits`` in effect; see `vu_core.sampling.draw`."""
        return draw(
            self.model,
            edits,
            self.plan.samples,
            self.plan.protocol.sampler,
            self.pictures(name),
            self.ctx,
            cache=self.cache,
            label=f"drawing {name}",
        )

    def pictures(self, name: str) -> Folder:
        """Return the folder of the pictures called ``name``: `BEFORE` or `AFTER`."""
        return Folder(self.root / name)

    def load_scorers(self) -> dict[str, Scorer]:
        """Return the judges by role.

        Raises:
            PluginError: One cannot be imported.
        """
        return {role: entry.load()(device=self.ctx.device) for role, entry in self.plan.scorers.items()}

    def measure(self, scorers: Mapping[str, Scorer], *, compared: bool = True) -> tuple[list[Result], list[str]]:
        """Return the results of every metric on the pictures drawn, and a sentence for every one that failed.

        Args:
            scorers: The judges by role.
            compared: Whether there are pictures after; otherwise those before are measured alone.
        """
        before, after = self.pictures(BEFORE).read, self.pictures(AFTER).read if compared else None
        plan = self.plan
        return evaluate(before, after, plan.samples, plan.metrics, scorers, self.ctx, reference=plan.reference)
