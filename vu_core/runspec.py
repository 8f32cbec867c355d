"""What one run is asked to do, as plain data: the command line, ``run.toml`` and Python all make one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from vu_core.config import validate
from vu_core.errors import ConfigError
from vu_core.files import write_text

RUN_FILE = "run.toml"

Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["float32", "float16", "bfloat16"]
DTYPES: tuple[str, ...] = get_args(Dtype)


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One request and the components that carry it through.

    Attributes:
        unlearner: Name, or ``plugin:name``.
        forget: Names of concepts.
        retain: Names of concepts; empty leaves the choice to the dataset.
        replace_with: Names of concepts: none, one for all, or one for each of ``forget``.
        model: Name, folder or hub id; empty for the embedded model.
        after: Folder of an earlier run on this model: its edit, and those it was made after, are in the model's
            weights when this run unlearns and before it is measured. Empty to begin with the model as it is.
        dataset: Name; empty for the model's own.
        data: The dataset's options by name.
        protocol: Name or path of a TOML file; empty for the model's own.
        metrics: Names; empty for the protocol's own.
        scorers: Names by role, in place of the protocol's own.
        retrained: Folders of runs of ``retrain`` that a classifier is held against, besides what its plugin carries.
        preset: Name of the model's preset; empty for its ``"default"``, ``"none"`` for none.
        options: The unlearner's options by name.
        seed: Seed of all randomness of the unlearner.
        device: Where to compute.
        dtype: Floating-point type to compute in.
        download: Whether a model may be fetched from a hub.
        revision: Revision of a hub model; empty for its default.
    """

    unlearner: str = field(metadata={"help": "name of the unlearner"})
    forget: tuple[str, ...] = field(metadata={"help": "concepts to forget"})
    retain: tuple[str, ...] = ()
    replace_with: tuple[str, ...] = ()
    model: str = ""
    after: str = ""
    dataset: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    protocol: str = ""
    metrics: tuple[str, ...] = ()
    scorers: dict[str, str] = field(default_factory=dict)
    retrained: tuple[str, ...] = ()
    preset: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = field(default=0, metadata={"ge": 0, "le": 2**63 - 1})
    device: Device = "auto"
    dtype: Dtype = "float32"
    download: bool = False
    revision: str = ""


def read_run_file(path: Path) -> RunSpec:
    """Return the run that a TOML file describes.

    Raises:
        ConfigError: The file is missing, is no TOML, or a key is unknown, ill-typed or out of range.
    """
    try:
        with path.open("rb") as stream:
            table = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be read: {error.strerror}", hint=f"Give a {RUN_FILE}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{path}' is not valid TOML: {error}") from error
    return run_spec(table, origin=str(path))


def run_spec(values: Mapping[str, Any], *, origin: str = "the run") -> RunSpec:
    """Return the run that ``values`` describe.

    Raises:
        ConfigError: A key is missing, unknown, ill-typed or out of range; says where, by ``origin``.
    """
    missing = [key for key in ("unlearner", "forget") if key not in values]
    if missing:
        raise ConfigError(f"{origin} does not say '{missing[0]}'", hint="Both 'unlearner' and 'forget' are needed.")
    return validate(RunSpec, values, where=f"in {origin}")


def write_run_file(spec: RunSpec, path: Path) -> None:
    """Write ``spec`` as TOML, atomically; keys that are empty are left out.

    Raises:
        RunError: The file cannot be written.
    """
    import tomli_w

    table = {key: value for key, value in asdict(spec).items() if value not in ("", (), {}, False)}
    plain = {key: _toml_value(value) for key, value in table.items()}
    write_text(path, tomli_w.dumps({**plain, "options": plain.get("options", {})}))


def _toml_value(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_toml_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _toml_value(item) for key, item in value.items() if item is not None}
    return value
