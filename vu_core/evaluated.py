"""What an evaluation from Python comes to: numbers to look up, a table to look at."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass

from vu_core.errors import UnknownNameError, did_you_mean
from vu_core.tables import as_html, as_text, damage_line, names_line, noise_line, short_name
from vu_core.types import Result


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation:
    """What a protocol measured of a model; printed, it is the table of the command line.

    Attributes:
        model: Name of the model.
        protocol: Name of the protocol, with its version.
        forget: Names of the concepts counted as forgotten.
        results: Every number; pooled groups and single concepts.
        errors: A sentence for every metric that failed or lacks too many pictures.

    Example:
        >>> ua = Result(metric="ua", group="forget", before=0.0, after=100.0, change=100.0, n=6, unit="%")
        >>> evaluation = Evaluation(model="emoji", protocol="emoji-quick@1", forget=("cat",), results=(ua,), errors=())
        >>> evaluation["ua", "forget"].after
        100.0
    """

    model: str
    protocol: str
    forget: tuple[str, ...]
    results: tuple[Result, ...]
    errors: tuple[str, ...]

    def __getitem__(self, key: tuple[str, str]) -> Result:
        """Return the number of one metric on one group: ``evaluation["ua", "forget"]``.

        Args:
            key: The metric, with or without the judge and scale in its name, and the group.

        Raises:
            UnknownNameError: There is no such number.
        """
        metric, group = key
        full_names = [result.metric for result in self.results if metric in (result.metric, short_name(result.metric))]
        found = {(result.metric, result.group): result for result in self.results}
        chosen = _one_of(full_names, "metric", metric, [name for name, _ in found])
        groups = [name for measured, name in found if measured == chosen]
        return found[chosen, _one_of([name for name in groups if name == group], f"group of {metric}", group, groups)]

    def __str__(self) -> str:
        return "\n".join(filter(None, (self._title(), as_text(self.results), *self._lines())))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in self._lines())
        return f"<p>{html.escape(self._title())}</p>{as_html(self.results)}{lines}"

    def _title(self) -> str:
        forgotten = f", forget {', '.join(self.forget)}" if self.forget else ""
        return f"{self.model}, {self.protocol}{forgotten}"

    def _lines(self) -> list[str]:
        compared = any(result.change is not None for result in self.results)
        lines = [names_line(self.results), noise_line(self.results), damage_line(self.results) if compared else ""]
        return [*filter(None, lines), *(f"error: {error}" for error in self.errors)]


def _one_of(found: Iterable[str], what: str, asked: str, known: Iterable[str]) -> str:
    """Return the only name in ``found``.

    Raises:
        UnknownNameError: There is none, or several.
    """
    names, known = list(dict.fromkeys(found)), list(dict.fromkeys(known))
    if len(names) == 1:
        return names[0]
    if names:
        raise UnknownNameError(f"{what} '{asked}' is ambiguous", hint=f"Say which: {', '.join(names)}.")
    hint = f"{did_you_mean(asked, known)} Measured: {', '.join(known) or 'nothing'}.".lstrip()
    raise UnknownNameError(f"there is no {what} '{asked}' in this evaluation", hint=hint)
