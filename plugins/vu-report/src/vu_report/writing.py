"""From folders on disk to one HTML file: chooses the page, fills its template, writes it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vu_core import __version__
from vu_core.benchfile import is_bench
from vu_core.files import write_text
from vu_core.registry import Registry
from vu_report.tuning_page import is_tuning, tuning_page


def write(folders: Sequence[Path], page: Path) -> None:
    """Write ``page`` about a run, a measurement, a bench or a search, or about several runs or benches side by side.

    Raises:
        RunError: A folder holds nothing to report on, its files are damaged, or the page cannot be written.
    """
    registry = Registry.discover()
    if len(folders) > 1:
        from vu_report.compare_page import compare_page

        name, values = "compare.html", compare_page(folders, registry)
    elif is_bench(folders[0]):
        from vu_report.bench_page import bench_page

        name, values = "bench.html", bench_page(folders[0], registry)
    elif is_tuning(folders[0]):
        name, values = "tuning.html", tuning_page(folders[0], registry)
    else:
        from vu_report.run_page import run_page

        name, values = "run.html", run_page(folders[0], registry)
    write_text(page, render(name, values))


def render(name: str, values: Mapping[str, Any]) -> str:
    """Return the HTML of a template; everything in ``values`` is text and is escaped.

    The page allows itself no request and runs no script or style but its own, by their hashes.
    """
    style, script = (_asset(file) for file in ("style.css", "script.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template(name)
        .render(**values, style=Markup(style), script=Markup(script), policy=policy, version=__version__)
    )


@cache
def _environment() -> Environment:
    """Return the templates, each compiled once in a process."""
    environment = Environment(
        loader=PackageLoader("vu_report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(name: str) -> Markup:
    """Return a metric's name, which a narrow column may break after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def _asset(name: str) -> str:
    return (files("vu_report") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
