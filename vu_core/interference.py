"""What forgetting one concept does to each other one, from the judges' verdicts of a bench."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vu_core.statistics import paired_change
from vu_core.types import Concept, Interval, Measurement

if TYPE_CHECKING:
    from vu_core.evaluationplan import EvaluationPlan
    from vu_core.verdicts import Verdict

RIGHT = 100.0
HARDEST = 10

# Of a dataset's own pictures, those that nothing was learned from; drawn ones are in no split.
_MEASURED_SPLITS = ("", "test")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """How well one concept is still recognised after another, or itself, was forgotten.

    Attributes:
        forget: The forgotten concept.
        measured: The concept that pictures were asked to show.
        before: Percentage of its pictures in which the judge of its kind sees it, of the base model.
        after: The same of the edited model.
        change: After minus before.
        interval: 95 % interval of ``change``.
        n: Pictures.
        neighbour: Whether ``measured`` is one of the forgotten concept's neighbours.
    """

    forget: Concept
    measured: Concept
    before: float
    after: float
    change: float
    interval: Interval | None
    n: int
    neighbour: bool

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values, concepts by name."""
        return {**asdict(self), "forget": self.forget.name, "measured": self.measured.name}


@dataclass(frozen=True, kw_only=True)
class Interference:
    """The matrix of one unlearner: a row for each forgotten concept, a column for each that is measured.

    Attributes:
        forget: The rows.
        measured: The columns; kinds that no judge judges are left out.
        cells: By row and column; a concept without pictures has none.
    """

    forget: tuple[Concept, ...]
    measured: tuple[Concept, ...]
    cells: Mapping[tuple[Concept, Concept], Cell]

    def hardest(self, limit: int = HARDEST) -> list[Cell]:
        """Return the retained concepts that lost most, the worst first; only those that lost."""
        fallen = [cell for cell in self.cells.values() if cell.forget != cell.measured and cell.change < 0]
        return sorted(fallen, key=lambda cell: (cell.change, cell.forget.name, cell.measured.name))[:limit]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values: one matrix a number, and the cells hit hardest with their intervals."""
        return {
            "forget": [concept.name for concept in self.forget],
            "measured": [concept.name for concept in self.measured],
            **{name: self._matrix(name) for name in ("before", "after", "change", "n")},
            "hardest": [cell.as_dict() for cell in self.hardest()],
        }

    def _matrix(self, name: str) -> list[list[float | None]]:
        return [[getattr(self.cells.get((row, column)), name, None) for column in self.measured] for row in self.forget]


def interference_of(
    runs: Iterable[tuple[Concept, AbstractSet[str], Iterable[Verdict], str]], plan: EvaluationPlan
) -> Interference:
    """Return the matrix of one unlearner.

    Runs that forget the same concept, from other seeds, make one row and must follow each other.

    Args:
        runs: What each forgot, the names of its neighbours, its verdicts, and what tells it from the others.
        plan: How all were measured: its concepts make the columns.
    """
    measured = tuple(
        concept
        for concept in plan.dataset.concepts()
        if (concept.kind in plan.scorers or plan.protocol.pictures)
        and any(sample.shows(concept) for sample in plan.samples)
    )
    cells: dict[tuple[Concept, Concept], Cell] = {}
    for forget, neighbours, rows in _by_concept(runs):
        for concept in measured:
            cell = _cell(forget, concept, rows, neighbour=concept.name in neighbours)
            if cell is not None:
                cells[forget, concept] = cell
    forgotten = tuple(dict.fromkeys(forget for forget, _ in cells))
    # A classifier tells apart the concepts of one kind: of the others there is no verdict.
    kinds = {concept.kind for _, concept in cells}
    return Interference(forget=forgotten, measured=tuple(c for c in measured if c.kind in kinds), cells=cells)


def _by_concept(
    runs: Iterable[tuple[Concept, AbstractSet[str], Iterable[Verdict], str]],
) -> Iterator[tuple[Concept, AbstractSet[str], list[tuple[str, Verdict]]]]:
    """Yield each concept with the verdicts of its runs, one concept at a time."""
    rows: list[tuple[str, Verdict]] = []
    last: tuple[Concept, AbstractSet[str]] | None = None
    for forget, neighbours, verdicts, name in runs:
        if last is not None and last[0] != forget:
            yield *last, rows
            rows = []
        last = (forget, neighbours)
        rows += [(f"{verdict.sample}/{name}", verdict) for verdict in verdicts]
    if last is not None:
        yield *last, rows


def _cell(forget: Concept, measured: Concept, rows: Sequence[tuple[str, Verdict]], *, neighbour: bool) -> Cell | None:
    """Return a cell of the pictures that ask for ``measured`` by its own name; one row alone has others."""
    kind = measured.kind
    shown = [
        (sample, verdict)
        for sample, verdict in rows
        if verdict.attributes.get(kind) == measured.name
        and kind in verdict.before
        and kind in verdict.after
        and verdict.split in _MEASURED_SPLITS
        and not verdict.synonym
    ]
    if not shown:
        return None
    before, after = (
        _measurement([(sample, v.cluster, getattr(v, side)[kind] == measured.name) for sample, v in shown])
        for side in ("before", "after")
    )
    change = paired_change(before, after)
    return Cell(
        forget=forget,
        measured=measured,
        before=before.value or 0.0,
        after=after.value or 0.0,
        change=change.value or 0.0,
        interval=change.interval,
        n=len(shown),
        neighbour=neighbour,
    )


def _measurement(rows: Sequence[tuple[str, str, bool]]) -> Measurement:
    values = [RIGHT * right for _, _, right in rows]
    return Measurement(
        group="",
        value=sum(values) / len(values),
        n=len(values),
        values=values,
        sample_ids=[sample for sample, _, _ in rows],
        clusters=[cluster for _, cluster, _ in rows],
        success=RIGHT,
    )
