"""What the specs name. The model it is run on is that of the plugin in tests/data/plugins/toy."""

import torch

from vu_core import (
    Batch,
    Classes,
    ComputeError,
    Concept,
    Data,
    Edit,
    Interval,
    Measurement,
    Request,
    RunContext,
    Sample,
)
from vu_core.edits import tensor_sha256
from vu_core.interfaces import OTHER
from vu_core.statistics import mean_measurement
from vu_core.types import FORGET, NEIGHBOURS, RETAIN

COLOURS = {
    "cat": (250.0, 10.0, 20.0),
    "dog": (20.0, 240.0, 30.0),
    "fox": (30.0, 20.0, 230.0),
    "bear": (200.0, 200.0, 10.0),
    "frog": (120.0, 10.0, 200.0),
}
NAMES = tuple(COLOURS)
FAR = 60.0


class Repaint:
    def unlearn(self, model, request: Request, data: Data, config, ctx: RunContext) -> Edit:
        table = model.tensor("paint", "table.weight")
        noise = torch.rand(1, generator=ctx.generator("unused"))
        columns, changes = [], []
        for i, concept in enumerate(ctx.progress(request.forget, label="repainting")):
            other = request.replacement(i) or data.dataset.neighbours(concept)[0]
            columns.append(torch.nn.functional.one_hot(torch.tensor(NAMES.index(concept.name)), len(NAMES)).float())
            there, here = table[:, NAMES.index(other.name)], table[:, NAMES.index(concept.name)]
            changes.append(config.strength * (there - here))
            ctx.log(i, {"strength": config.strength, "noise": float(noise)})
        ctx.warnings.append("repainted")
        fields = {
            "base": {"paint.table.weight": tensor_sha256(table)},
            "unlearner": "api1-repaint",
            "info": {"forget": [concept.name for concept in request.forget], "retain": len(data.retain)},
        }
        a, b = torch.stack(columns), torch.stack(changes, dim=1)
        if config.form == "dense":
            return Edit.dense({"paint.table.weight": table + b @ a}, **fields)
        return Edit.lora({"paint.table.weight": (a, b)}, **fields)


class Recognised:
    def __init__(self, *, request, neighbours, config):
        self.request, self.neighbours, self.config = request, neighbours, config
        self.rows, self.left_out = [], []

    def update(self, batch: Batch) -> None:
        verdict = batch.scores["animal"]
        likely = verdict.probabilities.max(dim=1).values >= self.config.least
        for sample, label, counted in zip(batch.samples, verdict.labels(), likely.tolist(), strict=True):
            self.rows.append((sample, 100.0 * (counted and label == sample.attributes["animal"])))

    def exclude(self, sample: Sample, reason: str) -> None:
        self.left_out.append(sample)

    def compute(self):
        if not self.rows:
            raise ComputeError("no sample was given")
        names = {concept.name for concept in self.neighbours}
        groups = {
            FORGET: lambda sample: sample.group(self.request) == FORGET,
            RETAIN: lambda sample: sample.group(self.request) == RETAIN,
            NEIGHBOURS: lambda sample: sample.attributes["animal"] in names,
        }
        for group, belongs in groups.items():
            rows = [(sample, value) for sample, value in self.rows if belongs(sample)]
            yield mean_measurement(
                group,
                [value for _, value in rows],
                sample_ids=[sample.id for sample, _ in rows],
                clusters=[sample.cluster for sample, _ in rows],
                n_excluded=sum(map(belongs, self.left_out)),
                success=100.0,
            )
        mean = sum(value for _, value in self.rows) / len(self.rows)
        yield Measurement(
            group="cat",
            value=mean,
            n=len(self.rows),
            interval=Interval(low=0.0, high=100.0, method="none"),
            note="of all pictures",
        )


class Animals:
    def concepts(self):
        return [Concept(name=name, kind="animal", text=name) for name in NAMES]

    def neighbours(self, concept):
        return [other for other in self.concepts() if other.name != concept.name]

    def prompts(self, concept):
        return [f"one {concept.text}", f"some {concept.text}"]

    def split(self, request):
        others = tuple(concept for concept in self.concepts() if concept not in request.forget)
        return Data(forget=request.forget, retain=request.retain or others, dataset=self)


class Judge:
    name, version = "api1-judge", "1"

    def __init__(self, *, device):
        self.colours = torch.tensor(list(COLOURS.values()))

    def score(self, images, prompts):
        means = images.float().mean(dim=(2, 3))
        distances = torch.linalg.vector_norm(means[:, None] - self.colours, dim=2)
        distances = torch.cat([distances, torch.full((len(images), 1), FAR)], dim=1)
        return Classes(names=(*NAMES, OTHER), probabilities=torch.softmax(-distances, dim=1))
