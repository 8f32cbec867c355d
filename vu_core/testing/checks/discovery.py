"""What happens when a plugin is listed: it loads, at once, silently, and imports nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vu_core.discovery import HEAVY
from vu_core.testing.cases import PLUGIN, Check, Plugin, expect

BANNED = (*HEAVY, "accelerate", "jax", "matplotlib", "pandas", "peft", "scipy", "sklearn", "tensorflow", "torchmetrics")
"""Libraries that listing plugins must not import: each costs a good part of a second."""

_TIMEOUT = 60

# Runs in a new interpreter: describes one plugin and imports its config classes, as `vu list` and `vu info` do.
_PROBE = """
import json, sys, warnings
given = json.loads(sys.argv[1])
sys.path[:] = given["path"]
from vu_core.discovery import PluginRecord, describe, resolve
if given["strict"]:
    warnings.simplefilter("error")
record, _ = describe(PluginRecord(**given["record"]))
problem = record.problem if record.status == "broken" else ""
for target in sorted({getattr(spec, "config", "") for spec in record.specs} - {""}):
    try:
        resolve(target, record.name)
    except Exception as error:
        problem = problem or str(error)
with open(given["out"], "w", encoding="utf-8") as stream:
    json.dump({"modules": sorted(sys.modules), "problem": problem}, stream)
"""


def check_loads(plugin: Plugin) -> None:
    """It can be loaded: its light module imports, its hooks are known, its specs are valid."""
    record = plugin.record
    fix = f"'vu doctor {record.name}' shows the traceback. Nothing that depends on loading was checked."
    expect(plugin.usable, f"{record.stage}: {record.problem}", fix)


def check_light_import(plugin: Plugin) -> None:
    """Listing it and showing its options imports no heavy library."""
    imported = _probe(plugin).modules
    heavy = [name for name in BANNED if name in imported]
    fix = "Import it in the modules that specs name as target, or inside functions; never in __init__, plugin, config."
    expect(not heavy, f"listing it imports {', '.join(heavy)}", fix)


def check_silent_import(plugin: Plugin) -> None:
    """Listing it prints nothing."""
    printed = _probe(plugin).printed
    fix = "Remove the print; use logging, at run time."
    expect(not printed, f"listing it prints {printed[:80]!r}", fix)


def check_no_warnings(plugin: Plugin) -> None:
    """Listing it raises no warning, deprecations included."""
    problem = _probe(plugin, strict=True).problem
    expect(not problem, f"with warnings as errors it fails: {problem}", "Replace what is deprecated.")


@dataclass(frozen=True)
class _Listing:
    """What a new interpreter saw when it listed a plugin."""

    modules: frozenset[str]
    problem: str
    printed: str


def _probe(plugin: Plugin, *, strict: bool = False) -> _Listing:
    """List ``plugin`` in a new interpreter, with warnings as errors if ``strict``."""
    record: dict[str, Any] = {**asdict(plugin.record), "status": "found", "stage": "", "problem": "", "detail": ""}
    del record["specs"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "listing.json"
        given = json.dumps({"record": record, "path": sys.path, "strict": strict, "out": str(out)})
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, given], capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
        printed = done.stdout + done.stderr
        expect(out.is_file(), f"listing it ends the interpreter: {printed[-200:]!r}", "Remove what exits at import.")
        found = json.loads(out.read_text(encoding="utf-8"))
    return _Listing(modules=frozenset(found["modules"]), problem=found["problem"], printed=printed)


def _usable(plugin: Plugin) -> bool:
    return plugin.usable


_check = partial(Check, subject=PLUGIN, when=_usable)

CHECKS = (
    Check(check_loads, PLUGIN),
    _check(check_light_import),
    _check(check_silent_import),
    _check(check_no_warnings),
)
