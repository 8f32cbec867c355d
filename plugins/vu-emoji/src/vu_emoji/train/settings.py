"""What every stage of the training run is told; the defaults made the shipped weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from vu_emoji.art import PlacementRange
from vu_emoji.judges import Kind
from vu_emoji.probes import Part


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """How many images of each cell are composed once, before training."""

    plain: int = 96
    coloured: int = 64
    seed: int = 0
    placement: PlacementRange = field(default_factory=PlacementRange)


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """A small CLIP: its text half conditions the pipeline, or the whole is a judge."""

    width: int = 128
    text_layers: int = 3
    vision_layers: int = 4
    heads: int = 4
    patch: int = 16
    positions: int = 16
    projection: int = 128
    batch: int = 64
    steps: int = 1800
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    outer_learning_rate: float = 1e-3
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class ClipSettings(TextSettings):
    """The judge CLIP: another seed, other images and other placements than the pipeline's."""

    steps: int = 1300
    optimizer: str = "muon"
    learning_rate: float = 4e-3
    placement: PlacementRange = field(
        default_factory=lambda: PlacementRange(scale=(0.75, 0.95), shift=0.045, rotation=8.0)
    )
    seed: int = 21


@dataclass(frozen=True, kw_only=True)
class VaeSettings:
    """The autoencoder: 64 x 64 x 3 images to 16 x 16 x 4 latents."""

    channels: tuple[int, ...] = (16, 32, 64)
    latent_channels: int = 4
    batch: int = 12
    steps: int = 900
    learning_rate: float = 8e-3
    outer_learning_rate: float = 2e-3
    kl_weight: float = 1e-4
    seed: int = 2


@dataclass(frozen=True, kw_only=True)
class DecoderSettings:
    """Further training of the decoder with the encoder fixed."""

    batch: int = 12
    steps: int = 1600
    learning_rate: float = 4e-3
    outer_learning_rate: float = 1e-3
    noise: float = 0.1
    seed: int = 4


@dataclass(frozen=True, kw_only=True)
class UnetSettings:
    """The denoiser and its training.

    The rate rises, is held, and falls to zero only in a last stretch of ``decay`` steps that may
    start at any checkpoint. Levels whose letter in ``levels`` is ``A`` have attention.
    """

    channels: tuple[int, ...] = (64, 128, 128)
    levels: str = "CAA"
    heads: int = 4
    batch: int = 64
    optimizer: str = "muon"
    learning_rate: float = 5e-3
    outer_learning_rate: float = 1.5e-3
    warm_up: int = 50
    steps: int = 1737
    decay: int = 450
    weight_decay: float = 0.01
    ema: float = 0.998
    gamma: float = 5.0
    empty_share: float = 0.1
    save_every: int = 100
    seed: int = 3


@dataclass(frozen=True, kw_only=True)
class JudgePoolSettings:
    """How many pictures of each drawing, and unfinished samples of each cell, a judge is trained on."""

    seed: int
    part: Part = "train"
    copies: int = 100
    other_copies: int = 6
    unfinished_copies: int = 6


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """One judge; ``pool`` is the seed of its pictures, ``seed`` of its weights and of everything drawn in training."""

    kind: Kind
    network: str = "residual"
    width: int = 24
    glances: bool = False
    batch: int = 64
    steps: int
    learning_rate: float = 4e-3
    weight_decay: float = 0.05
    fit_batches: int = 40
    seed: int
    pool: int


FIRST_JUDGES = {
    "object": JudgeSettings(kind="object", steps=900, seed=11, pool=11),
    "style": JudgeSettings(kind="style", steps=1500, seed=12, pool=11),
}
_SECOND = JudgeSettings(kind="object", network="depthwise", width=32, glances=True, steps=3000, seed=31, pool=31)
SECOND_JUDGES = {
    "object-b": _SECOND,
    "style-b": replace(_SECOND, kind="style", steps=4600, seed=32),
}


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Folders of one training run."""

    root: Path

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)

    def checkpoint(self, name: str) -> Path:
        """Returns the checkpoint file of a stage."""
        return self.root / "checkpoints" / f"{name}.safetensors"

    def folder(self, name: str) -> Path:
        """Returns the folder of a finished part, in its library's own format."""
        return self.root / "parts" / name

    @property
    def pool(self) -> Path:
        """The composed training images."""
        return self.root / "pool.safetensors"

    @property
    def negatives(self) -> Path:
        """Drawings of other concepts than the catalogue's."""
        return self.root / "negatives"

    @property
    def latents(self) -> Path:
        """The cached latents and text states."""
        return self.root / "latents.safetensors"
