"""The page of a component, in Markdown: what its spec says, and the prose that its plugin brings.

The prose is the file ``docs/KIND/NAME.md`` in the package that the spec's target lies in, as
``vu_uce/docs/unlearner/uce.md``: ``vu_core`` writes title, facts, options and presets around it, the same for every
plugin. Nothing heavy is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vu_core.config import options_of
from vu_core.registry import Entry, Registry
from vu_core.specs import EACH_KIND, MetricSpec, Spec, UnlearnerSpec
from vu_core.types import Direction

_BETTER: dict[Direction, str] = {
    "up": "up",
    "down": "down",
    "none": "neither way",
    "reference": "toward the value of retrained models",
}
_COMPARED = {
    "": "",
    "before": "the pictures before unlearning, of the same prompt and noise",
    "pictures": "real pictures of the protocol's dataset",
    "retrained": "models that never learned what is forgotten",
    "untrained": "networks of the same architecture with random weights",
    "unlearned": "other models that forgot the same, and models that never learned it",
}


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Options that a model carries for an unlearner.

    Attributes:
        model: Name of the model.
        unlearner: Name of the unlearner.
        name: Of the preset.
        options: Values by option.
    """

    model: str
    unlearner: str
    name: str
    options: Mapping[str, Any]

    def __str__(self) -> str:
        return ", ".join(f"{option}={value}" for option, value in self.options.items())


def presets(registry: Registry) -> Iterator[Preset]:
    """Yield the presets that models carry for unlearners."""
    for model in registry.entries("model"):
        for unlearner, carried in model.spec.presets.items():
            for name, options in carried.items():
                yield Preset(model=model.spec.name, unlearner=unlearner, name=name, options=options)


def prose(spec: Spec) -> str:
    """Return what a component's plugin writes about it, in Markdown; empty when it writes nothing."""
    package = spec.target.partition(":")[0].partition(".")[0]
    found = find_spec(package) if package else None
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder, "docs", spec.kind, f"{spec.name}.md")
        if path.is_file():
            return path.read_text("utf-8").strip()
    return ""


def page(registry: Registry, entry: Entry[Any]) -> str:
    """Return the page of a component, in Markdown.

    Raises:
        PluginError: Its class of options cannot be imported.
    """
    spec = entry.spec
    first, *facts = _facts(entry)
    parts = [f"# {spec.name}", spec.summary, table(first, facts), prose(spec), _options(entry)]
    if spec.kind == "unlearner":
        carried = [preset for preset in presets(registry) if preset.unlearner == spec.name]
        rows = [(f"`{preset.model}`", f"`{preset.name}`", f"`{preset}`") for preset in carried]
        parts += ["## Presets", table(("model", "preset", "options"), rows)] if rows else []
    return "\n\n".join(filter(None, parts)) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""Return a table in Markdown.

    Example:
        >>> print(table(("a", "b"), [("1", "x | y")]))
        | a | b |
        |---|---|
        | 1 | x \| y |
    """
    lines = [[cell.replace("|", r"\|") for cell in row] for row in (columns, *rows)]
    head, *rest = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([head, "|" + "---|" * len(columns), *rest])


def link(reference: str) -> str:
    """Return a spec's reference as a link in Markdown; empty when there is none.

    Example:
        >>> link("arXiv:2308.14761")
        '[arXiv:2308.14761](https://arxiv.org/abs/2308.14761)'
    """
    kind, _, rest = reference.partition(":")
    places = {"arxiv": f"https://arxiv.org/abs/{rest}", "doi": f"https://doi.org/{rest}"}
    return f"[{reference}]({places.get(kind.lower(), reference)})" if reference else ""


def better(spec: MetricSpec) -> str:
    """Return, in words, which way a metric is better."""
    turned = f"; of what is forgotten {_BETTER[spec.forget_direction]}" if spec.forget_direction else ""
    return _BETTER[spec.direction] + turned


def _facts(entry: Entry[Any]) -> list[tuple[str, str]]:
    facts = {"plugin": f"`{entry.plugin}` {entry.version}", "source": link(entry.spec.reference)}
    if isinstance(entry.spec, UnlearnerSpec):
        facts["made for"] = ", ".join(entry.spec.families)
        facts["needs of a model"] = _names(entry.spec.needs)
    if isinstance(entry.spec, MetricSpec):
        facts.update(_metric_facts(entry.spec))
    return [(name, text) for name, text in facts.items() if text]


def _metric_facts(spec: MetricSpec) -> dict[str, str]:
    low, high = ("" if bound is None else f"{bound:.4g}" for bound in spec.range)
    between = {(True, True): f"{low} to {high}", (True, False): f"at least {low}", (False, True): f"at most {high}"}
    judged = [one for one in spec.scorers if one != EACH_KIND]
    asked = "one classifier for each kind of concept" if EACH_KIND in spec.scorers else ""
    return {
        "better": better(spec),
        "ideal": "" if spec.ideal is None else f"{spec.ideal:g}",
        "unit": spec.unit,
        "range": between.get((bool(low), bool(high)), ""),
        "roles of scorers": ", ".join(filter(None, (asked, _names(judged)))),
        "compared with": _COMPARED[spec.compares],
        "examines": f"the model itself: {spec.examines}" if spec.examines else "",
        "name of the result": f"`{spec.label}`" if spec.label else "",
    }


def _options(entry: Entry[Any]) -> str:
    config = entry.config_class()
    options = options_of(config) if config else []
    if not options:
        return ""
    rows = [
        (
            f"`{option.name}`" + (f" {option.symbol}" if option.symbol else ""),
            ", ".join(filter(None, (option.type, option.range))),
            option.default,
            option.help,
        )
        for option in options
    ]
    return f"## Options\n\n{table(('option', 'values', 'default', 'meaning'), rows)}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
