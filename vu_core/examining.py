"""Metrics that examine models themselves: each part is carried out once for all runs, and kept in the run's folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.answers import computed_by
from vu_core.cache import FOUND, ContentCache, key_sha256
from vu_core.edits import check_unedited, effect_of
from vu_core.errors import RunError
from vu_core.files import write_text
from vu_core.judging import reason
from vu_core.meters import Examined, MetricUse
from vu_core.numerics import torch_defaults
from vu_core.progress import together

if TYPE_CHECKING:
    from vu_core.metrics import ModelMetric, Subject


@dataclass(frozen=True)
class FindingsFile:
    """What metrics found out about one model, in a JSON file."""

    path: Path

    def read(self) -> dict[str, Examined]:
        """Return what was found, by metric.

        Raises:
            RunError: The file is missing or damaged.
        """
        try:
            return {name: Examined(**one) for name, one in json.loads(self.path.read_text("utf-8")).items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise RunError(f"'{self.path}' cannot be read: {error}", hint="Run it again: 'vu run --resume'.") from error

    def write(self, examined: Mapping[str, Examined]) -> None:
        """Replace the file.

        Raises:
            RunError: It cannot be written.
        """
        found = {name: asdict(one) for name, one in examined.items()}
        write_text(self.path, json.dumps(found, allow_nan=False) + "\n")


class Examiners:
    """The metrics among ``uses`` that examine models; each is one object for all models that it examines.

    Args:
        uses: Metrics of any kind.
        cache: What it has is taken from there, and what is new is put there.
    """

    def __init__(self, uses: Iterable[MetricUse], cache: ContentCache) -> None:
        self._examiners = [_Examiner(use, cache) for use in uses if use.spec.examines]

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self._examiners)

    def examine(self, subject: Subject, file: FindingsFile, *, label: str) -> dict[str, int]:
        """Put what each metric finds out about ``subject`` into ``file``, from the cache or newly computed.

        What a metric raises becomes its problem; the others go on.

        Args:
            subject: The model.
            file: Where it goes.
            label: What the progress bar says.

        Returns:
            How many parts were ``computed`` and how many came from the ``cached``.

        Raises:
            EditError: Another edit is applied to the model now.
            RunError: A file cannot be written.
        """
        check_unedited(subject.model)
        counts = {"computed": 0, "cached": 0}
        with together():
            file.write({one.name: one.examine(subject, label, counts) for one in self._examiners})
        return counts


class _Examiner:
    """One metric that examines models."""

    def __init__(self, use: MetricUse, cache: ContentCache) -> None:
        self.name = use.spec.name
        self._use, self._cache = use, cache
        self._metric: ModelMetric | None = None

    def examine(self, subject: Subject, label: str, counts: dict[str, int]) -> Examined:
        """Return what the metric finds out, and count its parts."""
        keys: dict[str, str] = {}
        found: dict[str, dict[str, Any]] = {}
        try:
            metric = self._metric = self._metric or self._use.make()
            parts = metric.parts(subject)
        except Exception as error:
            return Examined(found={}, problem=reason(error))
        common = self._common(subject) if parts else {}
        for part, decides in subject.ctx.progress(parts.items(), label=f"{label}: {self.name}"):
            key = {**common, "part": part, "decides": decides}
            known = self._known(key)
            if known is None:
                try:
                    known = _as_json(_carried_out(metric, part, subject))
                except Exception as error:
                    return Examined(found=found, keys=keys, problem=reason(error))
                self._cache.put(key, json.dumps(known, allow_nan=False).encode(), FOUND)
                counts["computed"] += 1
            else:
                counts["cached"] += 1
            found[part], keys[part] = known, key_sha256(key)
        return Examined(found=found, keys=keys)

    def _known(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what the cache has; None where it has nothing, or a damaged file."""
        content = self._cache.get(key, FOUND)
        try:
            return None if content is None else _as_json(json.loads(content))
        except ValueError:
            return None

    def _common(self, subject: Subject) -> dict[str, Any]:
        """Return, as JSON values, what decides every part alike."""
        use = self._use
        return {
            "examination": f"{use.spec.examines} of {use.provider}",
            "options": asdict(use.config) if use.config is not None else {},
            "request": asdict(use.request),
            "original": effect_of(subject.original),
            **computed_by(subject.model, subject.edits),
        }


def _carried_out(metric: ModelMetric, part: str, subject: Subject) -> Mapping[str, Any]:
    with torch_defaults():
        return metric.examine(part, subject)


def _as_json(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``found`` as it reads from a file.

    Raises:
        TypeError: It holds something that JSON has not.
        ValueError: A number in it is not finite.
    """
    read: dict[str, Any] = json.loads(json.dumps(dict(found), allow_nan=False))
    return read
