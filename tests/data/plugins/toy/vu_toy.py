"""A whole world in one plugin: a model that paints its prompt's concept in that concept's colour."""

from __future__ import annotations

from vu_core import (
    DatasetSpec,
    MetricSpec,
    ModelSpec,
    ProtocolSpec,
    ScorerSpec,
    UnlearnerSpec,
    hookimpl,
)

CAPABILITIES = ("TensorSource", "Samples")


@hookimpl
def vu_unlearners():
    common = {"families": ("text-to-image",), "needs": ("TensorSource",)}
    yield UnlearnerSpec(
        name="repaint",
        summary="Give the forgotten concept the colour of another one.",
        target="vu_toy_work:Repaint",
        config="vu_toy_config:RepaintConfig",
        **common,
    )
    for name in ("crash", "poison", "needy"):
        needs = ("Classifies",) if name == "needy" else ("TensorSource",)
        yield UnlearnerSpec(
            name=name,
            summary=f"An unlearner that misbehaves: {name}.",
            target=f"vu_toy_work:{name.capitalize()}",
            families=("text-to-image",) if name != "needy" else ("classifier",),
            needs=needs,
        )


@hookimpl
def vu_metrics():
    for name in ("hit", "fault"):
        yield MetricSpec(
            name=name,
            summary=f"Share of pictures in their concept's colour ({name}).",
            target=f"vu_toy_work:{name.capitalize()}",
            direction="up",
            unit="%",
            ideal=100.0,
            range=(0.0, 100.0),
            scorers=("object",),
        )
    yield MetricSpec(
        name="repainted",
        summary="How far the table of colours is from where it was.",
        target="vu_toy_work:Repainted",
        direction="none",
        unit="",
        range=(0.0, None),
        examines="comparing tables",
    )
    yield MetricSpec(
        name="lonely", summary="Needs a judge nobody names.", target="x:Y", direction="up", unit="%", scorers=("ghost",)
    )


@hookimpl
def vu_datasets():
    yield DatasetSpec(name="toy", summary="Five animals.", target="vu_toy_work:ToyDataset", kinds=("object",))


@hookimpl
def vu_models():
    yield ModelSpec(
        name="toy-loader",
        summary="Loads folders with a toy.json.",
        target="vu_toy_work:load",
        marker="toy.json",
        adopts=("vu_toy_work.Painting",),
        adopter="vu_toy_work:adopt",
        capabilities=CAPABILITIES,
    )
    yield ModelSpec(
        name="toy",
        summary="Paints animals.",
        folder="vu_toy_world:model",
        capabilities=CAPABILITIES,
        embedded=True,
        dataset="toy",
        protocol="toy@1",
        quick_protocol="toy-quick@1",
        presets={"repaint": {"default": {"strength": 0.75}, "full": {"strength": 1.0}}},
    )


@hookimpl
def vu_scorers():
    yield ScorerSpec(
        name="toy-object", summary="Names a colour.", target="vu_toy_work:ToyScorer", outputs="classes", role="object"
    )
    yield ScorerSpec(
        name="toy-dull", summary="Sees frogs only.", target="vu_toy_work:DullScorer", outputs="classes", role="object"
    )
    yield ScorerSpec(
        name="toy-ghost", summary="Sees ghosts.", target="vu_toy_work:DullScorer", outputs="classes", role="ghost"
    )


@hookimpl
def vu_protocols():
    yield ProtocolSpec(name="toy@1", summary="Every animal twelve times.", file="vu_toy_world:toy@1.toml")
    yield ProtocolSpec(name="toy-quick@1", summary="Every animal once.", file="vu_toy_world:toy-quick@1.toml")
