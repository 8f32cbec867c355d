"""What the objects behind specs must offer, as typing Protocols; nobody inherits from them.

A model offers some of the capabilities `TensorSource`, `HasSites`, `Encodes`, `Denoises`,
`Diffuses`, `Samples`, `Classifies`, `Retrains`. An unlearner's spec names those it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from vu_core.errors import ComputeError
from vu_core.metrics import MODEL as MODEL
from vu_core.metrics import OTHER as OTHER
from vu_core.metrics import Batch as Batch
from vu_core.metrics import Classes as Classes
from vu_core.metrics import Detections as Detections
from vu_core.metrics import Metric as Metric
from vu_core.metrics import ModelMetric as ModelMetric
from vu_core.metrics import Scorer as Scorer
from vu_core.metrics import Subject as Subject

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from vu_core.context import RunContext
    from vu_core.edits import Edit
    from vu_core.types import Concept, Findings, Request, Sample, SamplerSettings, Site

Split = Literal["train", "validation", "test", "membership"]


class Model(Protocol):
    """What every model offers, whatever its family.

    Attributes:
        name: How the user called it, for messages and records.
        family: ``"text-to-image"`` or ``"classifier"``.
        device: Where its modules are: ``"cpu"``, ``"cuda"``, ``"mps"``.
        dtype: Name of the floating-point type it computes in: ``"float32"``.
    """

    name: str
    family: str
    device: str
    dtype: str

    def fingerprint(self) -> str:
        """Return the sha256 (hex) of everything that decides this model's output."""

    def component(self, name: str) -> torch.nn.Module:
        """Return one component, loading it if need be, on ``device`` in ``dtype``, in eval mode."""


@runtime_checkable
class TensorSource(Protocol):
    """Reads named tensors as stored on disk, one at a time, without building modules."""

    def tensor_names(self, component: str) -> Sequence[str]:
        """Return the names of all tensors of a component, as stored."""

    def tensor(self, component: str, name: str) -> torch.Tensor:
        """Return one tensor on the CPU, in its stored dtype.

        Raises:
            ModelError: The tensor or its file is missing or damaged.
        """


@runtime_checkable
class HasSites(Protocol):
    """Knows the linear layers through which text enters."""

    def sites(self) -> Sequence[Site]:
        """Return every site, in the order of the forward pass."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Text-encoder states of some prompts.

    Attributes:
        states: By stream, float32 (N, L, d), on the CPU.
        mask: By stream, bool (N, L): True for the tokens of the prompt, including those that mark
            its beginning and end; False for padding.
        first: By stream, the index of a prompt's first content token: 1 for encoders that put a
            beginning-of-sequence token first, as CLIP does, else 0.
    """

    states: Mapping[str, torch.Tensor]
    mask: Mapping[str, torch.Tensor]
    first: Mapping[str, int]


@runtime_checkable
class Encodes(Protocol):
    """Turns prompts into the states that the sites read."""

    def encode(self, prompts: Sequence[str]) -> Encoding:
        """Return the states of ``prompts``, computed as the pipeline itself computes them."""

    def encoders(self) -> Mapping[str, str]:
        """Return the sha256 (hex) of each text encoder's weights, by component: what `encode` depends on."""


@runtime_checkable
class Denoises(Protocol):
    """Predicts noise, velocity or flow for a noisy latent."""

    @property
    def prediction_type(self) -> str:
        """``"epsilon"``, ``"v_prediction"``, ``"sample"`` or ``"flow"``."""

    def denoise(self, latents: torch.Tensor, timesteps: torch.Tensor, encoding: Encoding) -> torch.Tensor:
        """Return the prediction for ``latents`` float (N, C, h, w) at ``timesteps`` int64 (N,)."""


