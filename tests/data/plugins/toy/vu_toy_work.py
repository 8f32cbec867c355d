"""The toy's heavy half."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from vu_core import Classes, ComputeError, Concept, Data, Edit, Measurement, SamplerSettings
from vu_core.edits import applied, tensor_sha256

ANIMALS = ("cat", "dog", "fox", "bear", "frog")
PARAMETER = "paint.table.weight"


class Painting(nn.ModuleDict):
    """The toy's pipeline: what a user holds in memory."""

    def __init__(self, colours):
        super().__init__({"table": nn.Linear(5, 3, bias=False)})
        self.table.weight.data = colours.clone()


class ToyModel:
    family = "text-to-image"
    revision = None

    def __init__(self, painting, *, name, folder=None, device="cpu", dtype="float32"):
        self._painting, self.name, self.folder, self.device, self.dtype = painting, name, folder, device, dtype

    def tensor_names(self, component):
        return ["table.weight"]

    def tensor(self, component, name):
        if self.folder is None:
            return self._painting.table.weight.detach().clone()
        return load_file(self.folder / component / "model.safetensors")[name]

    def component(self, name):
        return self._painting

    def fingerprint(self):
        return tensor_sha256(self.tensor("paint", "table.weight"))

    def default_settings(self):
        return SamplerSettings(steps=1, guidance_scale=1.0, height=8, width=8)

    def sampling_key(self, settings):
        return {"model": self.fingerprint()}

    def sample(self, prompts, seeds, settings):
        for prompt, seed in zip(prompts, seeds, strict=True):
            row = next(i for i, animal in enumerate(ANIMALS) if animal in prompt)
            noise = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 4
            colour = self._painting.table.weight.detach()[:, row].view(3, 1, 1)
            yield (colour + noise).clamp(0, 255).to(torch.uint8)


def load(source, *, device, dtype, download, revision):
    colours = load_file(Path(source) / "paint" / "model.safetensors")["table.weight"]
    return ToyModel(Painting(colours), name=source, folder=Path(source), device=device, dtype=dtype)


def adopt(found, *, name):
    return ToyModel(found, name=name)


class ToyDataset:
    def concepts(self):
        return [Concept(name=name) for name in ANIMALS]

    def neighbours(self, concept):
        return [other for other in self.concepts() if other != concept]

    def prompts(self, concept):
        return [f"a {concept.text}"]

    def split(self, request):
        retain = request.retain or tuple(c for c in self.concepts() if c not in request.forget)
        return Data(forget=request.forget, retain=retain, dataset=self)


class Repaint:
    def unlearn(self, model, request, data, config, ctx):
        table = model.tensor("paint", "table.weight")
        base = {PARAMETER: tensor_sha256(table)}
        columns, changes = [], []
        for i, concept in enumerate(ctx.progress(request.forget, label="repainting")):
            other = request.replacement(i) or data.retain[0]
            forgotten, kept = ANIMALS.index(concept.name), ANIMALS.index(other.name)
            columns.append(nn.functional.one_hot(torch.tensor(forgotten), 5).float())
            changes.append(config.strength * (table[:, kept] - table[:, forgotten]))
            ctx.log(i, {"strength": config.strength})
        if config.strength == 0:
            ctx.warnings.append("repaint: a strength of 0 changes nothing")
        a, b = torch.stack(columns), torch.stack(changes, dim=1)
        if config.dense:
            return Edit.dense({PARAMETER: table + b @ a}, base=base)
        return Edit.lora({PARAMETER: (a, b)}, base=base, info={"repainted": len(columns)})


class Crash:
    def unlearn(self, model, request, data, config, ctx):
        raise RuntimeError("the unlearner broke")


class Poison:
    def unlearn(self, model, request, data, config, ctx):
        return Edit.lora({PARAMETER: (torch.ones(1, 5), torch.full((3, 1), float("nan")))})


class ToyScorer:
    name, version = "toy-object", "1"

    def __init__(self, device):
        self._colours = load_file(Path(__file__).parent / "vu_toy_world/model/paint/model.safetensors")["table.weight"]

    def score(self, images, prompts):
        mean = images.float().mean(dim=(2, 3))
        distance = torch.cdist(mean, self._colours.T)
        return Classes(names=ANIMALS, probabilities=torch.softmax(-distance, dim=1))


class DullScorer:
    name, version = "toy-dull", "7"

    def __init__(self, device):
        pass

    def score(self, images, prompts):
        return Classes(names=ANIMALS, probabilities=torch.eye(5)[-1].repeat(len(images), 1))


class Hit:
    def __init__(self, request, neighbours, config):
        self._request, self._values = request, {}

    def update(self, batch):
        for sample, label in zip(batch.samples, batch.scores["object"].labels(), strict=True):
            self._values[sample.id] = (sample.group(self._request), 100.0 * (label == sample.attributes["object"]))

    def exclude(self, sample, reason):
        pass

    def compute(self):
        for group in ("forget", "retain"):
            found = {id: value for id, (its_group, value) in self._values.items() if its_group == group}
            if not found:
                continue
            yield Measurement(
                group=group,
                value=sum(found.values()) / len(found),
                n=len(found),
                values=tuple(found.values()),
                sample_ids=tuple(found),
                clusters=tuple(found),
                success=100.0,
            )


class Fault(Hit):
    def compute(self):
        raise ComputeError("the metric broke")


class Repainted:
    """A metric that looks at the model: how far its table is from what it was."""

    def __init__(self, request, neighbours, config):
        pass

    def parts(self, subject):
        return {"table": {"samples": len(subject.samples)}}

    def examine(self, part, subject):
        with applied(subject.model, subject.edits):
            now = subject.model.component("paint").table.weight.detach().clone()
        with applied(subject.model, subject.original):
            then = subject.model.component("paint").table.weight.detach().clone()
        return {"distance": float((now - then).norm())}

    def measure(self, found, retrained):
        yield Measurement(group="all", value=found["table"]["distance"], n=1, note="no interval: one table")
