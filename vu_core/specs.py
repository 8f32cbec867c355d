"""Frozen descriptions by which a plugin announces components without importing them.

A spec holds strings and numbers only, so that it can be printed as JSON. ``target`` names the
heavy object as ``"module:attribute"``; it is imported only when the component is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from vu_core.types import Direction

API_VERSION = 1

EACH_KIND = "{kind}"
COMPARES = ("", "before", "pictures", "retrained", "unlearned", "untrained")

_NAME = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*(@[0-9]+)?")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_RESOURCE = re.compile(r"[A-Za-z_][\w.]*:[^\\]+")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What every component states about itself.

    Attributes:
        name: Lower-case words joined by ``-``, unique among the plugin's components of its kind.
        summary: One line, at most 100 characters.
        target: ``"module:attribute"`` of the object that does the work.
        reference: DOI, arXiv id or URL of the source; empty when there is none.
        api: The version of this contract the plugin was written for; always the literal number.
    """

    kind: ClassVar[str] = "component"

    name: str
    summary: str
    target: str = ""
    reference: str = ""
    api: int = 1

    def problems(self) -> list[str]:
        """Return what is wrong with this spec, one sentence each; empty when it is valid."""
        found = []
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            found.append(f"name {self.name!r} is not lower-case words joined by '-'")
        if not isinstance(self.summary, str) or not self.summary or "\n" in self.summary or len(self.summary) > 100:
            found.append("summary must be one line of 1 to 100 characters")
        if self.needs_target() and not (isinstance(self.target, str) and _TARGET.fullmatch(self.target)):
            found.append(f"target {self.target!r} is not 'module:attribute'")
        if not isinstance(self.api, int) or self.api < 1:
            found.append(f"api {self.api!r} is not a positive integer")
        return found

    def needs_target(self) -> bool:
        """Return whether this spec must name a target."""
        return True


