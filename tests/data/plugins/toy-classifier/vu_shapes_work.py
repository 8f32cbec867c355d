"""The heavy half: a classifier by nearest class mean, which is trained in closed form."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from vu_core import Answers, Concept, Data, Edit, Measurement
from vu_core.edits import applied, tensor_sha256
from vu_core.interfaces import Picture
from vu_core.statistics import mean_measurement

CLASSES = ("dark", "grey", "bright")
LEVEL = {"dark": 40, "grey": 120, "bright": 200}


class NearestMean(nn.Module):
    """Logits are minus the squared distance of a picture's brightness from each class' mean, a buffer."""

    def __init__(self, means):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("means", means.clone())

    def forward(self, images):
        return -self.scale * (images.mean(dim=(1, 2, 3))[:, None] - self.means[None]).square()


class GreysModel:
    family, kind, classes, picture_size, revision = "classifier", "class", CLASSES, (4, 4), None

    def __init__(self, source, device, dtype):
        self.name, self.folder, self.device, self.dtype = source, Path(source), device, dtype
        self.asked = 0

    def stored(self):
        return load_file(self.folder / "classifier" / "model.safetensors")

    def tensor_names(self, component):
        return sorted(self.stored())

    def tensor(self, component, name):
        return self.stored()[name]

    def component(self, name):
        if not hasattr(self, "_network"):
            self._network = NearestMean(self.stored()["means"]).eval()
        return self._network

    def fingerprint(self):
        return tensor_sha256(self.tensor("classifier", "means"))

    def recipe(self):
        return {}

    def fresh(self, seed):
        means = torch.rand(3, generator=torch.Generator().manual_seed(seed))
        return NearestMean(means).eval()

    def classify(self, images):
        self.asked += len(images)
        features = images.mean(dim=(1, 2, 3))[:, None]
        return Answers(kind="class", names=CLASSES, logits=self.component("classifier")(images), features=features)


def load(source, *, device, dtype, download, revision):
    return GreysModel(source, device, dtype)


class Greys:
    def __init__(self, config, download=False):
        self.each = config.each

    def concepts(self):
        return [Concept(name=name, kind="class") for name in CLASSES]

    def neighbours(self, concept):
        return [other for other in self.concepts() if other != concept]

    def prompts(self, concept):
        return [f"a {concept.text} picture"]

    def pictures(self, split):
        start = {"train": 0, "validation": 1000, "test": 2000, "membership": 3000}[split]
        return [
            Picture(
                id=f"{split}-{name}-{i}", caption="", attributes={"class": name}, load=partial(_pixels, name, start + i)
            )
            for name in CLASSES
            for i in range(self.each)
        ]

    def split(self, request):
        retain = tuple(concept for concept in self.concepts() if concept not in request.forget)
        return Data(forget=request.forget, retain=request.retain or retain, dataset=self)


def _pixels(name, seed):
    noise = torch.randint(-40, 41, (), generator=torch.Generator().manual_seed(seed))
    return torch.full((3, 4, 4), int(LEVEL[name] + noise), dtype=torch.uint8)


class Retrain:
    """The class means of what is kept, of a random half; a class that is never seen lies infinitely far off."""

    def unlearn(self, model, request, data, config, ctx):
        means = torch.full((3,), 9.0)
        generator = ctx.generator("retrain")
        for place, name in enumerate(CLASSES):
            kept = [p for p in data.dataset.pictures("train") if p.attributes["class"] == name]
            if any(p.shows(concept) for p in kept for concept in request.forget):
                continue
            chosen = torch.randperm(len(kept), generator=generator)[: len(kept) // 2]
            means[place] = torch.stack([kept[i].read().float().mean() / 255 for i in chosen.tolist()]).mean()
        return _edit(model, means)


class Blank:
    """Only the forgotten class' mean goes."""

    def unlearn(self, model, request, data, config, ctx):
        means = model.tensor("classifier", "means").clone()
        for concept in request.forget:
            means[CLASSES.index(concept.name)] = 9.0
        return _edit(model, means)


def _edit(model, means):
    base = {"classifier.means": tensor_sha256(model.tensor("classifier", "means"))}
    return Edit.dense({"classifier.means": means}, base=base)


class Right:
    """Accuracy on test pictures, by group."""

    def __init__(self, request, neighbours, config):
        self._request, self._values = request, {"forget": {}, "retain": {}}

    def update(self, batch):
        answers = batch.scores["model"]
        right = answers.logits.argmax(dim=1) == answers.labels(batch.samples)
        for sample, hit in zip(batch.samples, right.tolist(), strict=True):
            if sample.split == "test":
                self._values[sample.group(self._request)][sample.id] = 100.0 * hit

    def exclude(self, sample, reason):
        pass

    def compute(self):
        for group, values in self._values.items():
            if values:
                ids = tuple(values)
                yield mean_measurement(group, tuple(values.values()), sample_ids=ids, clusters=ids, success=100.0)


class Alike:
    """Share of answers that other models give as well."""

    others = "retrained"

    def __init__(self, request, neighbours, config):
        self._alike = []

    def update(self, batch):
        mine = batch.scores["model"].logits.argmax(dim=1)
        others = torch.stack([answers.logits.argmax(dim=1) for answers in getattr(batch, self.others)])
        self._alike += (others == mine).double().mean(dim=0).tolist()

    def exclude(self, sample, reason):
        pass

    def compute(self):
        mean = 100.0 * sum(self._alike) / len(self._alike)
        yield Measurement(group="all", value=mean, n=len(self._alike), note="no interval")


class Blind(Alike):
    others = "untrained"


class Shake:
    """All means are moved a little, and the forgotten class' mean goes."""

    def unlearn(self, model, request, data, config, ctx):
        means = model.tensor("classifier", "means") + 0.001 * torch.randn(3, generator=ctx.generator("shake"))
        for concept in request.forget:
            means[CLASSES.index(concept.name)] = 9.0
        return _edit(model, means)


class Counted:
    """How many other models stand beside."""

    def __init__(self, request, neighbours, config):
        self._counts = set()

    def update(self, batch):
        self._counts.add((len(batch.unlearned), len(batch.retrained)))

    def exclude(self, sample, reason):
        pass

    def compute(self):
        ((unlearned, retrained),) = self._counts
        yield Measurement(group="all", value=unlearned + 10.0 * retrained, n=1, note="no interval")


EXAMINED = []


class Moved:
    """How far the means of dark and bright pictures are from where they were; each is a part."""

    def __init__(self, request, neighbours, config):
        self._request, self._times = request, config.times

    def parts(self, subject):
        return {name: {"rule": 1} for name in ("dark", "bright")} if self._request.forget else {}

    def examine(self, part, subject):
        EXAMINED.append((part, len(subject.edits)))
        place = subject.model.classes.index(part)
        now, then = (self._mean(subject.model, edits, place) for edits in (subject.edits, subject.original))
        return {"moved": self._times * abs(now - then)}

    def _mean(self, model, edits, place):
        with applied(model, edits):
            return float(model.component("classifier").means[place])

    def measure(self, found, retrained):
        yield self.measurement([one["moved"] for one in found.values()], found)

    def measurement(self, values, found):
        if not values:
            return Measurement(group="forget", value=None, n=0, note="nothing is forgotten")
        return Measurement(group="forget", value=sum(values) / len(values), n=len(values), note="no interval")


class MovedShare(Moved):
    def measure(self, found, retrained):
        others = [one["moved"] for model in retrained for one in model.values()]
        mean = sum(others) / len(others) if others else 1.0
        yield self.measurement([one["moved"] / mean for one in found.values()], found)
