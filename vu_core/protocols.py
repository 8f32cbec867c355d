"""Protocols: published evaluations as TOML files, and the samples they ask for.

A protocol file::

    name = "emoji@1"
    summary = "Every object in every style, two pictures each."
    dataset = "emoji"
    templates = ["a {object} image in {style} style"]
    articles = true                  # "a apple" becomes "an apple"
    seeds = [0, 1]
    seed_rule = "per-prompt"
    min_samples = 100                # of fewer pictures of what is forgotten, or kept, no number is given

    [grid]                           # every combination of these concepts, by kind
    object = "all"
    style = ["noto", "twemoji"]

    [sampler]                        # fields of SamplerSettings
    steps = 20
    guidance_scale = 3.0

    [scorers]                        # who judges, by role
    object = "emoji-object"

    [metrics]                        # options by metric, thresholds among them
    ua = {}
    cra = { include_forgotten = true }

    [synonyms]                       # other words, drawn where the concept is forgotten
    cat = ["kitty"]

A list of prompts that others published may take the place of templates, grid and seeds: ``[prompts]``, see
`vu_core.prompts.PromptList`. Where classifiers are measured, the dataset's own pictures take the place of all that is
drawn, and of the sampler: ``[pictures]``, see
`vu_core.asked.AskedPictures`. What was published with it: ``[original]``, ``[[published]]`` and ``deviations``, see
`vu_core.published`. What no plugin provides yet: ``[needs]``. docs/reference/protocols.md shows each.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from itertools import product
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from vu_core.asked import AskedPictures
from vu_core.config import validate
from vu_core.errors import ConfigError, did_you_mean
from vu_core.models import resource_path
from vu_core.prompts import PromptList, wordings_of
from vu_core.published import Original, Published
from vu_core.specs import ProtocolSpec
from vu_core.types import Concept, Sample, SamplerSettings

if TYPE_CHECKING:
    from vu_core.interfaces import Dataset
    from vu_core.registry import Registry

ALL = "all"

C = TypeVar("C")

_VERSIONED = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*@[0-9]+")
_ARTICLE = re.compile(r"\b([Aa])(?= [aeiouAEIOU])")
_UNSAFE = re.compile(r"[\W_]+")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One evaluation: which pictures are drawn, who judges them, what is computed.

    The pictures are every template for every combination of the grid's concepts, once a seed; or one for each
    row of a list of prompts; or the dataset's own, about which a classifier is asked.

    Attributes:
        name: With its version: ``"emoji@1"``. A changed protocol is a new version.
        summary: One line.
        dataset: Name of the dataset that the grid's concepts and real pictures come from. Empty when there is
            none: the grid's names are then the concepts, and any text may be forgotten.
        templates: Prompts with ``{kind}`` where a concept's text goes.
        grid: Concepts crossed with each other, by kind: ``"all"`` of the dataset, or their names.
        seeds: One picture of every prompt for each.
        seed_rule: ``"shared"``: a seed gives every prompt the same initial noise, as published scripts
            do. ``"per-prompt"``: noise depends on seed and prompt, so that what is measured on
            different prompts is independent, as intervals over prompts assume. Before and after
            unlearning have the same noise either way.
        articles: Whether ``a`` before a vowel becomes ``an``.
        min_samples: Of fewer pictures that show what is forgotten, or fewer of the others, no number is given.
        synonyms: Other words by a concept's name: where it is forgotten, its prompts are drawn with these, too.
        sampler: How the pictures are drawn; None where none are.
        prompts: The list of prompts, where it takes the place of templates, grid and seeds.
        pictures: The dataset's own pictures, where they take the place of all that is drawn.
        scorers: Names of the scorers by role.
        metrics: Options by the metric's name, in the order of the report.
        needs: What no plugin provides yet, by the name of the scorer or metric, and what it takes.
        original: The procedure as published; None when it is nobody else's.
        deviations: Every known difference from it, a sentence each.
        published: Numbers to compare with.
        reference: DOI, arXiv id or URL; empty when there is none.
        sha256: Of the file; empty when it was not read from one.
    """

    name: str
    dataset: str
    sampler: SamplerSettings | None
    metrics: Mapping[str, Mapping[str, Any]]
    templates: tuple[str, ...] = ()
    grid: Mapping[str, tuple[str, ...] | Literal["all"]] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    summary: str = ""
    seed_rule: Literal["shared", "per-prompt"] = "shared"
    articles: bool = False
    min_samples: int = 1
    prompts: PromptList | None = None
    pictures: AskedPictures | None = None
    scorers: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    original: Original | None = None
    deviations: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    reference: str = ""
    sha256: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of concepts that its prompts show."""
        return self.prompts.kinds if self.prompts else tuple(self.grid)

    @property
    def family(self) -> str:
        """Of the models that it measures."""
        return "classifier" if self.pictures else "text-to-image"

    @property
    def noise(self) -> str:
        """How a seed becomes noise, in the words of `Original`; nothing where no picture is drawn."""
        if self.sampler is None:
            return ""
        if self.sampler.noise == "sequential":
            return "sequential"
        return "per-row" if self.prompts else self.seed_rule

    def facts(self) -> dict[str, str]:
        """Return what a record keeps of it: name, sha256 of the file, dataset."""
        return {"name": self.name, "sha256": self.sha256, "dataset": self.dataset}


@dataclass(frozen=True, kw_only=True)
class _File:
    """The top level of a protocol file; the tables inside are checked one by one."""

    name: str
    dataset: str
    metrics: dict[str, Any]
    sampler: dict[str, Any] = field(default_factory=dict)
    templates: tuple[str, ...] = ()
    grid: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    summary: str = ""
    seed_rule: Literal["shared", "per-prompt"] = "shared"
    articles: bool = False
    min_samples: int = field(default=1, metadata={"ge": 1})
    synonyms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    prompts: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Any] = field(default_factory=dict)
    scorers: dict[str, str] = field(default_factory=dict)
    needs: dict[str, str] = field(default_factory=dict)
    original: dict[str, Any] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()
    published: tuple[dict[str, Any], ...] = ()
    reference: str = ""


def load_protocol(given: str, registry: Registry) -> Protocol:
    """Return the protocol that ``given``, a name or the path of a TOML file, means.

    Raises:
        VuError: No plugin provides it, or the file is missing or invalid.
    """
    path = Path(given).expanduser()
    if path.suffix == ".toml" or path.is_file():
        return read_protocol(path)
    spec = registry.get("protocol", given).spec
    protocol = read_protocol(protocol_path(spec))
    if protocol.name != spec.name:
        raise ConfigError(f"the file of protocol '{spec.name}' calls itself '{protocol.name}'")
    return protocol


def protocol_path(spec: ProtocolSpec) -> Path:
    """Return where the file of ``spec`` lies in its installed package.

    Raises:
        VuError: The package does not hold it.
    """
    return resource_path(spec.file)


def read_protocol(path: Path) -> Protocol:
    """Return the protocol in a TOML file.

    Raises:
        ConfigError: It cannot be read, is no TOML, or a key is missing, unknown, ill-typed or out of
            range; the message names file and key, and the line of broken TOML.
    """
    try:
        content = path.read_bytes()
        table = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"protocol '{path}' cannot be read: {error.strerror}", hint="Give a name or a TOML file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"protocol '{path}' is not valid TOML: {error}") from error
    try:
        return parse_protocol(table, sha256=hashlib.sha256(content).hexdigest())
    except ConfigError as error:
        raise ConfigError(f"in protocol '{path}': {error.message}", hint=error.hint) from error


def parse_protocol(table: Mapping[str, Any], *, sha256: str = "") -> Protocol:
    """Return the protocol that the parsed TOML ``table`` describes.

    Raises:
        ConfigError: A key is missing, unknown, ill-typed or out of range.
    """
    file = _validated(_File, table, "the file")
    if not _VERSIONED.fullmatch(file.name):
        raise ConfigError(f"'name' is '{file.name}', not lower-case words and a version, as in 'emoji@1'")
    _check_pictures(file)
    if not file.metrics:
        raise ConfigError("'metrics' is empty")
    return Protocol(
        name=file.name,
        dataset=file.dataset,
        templates=file.templates,
        grid={kind: _grid_row(kind, value, file.dataset) for kind, value in file.grid.items()},
        seeds=file.seeds,
        sampler=None if file.pictures else _validated(SamplerSettings, file.sampler, "[sampler]"),
        metrics={name: _options(name, value) for name, value in file.metrics.items()},
        summary=file.summary,
        seed_rule=file.seed_rule,
        articles=file.articles,
        min_samples=file.min_samples,
        synonyms=file.synonyms,
        prompts=_validated(PromptList, file.prompts, "[prompts]") if file.prompts else None,
        pictures=_validated(AskedPictures, file.pictures, "[pictures]") if file.pictures else None,
        scorers=file.scorers,
        needs=file.needs,
        original=_validated(Original, file.original, "[original]") if file.original else None,
        deviations=file.deviations,
        published=tuple(_validated(Published, row, f"[[published]] {i}") for i, row in enumerate(file.published, 1)),
        reference=file.reference,
        sha256=sha256,
    )


def _check_pictures(file: _File) -> None:
    """Check that a file says which pictures it asks for, in one of the three ways."""
    crossed = {key: getattr(file, key) for key in ("templates", "seeds", "grid")}
    if file.pictures:
        drawing = {**crossed, "sampler": file.sampler, "prompts": file.prompts, "scorers": file.scorers}
        given = [key for key, value in drawing.items() if value]
        if given:
            raise ConfigError(
                f"'{given[0]}' and [pictures] are both given",
                hint="With [pictures] a classifier answers a dataset's pictures: nothing is drawn or judged.",
            )
        return
    if file.prompts:
        given = [key for key, value in crossed.items() if value]
        if given:
            raise ConfigError(f"'{given[0]}' and [prompts] are both given", hint="A list of prompts takes its place.")
        return
    for key, value in crossed.items():
        if not value:
            raise ConfigError(f"'{key}' is empty", hint="Or name a list of prompts in [prompts].")
    if len(set(file.seeds)) < len(file.seeds) or min(file.seeds) < 0:
        raise ConfigError(f"'seeds' is {list(file.seeds)}, not a list of different numbers from 0 up")
    for template in file.templates:
        _check_template(template, list(file.grid))


def samples_of(
    protocol: Protocol, dataset: Dataset | None, forget: tuple[Concept, ...] = (), *, download: bool = False
) -> Iterator[Sample]:
    """Yield every picture that ``protocol`` asks for, always in the same order.

    Ids are file names, in any alphabet, made of the concepts, the template (when there are several) and the seed:
    ``"cat-noto-0"``; or the place in a list of prompts: ``"00012"``; or the pictures' own. All seeds of one prompt
    share a cluster.

    Args:
        protocol: The protocol.
        dataset: Where the grid's concepts, or the pictures, come from; None where the protocol names no dataset.
        forget: What is forgotten, which the prompts of some lists ask for.
        download: Whether a list of prompts may be fetched over the network.

    Raises:
        ConfigError: The grid names a concept that ``dataset`` does not have, or that has no pictures, or two that
            would have one file name, or the list of prompts is another.
        DataError: The list of prompts is not on this machine.
    """
    if protocol.prompts:
        yield from protocol.prompts.samples(forget, download=download)
        return
    if protocol.pictures:
        yield from protocol.pictures.samples(dataset)
        return
    source = dataset if protocol.dataset else None
    rows = [_concepts(kind, names, source) for kind, names in protocol.grid.items()]
    worded = (one for cell in product(*rows) for one in wordings_of(cell, protocol.synonyms, forget))
    prompts: dict[str, str] = {}
    for cell, words, instead in worded:
        for index, template in enumerate(protocol.templates):
            prompt = template.format_map(words)
            if protocol.articles:
                prompt = _ARTICLE.sub(r"\1n", prompt)
            parts = [_UNSAFE.sub("_", name) for name in (*(concept.name for concept in cell), instead) if name]
            parts += [f"t{index}"] if len(protocol.templates) > 1 else []
            cluster = "-".join(parts)
            # Some systems do not tell upper from lower case in a file's name.
            if (other := prompts.setdefault(cluster.casefold(), prompt)) != prompt:
                raise ConfigError(f"the pictures of '{other}' and '{prompt}' would both be called '{cluster}'")
            for seed in protocol.seeds:
                yield Sample(
                    id=f"{cluster}-{seed}",
                    prompt=prompt,
                    seed=_noise_seed(seed, prompt) if protocol.seed_rule == "per-prompt" else seed,
                    attributes={concept.kind: concept.name for concept in cell},
                    cluster=cluster,
                    synonym=bool(instead),
                )


def _validated(cls: type[C], values: Mapping[str, Any], table: str) -> C:
    required = [item.name for item in fields(cls) if item.default is MISSING and item.default_factory is MISSING]  # type: ignore[arg-type]
    missing = [key for key in required if key not in values]
    if missing:
        raise ConfigError(f"{table} does not say '{missing[0]}'", hint=f"It needs: {', '.join(required)}.")
    return validate(cls, values, where=f"in {table}")


def _check_template(template: str, kinds: Sequence[str]) -> None:
    try:
        named = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ConfigError(f"the template '{template}' cannot be filled: {error}") from error
    if unknown := [name for name in named if name not in kinds]:
        raise ConfigError(
            f"the template '{template}' names '{{{unknown[0]}}}', which is no kind of the grid",
            hint=f"The grid has {', '.join(kinds)}.",
        )
    if unused := [kind for kind in kinds if kind not in named]:
        raise ConfigError(f"the template '{template}' does not use '{{{unused[0]}}}' of the grid")


def _grid_row(kind: str, value: Any, dataset: str) -> tuple[str, ...] | Literal["all"]:
    if value == ALL and dataset:
        return "all"
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        if len(set(value)) == len(value):
            return tuple(value)
        raise ConfigError(f"'grid.{kind}' names a concept twice")
    whole = f'neither "{ALL}" nor' if dataset else "and there is no dataset: it is not"
    raise ConfigError(f"'grid.{kind}' is {value!r}, {whole} a list of names")


def _options(metric: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"'metrics.{metric}' is {value!r}, not a table of options; write {metric} = {{}}")
    return value


def _concepts(kind: str, names: tuple[str, ...] | Literal["all"], dataset: Dataset | None) -> list[Concept]:
    if dataset is None:
        return [Concept(name=name, kind=kind) for name in names]
    known = {concept.name: concept for concept in dataset.concepts() if concept.kind == kind}
    if not known:
        raise ConfigError(f"the protocol's grid crosses '{kind}', a kind of which the dataset has no concept")
    if names == "all":
        return list(known.values())
    for name in names:
        if name not in known:
            raise ConfigError(
                f"the protocol's grid names the {kind} '{name}', which the dataset does not have",
                hint=did_you_mean(name, known),
            )
    return [known[name] for name in names]


def _noise_seed(seed: int, prompt: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{prompt}".encode()).digest()[:4], "little")