@dataclass(frozen=True, kw_only=True)
class UnlearnerSpec(Spec):
    """An algorithm that takes a model and a request and returns an edit.

    Attributes:
        config: ``"module:Class"`` of a light frozen dataclass with its options.
        needs: Names of the capabilities in `vu_core.interfaces` that the model must offer.
        families: Kinds of model it is meant for: ``"text-to-image"``, ``"classifier"``.
    """

    kind: ClassVar[str] = "unlearner"

    config: str = ""
    needs: tuple[str, ...] = ()
    families: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MetricSpec(Spec):
    """A number computed from pictures, prompts and scorers' outputs.

    Attributes:
        direction: Which way is better: ``"up"``, ``"down"``, ``"none"``, or ``"reference"``: toward what models have
            that never learned what is forgotten.
        forget_direction: Which way is better on forgotten concepts, where that differs.
        unit: ``"%"``, ``"100 cos"``, ``"s"``, ...
        ideal: The best possible value, or None when it depends on a reference.
        range: Lowest and highest possible value; None where unbounded.
        min_samples: Fewer samples are refused.
        scorers: Roles of the scorers it needs; the protocol says which scorer plays which role.
            The role `EACH_KIND` stands for one classifier a kind of concept that the protocol
            shows, in the role named after the kind: ``"object"`` and ``"style"``. The role ``"model"`` is that of
            the classifier which is measured itself: its answers to a dataset's pictures.
        compares: What it compares pictures with. ``""``: nothing; it is computed before and after unlearning.
            ``"before"``: each picture after unlearning with the one before, of the same prompt and noise; there is
            one number for both. ``"pictures"``: all pictures with real ones of the protocol's dataset, which must
            offer `HasPictures`; it is computed before and after. ``"retrained"``: a classifier's answers with those
            of models that never learned what is forgotten; it is computed before and after, and of each of these
            models beside the others. ``"untrained"``: a classifier's answers with those of the same network before
            any training, for a model that offers `Retrains`; it is computed before and after, and of retrained models.
            ``"unlearned"``: the answers of many models that forgot the same by the same unlearner, from other seeds,
            with those of many retrained ones; it is computed after, and of one half of the retrained models beside
            the other.
        examines: What it does to the model itself, in a word: ``"relearning"``. Its target is then a
            `vu_core.metrics.ModelMetric`, which is given models instead of pictures or answers: the one before
            unlearning, after, and every retrained one. Metrics of one plugin that name the same share what is found.
            Empty for most.
        label: How results are named when the number depends on a scorer and a scale: the role in
            braces stands for its scorer's name, ``"clip_score[{clip}]"``, and an option for its value. The name
            when empty.
        config: ``"module:Class"`` of its options, when it has any.
    """

    kind: ClassVar[str] = "metric"

    direction: Direction
    forget_direction: Direction | None = None
    unit: str
    ideal: float | None = None
    range: tuple[float | None, float | None] = (None, None)
    min_samples: int = 1
    scorers: tuple[str, ...] = ()
    compares: Literal["", "before", "pictures", "retrained", "unlearned", "untrained"] = ""
    examines: str = ""
    label: str = ""
    config: str = ""

    def problems(self) -> list[str]:
        """Return what is wrong with this spec, one sentence each; empty when it is valid."""
        found = super().problems()
        if self.compares not in COMPARES:
            found.append(f"compares {self.compares!r} is none of {', '.join(map(repr, COMPARES))}")
        elif self.examines and self.compares not in ("", "retrained"):
            found.append(f"a metric that examines models compares with nothing or 'retrained', not {self.compares!r}")
        return found

    def roles(self, kinds: Iterable[str]) -> tuple[str, ...]:
        """Return the scorer roles it needs in a protocol that shows concepts of ``kinds``.

        Example:
            >>> spec = MetricSpec(name="ua", summary="...", direction="up", unit="%", scorers=(EACH_KIND,))
            >>> spec.roles(["object", "style"])
            ('object', 'style')
        """
        kinds = tuple(kinds)
        return tuple(role for named in self.scorers for role in (kinds if named == EACH_KIND else (named,)))


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """Concepts with their prompts, and images with captions, labels and attributes.

    Attributes:
        kinds: The axes its concepts lie on: ``("object", "style")``. Empty where the user's files decide
            them; files with captions alone have no concepts, and then any text is one.
        config: ``"module:Class"`` of its options, when it has any: where its files are, how it is split.
    """

    kind: ClassVar[str] = "dataset"

    kinds: tuple[str, ...] = ()
    config: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """A model that can be loaded by name, or a loader for a whole format.

    A *loader* has a ``target``, a function ``load(source, *, device, dtype, download, revision)``,
    and says by ``marker`` which folders it reads. A *named model* has a ``folder`` instead. A loader
    may also take objects that the user holds in memory: it says by ``adopts`` which, and ``adopter`` is
    the function ``adopt(found, *, name)`` that returns a model over one.

    Attributes:
        capabilities: Names of the capabilities in `vu_core.interfaces` that it offers.
        family: ``"text-to-image"`` or ``"classifier"``.
        marker: File that identifies a folder of this format: ``"model_index.json"``.
        marker_text: What the marker holds, where folders of other formats have a file of that name, too.
        hub: Whether it also loads models by their id on a hub.
        adopts: Classes of objects that it makes a model of, subclasses included, under their full names:
            ``"diffusers.pipelines.pipeline_utils.DiffusionPipeline"``.
        adopter: ``"module:attribute"`` of the function that does.
        folder: ``"package:path"`` of a folder that travels inside the plugin.
        embedded: Whether it is the model of its family that is used when the user names none.
        dataset: Name of the dataset its concepts come from.
        protocol: Name of the protocol used when the user names none.
        quick_protocol: Name of the protocol that ``--quick`` uses.
        presets: Options tuned for this model: ``{unlearner: {preset: {option: value}}}``. A preset
            called ``"default"`` is used, printed and recorded when the user names none.
        retrained: ``"package:path"`` of a folder of edits that the unlearner ``retrain`` made of this model: what
            runs that forget the same are held against.
        trainer: ``"module:attribute"`` of a loader's function ``train(dataset, config, ctx)``, which trains a model
            on a dataset's pictures and writes a folder that the loader reads, ``ctx.out_dir``; it continues what was
            interrupted there. It returns JSON values for the folder's ``vu_training.json``: ``recipe``, the settings
            that it trained with, and ``measured``: numbers by name, each with ``value``, ``unit``, ``n``, ``interval``.
        config: ``"module:Class"`` of the trainer's options.
    """

    kind: ClassVar[str] = "model"

    capabilities: tuple[str, ...] = ()
    family: str = "text-to-image"
    marker: str = ""
    marker_text: str = ""
    hub: bool = False
    adopts: tuple[str, ...] = ()
    adopter: str = ""
    folder: str = ""
    embedded: bool = False
    dataset: str = ""
    protocol: str = ""
    quick_protocol: str = ""
    presets: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    retrained: str = ""
    trainer: str = ""
    config: str = ""

    def needs_target(self) -> bool:
        """Return whether this is a loader rather than a named model."""
        return not self.folder

    def problems(self) -> list[str]:
        """Return what is wrong with this spec, one sentence each; empty when it is valid."""
        found = super().problems()
        if self.folder and self.target:
            found.append("a model has either a folder or a target, not both")
        if self.folder and not _RESOURCE.fullmatch(self.folder):
            found.append(f"folder {self.folder!r} is not 'package:path'")
        if self.target and not self.marker:
            found.append("a loader needs a marker, the file that identifies its folders")
        if self.retrained and not _RESOURCE.fullmatch(self.retrained):
            found.append(f"retrained {self.retrained!r} is not 'package:path'")
        if self.trainer and not (self.target and self.config and _TARGET.fullmatch(self.trainer)):
            found.append(f"trainer {self.trainer!r} is not the 'module:attribute' of a loader that also names a config")
        if bool(self.adopts) != bool(self.adopter):
            found.append("adopts and adopter come together: which objects, and what makes a model of one")
        if self.adopter and not (isinstance(self.adopter, str) and _TARGET.fullmatch(self.adopter)):
            found.append(f"adopter {self.adopter!r} is not 'module:attribute'")
        return found