@runtime_checkable
class Diffuses(Protocol):
    """Trains on pictures: turns them into latents and adds the noise that the denoiser learns to undo."""

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width, in pixels, of the pictures it draws unless told otherwise."""

    @property
    def training_timesteps(self) -> int:
        """Number T of noise levels: timesteps are integers in [0, T)."""

    def posterior(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and standard deviation of the latents of ``images``, as the denoiser reads latents.

        Args:
            images: uint8 (N, 3, H, W) RGB.

        Returns:
            Two float32 tensors (N, C, h, w), on the CPU.
        """

    def posterior_key(self) -> Mapping[str, Any]:
        """Return, as JSON values, all that decides a posterior besides the image."""

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return ``latents`` (N, C, h, w) with ``noise`` of the same shape at ``timesteps`` int64 (N,)."""

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return what a perfect denoiser predicts for ``add_noise`` of the same arguments: (N, C, h, w)."""

    def unload_encoders(self) -> None:
        """Free the memory of what `posterior` and `encode` load; both load it again when called.

        No edit of these components may be applied meanwhile.
        """


@runtime_checkable
class Samples(Protocol):
    """Draws pictures from prompts."""

    def default_settings(self) -> SamplerSettings:
        """Return the settings that suit this model."""

    def sample(self, prompts: Sequence[str], seeds: Sequence[int], settings: SamplerSettings) -> Iterator[torch.Tensor]:
        """Yield one picture a prompt, in order: uint8 (3, H, W) RGB on the CPU.

        A picture depends on its prompt, its seed and the settings (micro-batch included), never on
        the others it is drawn with; except with ``noise="sequential"``.
        """

    def sampling_key(self, settings: SamplerSettings) -> Mapping[str, Any]:
        """Return, as JSON values, all that decides a picture besides prompt, seed and edits."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a classifier says about some images.

    Attributes:
        kind: Of the concepts that it tells apart: ``"class"``, ``"object"``, ...
        names: These concepts' names, in the order of the logits.
        logits: float32 (N, C).
        features: float32 (N, d): what its last layer reads.
    """

    kind: str
    names: Sequence[str]
    logits: torch.Tensor
    features: torch.Tensor

    def at(self, chosen: Any) -> Answers:
        """Return the answers to some of the images: a slice, or their positions int64 (n,)."""
        return replace(self, logits=self.logits[chosen], features=self.features[chosen])

    def labels(self, samples: Sequence[Sample]) -> torch.Tensor:
        """Return what the pictures of ``samples`` show, as positions in ``names``: int64 (N,).

        Raises:
            ComputeError: A sample shows no class that the model knows.
        """
        import torch

        places = {name: place for place, name in enumerate(self.names)}
        shown = [sample.attributes.get(self.kind, "") for sample in samples]
        unknown = next((name for name in shown if name not in places), None)
        if unknown is not None:
            raise ComputeError(f"'{unknown}' is no {self.kind} that the model knows")
        return torch.tensor([places[name] for name in shown], dtype=torch.int64)


@runtime_checkable
class Classifies(Protocol):
    """Tells classes of images apart."""

    @property
    def kind(self) -> str:
        """Of the concepts that are its classes: ``"class"``, ``"object"``, ..."""

    @property
    def classes(self) -> Sequence[str]:
        """The names of these concepts, in the order of the logits."""

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width, in pixels, of the images it reads."""

    def classify(self, images: torch.Tensor) -> Answers:
        """Return answers, on the CPU, to ``images`` float32 (N, 3, H, W), RGB in [0, 1].

        The component ``"classifier"``, in eval mode, returns the same logits for the same images: what
        normalises pixels is part of it.
        """


@runtime_checkable
class Retrains(Protocol):
    """Knows how it was trained, and can begin again."""

    def recipe(self) -> Mapping[str, Any]:
        """Return the settings that it was trained with, by name, as JSON values."""

    def fresh(self, seed: int) -> torch.nn.Module:
        """Return a component ``"classifier"`` as it was before training, its random weights decided by ``seed``."""


CAPABILITIES: dict[str, type] = {
    cls.__name__: cls for cls in (TensorSource, HasSites, Encodes, Denoises, Diffuses, Samples, Classifies, Retrains)
}


class ModelLoader(Protocol):
    """The target of a loader's `ModelSpec`."""

    def __call__(self, source: str, *, device: str, dtype: str, download: bool, revision: str | None) -> Model:
        """Return the model in the folder or under the hub id ``source``; heavy parts load on first use."""


