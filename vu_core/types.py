"""Plain data used everywhere: no behaviour beyond checking itself, no dependency."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vu_core.errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path

FORGET, RETAIN, NEIGHBOURS, ALL = "forget", "retain", "neighbours", "all"
POOLED = (FORGET, RETAIN, NEIGHBOURS, ALL)
RUN = "run"

Direction = Literal["up", "down", "reference", "none"]


@dataclass(frozen=True, kw_only=True)
class Concept:
    """A thing that can be forgotten.

    Attributes:
        name: Identifier, unique within its dataset: ``"cat"``.
        kind: The axis it lies on: ``"object"``, ``"style"``, ``"person"``, ``"class"``, ...
        text: The words that stand for it in a prompt; ``name`` when empty.
    """

    name: str
    kind: str = "object"
    text: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise RequestError("a concept needs a name, an empty one was given")
        if not self.text:
            object.__setattr__(self, "text", self.name)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to forget, what to keep and what, if anything, replaces it.

    Attributes:
        forget: What to forget; empty only where a model is measured as it is.
        retain: Concepts to keep; empty leaves the choice to the dataset.
        replace_with: Empty (the unlearner's own default), one concept for all of ``forget``,
            or one for each.

    Raises:
        RequestError: ``forget`` repeats itself or overlaps ``retain``, or
            ``replace_with`` has a length that fits neither rule or names a forgotten concept.
    """

    forget: tuple[Concept, ...]
    retain: tuple[Concept, ...] = ()
    replace_with: tuple[Concept, ...] = ()

    def __post_init__(self) -> None:
        forget = [concept.name for concept in self.forget]
        repeated = sorted({name for name in forget if forget.count(name) > 1})
        if repeated:
            raise RequestError(f"forget names {_names(repeated)} more than once", hint="Name each concept once.")
        both = sorted(set(forget) & {concept.name for concept in self.retain})
        if both:
            raise RequestError(
                f"{_names(both)} cannot be both forgotten and retained", hint="Remove it from --forget or --retain."
            )
        if len(self.replace_with) not in (0, 1, len(forget)):
            raise RequestError(
                f"{len(self.replace_with)} replacements were given, and {len(forget)} to forget",
                hint="Give none, one for all, or one for each, in the same order.",
            )
        cycle = sorted(set(forget) & {concept.name for concept in self.replace_with})
        if cycle:
            raise RequestError(f"{_names(cycle)} cannot replace a concept while being forgotten itself")

    def replacement(self, index: int) -> Concept | None:
        """Return what replaces ``forget[index]``, or None when the request leaves it open."""
        if not self.replace_with:
            return None
        return self.replace_with[0 if len(self.replace_with) == 1 else index]


