"""What carrying something out has in common, whatever it is: stages that are timed, recorded and told about."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.context import silent
from vu_core.errors import RunError
from vu_core.files import disk_error
from vu_core.records import MemoryMeter, Record, Stage

if TYPE_CHECKING:
    from vu_core.interfaces import Tracker


@dataclass
class Surface:
    """How a run tells people where it is; the default says nothing.

    Attributes:
        track: Shows progress over an iterable: ``track(items, total, label)``.
        say: Shows one line.
        trackers: Tools in which the run is written down, by name; each is made anew for a run.
    """

    track: Callable[..., Iterator[Any]] = silent
    say: Callable[[str], None] = field(default=lambda line: None)
    trackers: Mapping[str, Callable[[], Tracker]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Stages:
    """The stages of what one record is about.

    Attributes:
        record: Gets an entry for each stage and is written after it.
        device: Whose memory is measured, beside the process' own.
        surface: Is told a line after each.
    """

    record: Record
    device: str
    surface: Surface

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a block and record it; the block fills the stage's ``detail``, ``skipped`` among it.

        Raises:
            RunError: A file could not be written or is not there, or the network failed.
        """
        detail: dict[str, Any] = {}
        meter, start, worked = MemoryMeter(self.device), time.perf_counter(), time.process_time()
        try:
            yield detail
        except OSError as error:
            if error.errno is None or isinstance(error, ConnectionError | TimeoutError):
                raise RunError(f"{name}: {error}", hint="Repeat the command with --resume.") from error
            raise disk_error(Path(error.filename or self.record.folder), error) from error
        finally:
            skipped = detail.pop("skipped", False)
            self.record.stages.append(
                Stage(
                    name=name,
                    seconds=time.perf_counter() - start,
                    peak_memory_bytes=meter.process_bytes(),
                    peak_device_bytes=meter.device_bytes(),
                    skipped=skipped,
                    cpu_seconds=time.process_time() - worked,
                    detail=detail,
                )
            )
        self.record.write()
        self.surface.say(_line(self.record.stages[-1]))


def _line(stage: Stage) -> str:
    memory = f", peak {stage.peak_memory_bytes / 1e9:.1f} GB" if stage.peak_memory_bytes else ""
    detail = "".join(f", {value} {key}" for key, value in stage.detail.items())
    done = "already there" if stage.skipped else f"{stage.seconds:.1f} s"
    return f"{stage.name}: {done}{detail}{memory}"
