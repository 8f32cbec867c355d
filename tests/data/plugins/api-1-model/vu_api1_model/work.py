"""A model that paints the animal a prompt names in that animal's colour; a linear layer holds the colours."""

import json
from pathlib import Path

import torch

from vu_core import ModelError, SamplerSettings
from vu_core.edits import tensor_sha256

WEIGHT = "table.weight"


class Painter(torch.nn.Module):
    """What a user may hold in memory."""

    def __init__(self, colours):
        super().__init__()
        self.names = tuple(colours)
        self.table = torch.nn.Linear(len(colours), 3, bias=False)
        self.table.weight.data = torch.tensor(list(colours.values())).T.contiguous()


class PainterModel:
    family = "text-to-image"

    def __init__(self, painter, *, name, device, dtype):
        self.painter, self.name, self.device, self.dtype = painter, name, device, dtype
        self.stored = painter.table.weight.detach().clone()

    def fingerprint(self):
        return tensor_sha256(self.stored)

    def component(self, name):
        return self.painter

    def tensor_names(self, component):
        return [WEIGHT]

    def tensor(self, component, name):
        if (component, name) != ("paint", WEIGHT):
            raise ModelError(f"'{self.name}' has no tensor '{component}.{name}'", hint=f"It has 'paint.{WEIGHT}'.")
        return self.stored.clone()

    def default_settings(self):
        return SamplerSettings(steps=1, guidance_scale=1.0, height=4, width=4)

    def sampling_key(self, settings):
        return {"fingerprint": self.fingerprint(), "steps": settings.steps}

    def sample(self, prompts, seeds, settings):
        for prompt, seed in zip(prompts, seeds, strict=True):
            row = next(i for i, name in enumerate(self.painter.names) if name in prompt)
            noise = 4 * torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(seed))
            colour = self.painter.table.weight.detach()[:, row, None, None]
            yield (colour + noise).clamp(0, 255).to(torch.uint8)


def load(source, *, device, dtype, download, revision):
    colours = json.loads((Path(source) / "api1.json").read_text())["colours"]
    return PainterModel(Painter(colours).eval(), name=str(source), device=device, dtype=dtype)


def adopt(found, *, name):
    return PainterModel(found, name=name, device="cpu", dtype="float32")
