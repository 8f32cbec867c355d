"""The record of a run: everything needed to trust, repeat and compare it, as ``record.json``."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from vu_core.discovery import installed_version
from vu_core.errors import RunError, VuError
from vu_core.files import write_text
from vu_core.numerics import float32_precision
from vu_core.types import Interval, Result

RECORD_FILE = "record.json"
SCHEMA = 1

Status = Literal["running", "finished", "failed", "interrupted"]

_LIBRARIES = ("vu-core", "torch", "diffusers", "transformers", "torchmetrics", "safetensors", "numpy")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a run.

    Attributes:
        name: ``"unlearn"``, ``"sample before"``, ...
        seconds: Wall time.
        peak_memory_bytes: Highest resident memory of the process during the stage (over the
            process' whole life so far where the system cannot tell); None when unknown.
        peak_device_bytes: Highest memory allocated on the accelerator; None without one, and on MPS,
            which keeps no such mark.
        skipped: Whether its output was already there.
        cpu_seconds: Processor time of the process, all threads: what a shared machine leaves unchanged; None in records
            that were written before it was measured.
        detail: Counts worth knowing: ``{"drawn": 12, "cached": 348}``.
    """

    name: str
    seconds: float
    peak_memory_bytes: int | None = None
    peak_device_bytes: int | None = None
    skipped: bool = False
    cpu_seconds: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Record:
    """What happened in a run; filled stage by stage and written after each.

    Attributes:
        status: ``"running"`` until it ends.
        request: ``forget``, ``retain``, ``replace_with`` and ``neighbours`` as names, and ``earlier``: what the model
            had forgotten already.
        unlearner: ``name``, ``plugin``, ``version``, ``config``, ``preset``.
        model: ``name``, ``fingerprint``, ``revision``.
        edit: ``kind``, ``sha256``, ``bytes``, ``rank``, ``read``, ``info`` of the edit that was made; None where
            none was.
        applied: What was in effect when the model was measured after, in the order it was made: ``sha256``,
            ``kind``, ``scale``, ``unlearner`` and ``forget`` of each edit.
        retrained: The retrained models that it was held against, in the same form, with ``seconds``: how long they
            were trained; None where no record beside them tells.
        protocol: Name, version and sha256 of the protocol; None when nothing was measured.
        scorers: By role: name and version.
        seed: The run's seed.
        environment: Versions, machine, threads, device, dtype.
        stages: In the order they ran.
        resumed: The stages of earlier attempts, when the run was stopped and continued.
        results: See `vu_core.types.Result`.
        warnings: Sentences.
        errors: Sentences.
        folder: Where it lies; not written into the file.
    """

    folder: Path
    status: Status = "running"
    request: Mapping[str, Any] = field(default_factory=dict)
    unlearner: Mapping[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    edit: Mapping[str, Any] | None = None
    applied: list[Mapping[str, Any]] = field(default_factory=list)
    retrained: list[Mapping[str, Any]] = field(default_factory=list)
    protocol: Mapping[str, Any] | None = None
    scorers: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    environment: Mapping[str, Any] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    resumed: list[Stage] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """Return the record as the JSON text of ``record.json``."""
        values = asdict(self)
        folder = values.pop("folder")
        return json.dumps({"schema": SCHEMA, "folder": Path(folder).name, **values}, indent=2, allow_nan=False) + "\n"

    def write(self) -> None:
        """Write ``record.json`` into the run's folder, atomically.

        Raises:
            RunError: The file cannot be written.
        """
        write_text(self.folder / RECORD_FILE, self.as_json())

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write the record before and after a block, with how the block ended as its status."""
        self.write()
        try:
            yield
            self.status = "failed" if self.errors else "finished"
            self.write()
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            self.status = "interrupted" if interrupted else "failed"
            self.errors.append("interrupted by the user" if interrupted else f"{type(error).__name__}: {error}")
            self._write_if_possible()
            raise

    @contextmanager
    def told(self) -> Iterator[None]:
        """Write the record, which is complete, again where a block that tells others of it adds a warning."""
        known = len(self.warnings)
        yield
        if len(self.warnings) > known:
            self._write_if_possible()

    def _write_if_possible(self) -> None:
        # What is being reported matters more than a failure that hits its record, such as a full disk.
        try:
            self.write()
        except (VuError, TypeError, ValueError) as error:
            self.warnings.append(str(error))


def read_schema(path: Path, what: str, schema: int, *, hint: str, reader: str = "vu") -> dict[str, Any]:
    """Return the content of a JSON file that says its schema.

    Args:
        path: The file.
        what: What it is, for the message: ``"record"``.
        schema: The one that is read.
        hint: What to give, where there is no such file.
        reader: Which distribution reads it.

    Raises:
        RunError: It cannot be read, or has another schema.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"'{path}' cannot be read: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise RunError(f"'{path}' is no readable {what}: {error}", hint=hint) from error
    found = values.get("schema") if isinstance(values, dict) else None
    if found != schema:
        raise RunError(f"'{path}' has schema {found}", hint=f"This {reader} reads schema {schema}.")
    return values


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """Say of ``path`` what is wrong with its values, where a block finds that they are not those it reads.

    Raises:
        RunError: A value is missing, unknown or of another type than is read here.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError) as error:
        raise RunError(
            f"'{path}' is damaged, or of another version: {error}", hint="Restore it, or make it again."
        ) from error


def read_record(folder: Path) -> Record:
    """Return the record in a run's folder.

    Raises:
        RunError: There is none, it is damaged, or it has another schema.
    """
    values = read_schema(folder / RECORD_FILE, "record", SCHEMA, hint="Give the folder of a run.")
    del values["schema"]
    with undamaged(folder / RECORD_FILE):
        return Record(
            **{
                **values,
                "folder": folder,
                **{key: [Stage(**stage) for stage in values.get(key, ())] for key in ("stages", "resumed")},
                "results": [result_of(result) for result in values["results"]],
            }
        )


def result_of(values: Mapping[str, Any]) -> Result:
    """Return the result that JSON values of ``record.json`` or ``bench.json`` describe."""
    intervals = {key: Interval(**value) if value else None for key, value in values.items() if key.endswith("interval")}
    return Result(**{**values, **intervals})


def environment(*, device: str, dtype: str, plugins: Mapping[str, str]) -> dict[str, Any]:
    """Return what a result depends on besides the request: versions, machine, threads, device and its precision.

    Args:
        device: Where it computed.
        dtype: Floating-point type it computed in.
        plugins: Versions of the plugins that took part, by distribution name.
    """
    import torch

    facts: dict[str, Any] = {
        "versions": {
            "python": platform.python_version(),
            **{name: version for name in _LIBRARIES if (version := installed_version(name))},
            **dict(sorted(plugins.items())),
        },
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device,
        "dtype": dtype,
        "float32": float32_precision(device),
    }
    if device == "cuda":
        facts["accelerator"] = torch.cuda.get_device_name()
    return facts


class MemoryMeter:
    """Measures the highest memory use since it was made.

    Resident memory comes from ``/proc``, whose high-water mark is reset first; elsewhere from
    ``getrusage``, whose mark covers the whole life of the process.
    """

    def __init__(self, device: str) -> None:
        self._cuda = device == "cuda"
        if self._cuda:
            import torch

            torch.cuda.reset_peak_memory_stats()
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def process_bytes(self) -> int | None:
        """Return the peak of resident memory in bytes, or None where the system does not tell."""
        try:
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        except OSError:
            pass
        if sys.platform == "win32":
            return None
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def device_bytes(self) -> int | None:
        """Return the peak of memory allocated on the accelerator in bytes; None without one, and on MPS."""
        if not self._cuda:
            return None
        import torch

        return int(torch.cuda.max_memory_allocated())
