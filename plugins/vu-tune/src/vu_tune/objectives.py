"""What is sought: numbers that a protocol measures, and which way is better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vu_core import ConfigError
from vu_core.tables import short_name

if TYPE_CHECKING:
    from vu_core.meters import MetricUse
    from vu_core.pooling import Row
    from vu_core.types import Result

RULE = "--objective takes metric:group, as in ua_recognised:forget"


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One number that a setting is judged by, a mean over the concepts that it is tuned on.

    Attributes:
        metric: Its name, without judge and scale.
        group: On what it is measured.
        direction: ``"up"``, ``"down"``, or ``"reference"``: the smallest distance from retrained models.
    """

    metric: str
    group: str
    direction: Literal["up", "down", "reference"]

    @property
    def goal(self) -> Literal["maximize", "minimize"]:
        """In Optuna's words: ``"maximize"`` or ``"minimize"``."""
        return "maximize" if self.direction == "up" else "minimize"

    def value(self, rows: Iterable[Row]) -> float | None:
        """Return the number in a bench's table; None where it could not be computed."""
        for row in rows:
            result = row.result
            if (short_name(result.metric), result.group) == (self.metric, self.group):
                return _distance(result) if self.direction == "reference" else result.after
        return None

    def __str__(self) -> str:
        way = {"up": "as high as possible", "down": "as low as possible", "reference": "as retrained models have"}
        return f"{self.metric} on {self.group}, {way[self.direction]}"


def read_objectives(given: Sequence[str], metrics: Sequence[MetricUse]) -> tuple[Objective, ...]:
    """Return what ``given`` asks for: texts ``metric:group``.

    Raises:
        ConfigError: A text has another form, is given twice, or the protocol does not measure it or says not which way
            is better.
    """
    known = {use.spec.name: use for use in metrics}
    if not given:
        raise ConfigError("no objective was given", hint=f"{RULE}. The protocol measures {', '.join(known)}.")
    found = []
    for text in given:
        metric, colon, group = (part.strip() for part in text.partition(":"))
        if not (metric and colon and group):
            raise ConfigError(f"{RULE}, '{text}' was given")
        if metric not in known:
            raise ConfigError(f"the protocol does not measure '{metric}'", hint=f"It measures {', '.join(known)}.")
        direction = known[metric].direction(group)
        if direction == "none":
            raise ConfigError(f"of '{metric}' on '{group}' neither more nor less is better")
        found.append(Objective(metric=metric, group=group, direction=direction))
    if len(set(found)) < len(found):
        raise ConfigError(f"an objective was given twice: {', '.join(given)}")
    return tuple(found)


def _distance(result: Result) -> float | None:
    return None if result.gap is None else abs(result.gap)