@dataclass(frozen=True, kw_only=True)
class Site:
    """One linear layer through which text enters a model.

    Attributes:
        component: The pipeline component that holds it: ``"unet"``.
        path: Module path inside the component: ``"mid_block.attentions.0...attn2.to_k"``.
        role: ``"key"``, ``"value"`` or ``"embedder"``.
        stream: Name of the text stream it reads, a key of `Encoding.states`.
        shape: ``(out_features, in_features)`` of the weight.
        columns: First and one-past-last input column that the stream feeds; None for all.
        bias: Whether the layer adds a bias.
    """

    component: str
    path: str
    role: Literal["key", "value", "embedder"]
    stream: str
    shape: tuple[int, int]
    columns: tuple[int, int] | None = None
    bias: bool = False

    @property
    def parameter(self) -> str:
        """Name of the weight inside the component, as stored: ``path + ".weight"``."""
        return f"{self.path}.weight"


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """How pictures are drawn; None leaves the choice to what the model folder stores.

    Attributes:
        steps: Denoising steps, at least 1.
        guidance_scale: Classifier-free guidance as diffusers defines it; 1 switches it off.
        scheduler: A diffusers scheduler class name, or None for the stored one.
        height: Pixels.
        width: Pixels.
        negative_prompt: Text of the unconditional branch.
        micro_batch: Pictures denoised together, at least 1; a smaller last batch is padded.
        noise: ``"per-image"``: one generator for each picture's seed. ``"sequential"``: one
            generator, seeded once, drawn from in the order of the prompts, as some published
            scripts do.
    """

    steps: int = field(metadata={"ge": 1})
    guidance_scale: float = field(metadata={"ge": 0})
    scheduler: str | None = None
    height: int | None = field(default=None, metadata={"ge": 1})
    width: int | None = field(default=None, metadata={"ge": 1})
    negative_prompt: str = ""
    micro_batch: int = field(default=16, metadata={"ge": 1})
    noise: Literal["per-image", "sequential"] = "per-image"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One picture that a protocol asks for: drawn from a prompt, or a dataset's own.

    Attributes:
        id: Stable name, unique within the protocol, usable as a file name.
        prompt: Text given to the model; of a dataset's picture, its caption.
        seed: Seed of its initial noise; 0 where nothing is drawn.
        attributes: What the prompt asks to see, or the picture shows, by kind: ``{"object": "cat", "style": "noto"}``.
        cluster: Samples of one prompt share it; intervals resample whole clusters.
        split: The split of the dataset that the picture is in; empty where it is drawn.
        synonym: Whether the prompt asks for a forgotten concept in other words than its own.
    """

    id: str
    prompt: str
    seed: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""
    split: str = ""
    synonym: bool = False

    def shows(self, concept: Concept) -> bool:
        """Return whether this sample's prompt asks for ``concept``."""
        return self.attributes.get(concept.kind) == concept.name

    def group(self, request: Request) -> str:
        """Return ``"forget"`` when it shows a forgotten concept, else ``"retain"``."""
        return FORGET if any(self.shows(concept) for concept in request.forget) else RETAIN


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: Lower end.
        high: Upper end.
        level: Coverage, a fraction in (0, 1).
        method: ``"wilson"``, ``"cluster-bootstrap"``, ...
    """

    low: float
    high: float
    level: float = 0.95
    method: str = ""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number of one metric on one group of samples.

    Attributes:
        group: ``"forget"``, ``"retain"``, ``"neighbours"``, ``"all"`` of them, or a concept's name.
        value: The number in the metric's unit; None when it cannot be computed (see ``note``).
        n: Samples it is computed from.
        n_excluded: Samples left out because an image or a score was missing.
        interval: 95 % interval of ``value``; None with a reason in ``note``.
        values: One value for each sample when ``value`` is their mean, else empty.
        sample_ids: The samples of ``values``, same order: before and after are paired by them.
        clusters: The clusters of ``values``, same order.
        success: The value of a success when each of ``values`` is either that or 0, so that ``value``
            is a share: 100 for a percentage; None for another mean.
        note: What a reader must know beside the number.
    """

    group: str
    value: float | None
    n: int
    n_excluded: int = 0
    interval: Interval | None = None
    values: Sequence[float] = ()
    sample_ids: Sequence[str] = ()
    clusters: Sequence[str] = ()
    success: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.value is not None and math.isnan(self.value):
            raise ValueError(f"the value of group '{self.group}' is NaN; use None and a note")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One number of one metric on one group, before and after unlearning, or of a model alone.

    Attributes:
        metric: Name of the metric, with the scorer and the scale where the number depends on them.
        group: ``"forget"``, ``"retain"``, ``"neighbours"``, ``"all"`` of them, or a concept's name; ``"run"`` where the
            number is none of samples, but of the run itself: see `vu_core.costs`.
        before: Of the base model; None when it cannot be computed (see ``note``).
        after: Of the edited model; None when it cannot be computed, or there is none.
        change: After minus before, over the samples measured both times.
        interval: 95 % interval of ``change``.
        p_value: Probability of a change at least as large, either way, had nothing changed.
        p_holm: ``p_value`` corrected for all the tests of its evaluation.
        before_interval: 95 % interval of ``before``.
        after_interval: 95 % interval of ``after``.
        n: Samples that ``after`` is computed from, or ``before`` when that is measured alone.
        n_excluded: Samples left out of ``before`` or ``after``, whichever lacks more.
        unit: ``"%"``, ``"100 cos"``, ...
        direction: Which way is better for this group: ``"up"``, ``"down"``, ``"none"``, or ``"reference"``: toward
            what retrained models have.
        ideal: The best possible value, or None when there is no absolute one.
        success: The value of a success when ``before`` and ``after`` are shares of successes; None for others.
        reference: Mean over models that never learned what is forgotten; None without any.
        reference_interval: 95 % interval of ``reference``, over those models.
        reference_n: How many they are.
        reference_noise: How far one of them lies from the mean of the others, on average, in the metric's unit; None
            for fewer than two.
        gap: ``after`` minus ``reference``.
        note: What a reader must know beside the number.
    """

    metric: str
    group: str
    before: float | None
    after: float | None
    change: float | None
    interval: Interval | None = None
    p_value: float | None = None
    p_holm: float | None = None
    before_interval: Interval | None = None
    after_interval: Interval | None = None
    n: int
    n_excluded: int = 0
    unit: str = ""
    direction: Direction = "none"
    ideal: float | None = None
    success: float | None = None
    reference: float | None = None
    reference_interval: Interval | None = None
    reference_n: int = 0
    reference_noise: float | None = None
    gap: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a run came to, in the form in which trackers write it down.

    Attributes:
        status: ``"finished"``, ``"failed"`` or ``"interrupted"``.
        numbers: Of the pooled groups: ``"ua/forget/before"``, ``"ua/forget/after"``, ``"ua/forget/change"``, the ends
            of their 95 % intervals, ``"ua/forget/after_low"``, ``"ua/forget/after_high"``, and ``"ua/forget/n"``.
        pictures: PNG files by title: ``"contact-sheet"``, and some pairs, ``"before/cat-0"`` and ``"after/cat-0"``.
        files: The edit, in each form that the run's folder holds, ``run.toml``, ``record.json`` and the model card.
    """

    status: str
    numbers: Mapping[str, float]
    pictures: Mapping[str, Path]
    files: Sequence[Path]


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