class ModelAdopter(Protocol):
    """The adopter of a loader's `ModelSpec`."""

    def __call__(self, found: Any, *, name: str) -> Model:
        """Return a model over ``found``, an object that the user holds in memory.

        The object is shared and never changed: its modules stay where they are, in their types, modes and with
        their gradients' flags.
        """


class Dataset(Protocol):
    """The target of a `DatasetSpec`, called without arguments; with ``config=, download=`` where it has options."""

    def concepts(self) -> Sequence[Concept]:
        """Return all concepts, of every kind, in a fixed order; none where captions alone say what pictures show."""

    def neighbours(self, concept: Concept) -> Sequence[Concept]:
        """Return the other concepts of its kind, the most similar first."""

    def prompts(self, concept: Concept) -> Sequence[str]:
        """Return prompts that show ``concept``; none for a set of samples, which pictures alone show.

        The i-th prompts of two concepts of one kind differ in the concept alone.
        """

    def split(self, request: Request) -> Data:
        """Return what an unlearner may use for ``request``; never what an evaluation uses."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a dataset and what is known about it.

    Attributes:
        id: Stable name, unique within its dataset.
        caption: A sentence that is true of it; empty when there is none.
        attributes: What it shows, by kind: ``{"object": "cat", "style": "noto"}``.
        load: Called without arguments, returns its pixels; see `read`.
    """

    id: str
    caption: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    load: Callable[[], torch.Tensor] = field(repr=False, compare=False)

    def read(self) -> torch.Tensor:
        """Return its pixels: uint8 (3, H, W) RGB on the CPU.

        Raises:
            OSError: Its file is missing or damaged.
        """
        return self.load()

    def shows(self, concept: Concept) -> bool:
        """Return whether it shows ``concept``."""
        return self.attributes.get(concept.kind) == concept.name


@runtime_checkable
class HasPictures(Protocol):
    """A dataset with pictures to learn from, besides concepts and prompts."""

    def pictures(self, split: Split) -> Sequence[Picture]:
        """Return the pictures of a split, in a fixed order; no picture is in two splits.

        None is one that a protocol draws or measures, and no caption uses a protocol's wording. From those
        of ``"membership"`` nothing learns: they are what a membership attack holds against ``"train"``.
        """


@dataclass(frozen=True, kw_only=True)
class Data:
    """What an unlearner is given to learn from.

    Attributes:
        forget: The concepts to forget, as in the request.
        retain: The concepts to keep: those of the request, or the dataset's choice.
        dataset: Where prompts, neighbours and images come from; None for a free-text request.
        gone: What the model has forgotten already: not in ``retain``, and nothing to put in another's place.
    """

    forget: tuple[Concept, ...]
    retain: tuple[Concept, ...]
    dataset: Dataset | None = None
    gone: tuple[Concept, ...] = ()


class Unlearner(Protocol):
    """The target of an `UnlearnerSpec`, called without arguments."""

    def unlearn(self, model: Any, request: Request, data: Data, config: Any, ctx: RunContext) -> Edit:
        """Return the edit that makes ``model`` forget; leave the model bit for bit as it was.

        Args:
            model: Offers the capabilities that the spec's ``needs`` names.
            request: What to forget, keep and put in its place.
            data: Concepts, prompts and images that may be used.
            config: An instance of the spec's ``config`` class.
            ctx: Device, dtype, random generators, progress and log of this run.
        """


class Tracker(Protocol):
    """The target of a `TrackerSpec`, called without arguments; one instance a run.

    It runs in the process of the run: what it changes globally it puts back. An exception becomes a warning in the
    record, the tracker is not called again, and the run goes on.
    """

    def start(self, folder: Path, facts: Mapping[str, str | int | float | bool]) -> None:
        """Begin to write a run down.

        Args:
            folder: The run's folder; its name is the run's.
            facts: What was asked and with what: ``"unlearner"``, ``"forget"``, ``"option/steps"``, ``"version/torch"``.
        """

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write down what the unlearner logged at a step; a run that is continued may repeat some steps."""

    def finish(self, findings: Findings) -> None:
        """Write down what the run came to, and let go of all resources; called however the run ended."""