@dataclass(frozen=True, kw_only=True)
class ScorerSpec(Spec):
    """A model that judges images.

    Attributes:
        outputs: What it computes: ``"classes"``, ``"similarity"``, ``"features"`` or ``"detections"``.
        role: What it judges: ``"object"``, ``"style"``, ``"clip"``, ...
    """

    kind: ClassVar[str] = "scorer"

    outputs: Literal["classes", "similarity", "features", "detections"]
    role: str


@dataclass(frozen=True, kw_only=True)
class ProtocolSpec(Spec):
    """A published evaluation as a data file.

    Attributes:
        file: ``"package:path"`` of the TOML file that `vu_core.protocols` reads.
    """

    kind: ClassVar[str] = "protocol"

    file: str

    def needs_target(self) -> bool:
        """Return False: a protocol is data."""
        return False

    def problems(self) -> list[str]:
        """Return what is wrong with this spec, one sentence each; empty when it is valid."""
        found = super().problems()
        if not _RESOURCE.fullmatch(self.file):
            found.append(f"file {self.file!r} is not 'package:path'")
        if "@" not in self.name:
            found.append(f"protocol name {self.name!r} has no version, as in 'name@1'")
        return found


@dataclass(frozen=True, kw_only=True)
class TrackerSpec(Spec):
    """A tool in which runs are written down as they go; it is used only when the user names it."""

    kind: ClassVar[str] = "tracker"


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """A command of ``vu``: ``target`` is a function with Typer's annotations, ``summary`` stands in the help."""

    kind: ClassVar[str] = "command"


SPEC_TYPES: tuple[type[Spec], ...] = (
    UnlearnerSpec,
    MetricSpec,
    DatasetSpec,
    ModelSpec,
    ScorerSpec,
    ProtocolSpec,
    TrackerSpec,
    CommandSpec,
)
KINDS: dict[str, type[Spec]] = {spec.kind: spec for spec in SPEC_TYPES}
