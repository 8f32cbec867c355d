"""Models small enough for unit tests: a text-to-image model with real text states and layers, and a classifier."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import layer_norm

from vu_core.errors import ModelError
from vu_core.interfaces import Answers, Encoding
from vu_core.testing.fake_data import OBJECTS
from vu_core.types import SamplerSettings, Site

_BEGIN, _END = "<begin>", "<end>"


class FakeTextToImage:
    """A fake with the capabilities `TensorSource`, `HasSites`, `Encodes`, `Denoises`, `Diffuses` and `Samples`.

    Its text encoder has what decides the correctness of closed-form unlearners in CLIP: it is causal,
    so the first row is the same for all prompts and later rows carry earlier tokens; the end token pads;
    states are layer-normed, |row|^2 = width. Each word has random states of its own, whatever the word.
    A prompt's states do not depend on the prompts they are encoded with. Pictures are 8 x 8 noise whose
    colour the prompt decides; the latents of a picture are its pixels, in [-1, 1].

    Args:
        width: Size of a state.
        length: Tokens a prompt, begin and end included; longer prompts are cut.
        blocks: Cross-attention blocks, each with a key and a value layer per stream.
        streams: Text streams, ``"text"`` alone, or ``"text"`` and ``"text_2"``, which is ``width + 8`` wide.
        bias: Whether the layers have one.
        seed: Decides weights and word states.

    Attributes:
        stored: The "file": by component, its tensors.

    Example:
        >>> model = FakeTextToImage(width=16)
        >>> states = model.encode(["cat", "a dog"]).states["text"]
        >>> states.shape, torch.equal(states[0, 0], states[1, 0])
        (torch.Size([2, 8, 16]), True)
    """

    family = "text-to-image"
    device = "cpu"
    dtype = "float32"
    prediction_type = "epsilon"
    picture_size = (8, 8)
    training_timesteps = 1000

    def __init__(
        self, *, width: int = 32, length: int = 8, blocks: int = 2, streams: int = 1, bias: bool = False, seed: int = 0
    ) -> None:
        self.name = f"fake-{seed}"
        self.length, self.seed = length, seed
        self.widths = {"text": width, "text_2": width + 8} if streams == 2 else {"text": width}
        self._unet = FakeBackbone(self.widths, blocks, bias=bias)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self._unet.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5)
        self.stored: dict[str, dict[str, torch.Tensor]] = {
            "unet": {name: tensor.clone() for name, tensor in self._unet.state_dict().items()}
        }

    def fingerprint(self) -> str:
        """Return the sha256 of the stored tensors and of what decides the text states."""
        return _sha256_of(self.stored["unet"], besides=f"{self.seed} {self.length} {self.widths}")

    def component(self, name: str) -> nn.Module:
        """Return the `FakeBackbone` that is called ``"unet"``."""
        if name != "unet":
            raise ModelError(f"'{self.name}' has no component '{name}'", hint="It has 'unet'.")
        return self._unet

    def tensor_names(self, component: str) -> Sequence[str]:
        """Return the names of all tensors of a component, as stored."""
        return sorted(self.stored[component])

    def tensor(self, component: str, name: str) -> torch.Tensor:
        """Return one stored tensor."""
        return _stored(self, component, name)

    def sites(self) -> Sequence[Site]:
        """Return every key and value layer."""
        return [
            Site(
                component="unet",
                path=path,
                role="key" if path.endswith("to_k") else "value",
                stream=stream,
                shape=(layer.out_features, layer.in_features),
                bias=layer.bias is not None,
            )
            for path, (stream, layer) in self._unet.layers().items()
        ]

    def encoders(self) -> dict[str, str]:
        """Return the sha256 of all that decides the states."""
        return {"text_encoder": hashlib.sha256(f"{self.seed} {self.length} {self.widths}".encode()).hexdigest()}

    def encode(self, prompts: Sequence[str]) -> Encoding:
        """Return the states of ``prompts``: words are split at blanks."""
        words = [prompt.split()[: self.length - 2] for prompt in prompts]
        mask = torch.tensor([[i < len(w) + 2 for i in range(self.length)] for w in words]).reshape(-1, self.length)
        states = {stream: torch.stack([self._states(w, stream) for w in words]) for stream in self.widths}
        return Encoding(states=states, mask=dict.fromkeys(states, mask), first=dict.fromkeys(states, 1))

    def denoise(self, latents: torch.Tensor, timesteps: torch.Tensor, encoding: Encoding) -> torch.Tensor:
        """Return the prediction for ``latents`` (N, C, h, w): a part of them, and a colour from the text."""
        text = self._unet(encoding.states).mean(dim=1)
        generator = torch.Generator().manual_seed(self.seed)
        colour = text @ torch.randn(text.shape[1], latents.shape[1], generator=generator) / text.shape[1] ** 0.5
        share = 0.5 + timesteps.float()[:, None, None, None] / 2000
        prediction: torch.Tensor = share * latents + colour[:, :, None, None]
        return prediction

    def posterior(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and standard deviation of the latents of ``images`` uint8 (N, 3, H, W): float32, same shape."""
        mean = images.float() / 127.5 - 1
        return mean, torch.full_like(mean, 0.1)

    def posterior_key(self) -> Mapping[str, Any]:
        """Return, as JSON values, all that decides a posterior besides the image."""
        return {"posterior": "pixels"}

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return ``latents`` with ``noise``, whose share of the variance grows linearly with ``timesteps``."""
        share = ((timesteps + 1) / self.training_timesteps)[:, None, None, None]
        return (1 - share).sqrt() * latents + share.sqrt() * noise

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return ``noise``."""
        return noise

    def unload_encoders(self) -> None:
        """Do nothing: what encodes has no memory to free."""

    def default_settings(self) -> SamplerSettings:
        """Return two steps at 8 x 8."""
        return SamplerSettings(steps=2, guidance_scale=1.0, height=8, width=8)

    def sample(self, prompts: Sequence[str], seeds: Sequence[int], settings: SamplerSettings) -> Iterator[torch.Tensor]:
        """Yield one picture a prompt, in order: uint8 (3, H, W)."""
        for prompt, seed in zip(prompts, seeds, strict=True):
            generator = torch.Generator().manual_seed(seed)
            picture = torch.randn(1, 3, settings.height or 8, settings.width or 8, generator=generator)
            with torch.no_grad():
                for step in range(settings.steps):
                    time = torch.tensor([1000 - 1000 * step // settings.steps])
                    picture = picture - self.denoise(picture, time, self.encode([prompt])) / settings.steps
            yield (picture[0].sigmoid() * 255).round().to(torch.uint8)

    def sampling_key(self, settings: SamplerSettings) -> Mapping[str, Any]:
        """Return, as JSON values, all that decides a picture besides prompt, seed and edits."""
        return {"fingerprint": self.fingerprint(), **asdict(settings)}

    def _states(self, words: Sequence[str], stream: str) -> torch.Tensor:
        """Return the states (length, width) of one prompt: the normed sum of token, position and running mean."""
        tokens = [_BEGIN, *words, *[_END] * (self.length - 1 - len(words))]
        rows = torch.stack([self._random_row("token", token, stream) for token in tokens])
        places = torch.stack([self._random_row("position", str(i), stream) for i in range(self.length)])
        running = rows.cumsum(dim=0) / torch.arange(1, self.length + 1)[:, None]
        return layer_norm(rows + 0.5 * places + 2.0 * running, (self.widths[stream],))

    def _random_row(self, kind: str, text: str, stream: str) -> torch.Tensor:
        digest = hashlib.sha256(f"{self.seed}/{stream}/{kind}/{text}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
        return torch.randn(self.widths[stream], generator=generator)


class FakeBackbone(nn.Module):
    """Cross-attention keys and values without the attention, under the paths diffusers gives them.

    Args:
        widths: By stream, the size of a state.
        blocks: Blocks, of 16, 24, 32, ... outputs, each with a key and a value layer per stream.
        bias: Whether the layers have one.
    """

    def __init__(self, widths: Mapping[str, int], blocks: int, *, bias: bool = False) -> None:
        super().__init__()
        self.streams = list(widths)
        linear = partial(nn.Linear, bias=bias)
        self.down_blocks = nn.ModuleList(
            nn.ModuleDict(
                {f"attn2_{stream}": nn.ModuleDict({side: linear(width, 16 + 8 * i) for side in ("to_k", "to_v")})}
            )
            for i in range(blocks)
            for stream, width in widths.items()
        )
        self.eval()

    def layers(self) -> dict[str, tuple[str, nn.Linear]]:
        """Return stream and layer by module path."""
        found = {name: module for name, module in self.named_modules() if isinstance(module, nn.Linear)}
        return {name: (name.split(".")[2].removeprefix("attn2_"), module) for name, module in found.items()}

    def forward(self, states: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return every layer's output for its stream's states (N, L, d), joined: (N, L, sum of outputs)."""
        return torch.cat([layer(states[stream]) for stream, layer in self.layers().values()], dim=-1)


class FakeClassifier:
    """A fake with the capabilities `TensorSource`, `Classifies` and `Retrains`: one convolution, one linear layer.

    Args:
        seed: Decides the weights.

    Attributes:
        classes: Names of the classes, in the order of the logits: the objects of `FakeDataset`.
        stored: The "file": by component, its tensors.

    Example:
        >>> model = FakeClassifier()
        >>> model.classify(torch.rand(2, 3, 8, 8)).logits.shape
        torch.Size([2, 6])
    """

    family = "classifier"
    device = "cpu"
    dtype = "float32"
    kind = "object"
    classes = OBJECTS
    picture_size = (8, 8)

    def __init__(self, *, seed: int = 0) -> None:
        self.name = f"fake-classifier-{seed}"
        self._network = self.fresh(seed)
        self.stored: dict[str, dict[str, torch.Tensor]] = {
            "classifier": {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
        }

    def fingerprint(self) -> str:
        """Return the sha256 of the stored tensors."""
        return _sha256_of(self.stored["classifier"])

    def component(self, name: str) -> nn.Module:
        """Return the network, which is called ``"classifier"``."""
        if name != "classifier":
            raise ModelError(f"'{self.name}' has no component '{name}'", hint="It has 'classifier'.")
        return self._network

    def tensor_names(self, component: str) -> Sequence[str]:
        """Return the names of all tensors of a component, as stored."""
        return sorted(self.stored[component])

    def tensor(self, component: str, name: str) -> torch.Tensor:
        """Return one stored tensor."""
        return _stored(self, component, name)

    def classify(self, images: torch.Tensor) -> Answers:
        """Return answers to ``images`` float32 (N, 3, 8, 8) in [0, 1]: logits (N, 6), features (N, 32)."""
        with torch.no_grad():
            features = self._network[:-1](images)
            return Answers(kind=self.kind, names=self.classes, logits=self._network[-1](features), features=features)

    def recipe(self) -> dict[str, Any]:
        """Return how it would be trained."""
        return {"epochs": 2, "learning_rate": 0.1, "batch_size": 6}

    def fresh(self, seed: int) -> nn.Sequential:
        """Return the network with random weights that ``seed`` decides, in eval mode."""
        with torch.random.fork_rng(devices=()):
            layers = (nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
            network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, len(self.classes))).eval()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
        return network


def _stored(model: FakeTextToImage | FakeClassifier, component: str, name: str) -> torch.Tensor:
    try:
        return model.stored[component][name]
    except KeyError as error:
        raise ModelError(f"'{model.name}' has no tensor '{component}.{name}'") from error


def _sha256_of(tensors: Mapping[str, torch.Tensor], *, besides: str = "") -> str:
    digest = hashlib.sha256(besides.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()
