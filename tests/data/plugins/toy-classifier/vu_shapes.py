"""A world of classification in one plugin: bright, dark and mid-grey pictures, told apart by their class' mean."""

from __future__ import annotations

from vu_core import DatasetSpec, MetricSpec, ModelSpec, ProtocolSpec, UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners():
    for name in ("retrain", "blank", "shake"):
        yield UnlearnerSpec(
            name=name,
            summary=f"Make a classifier forget: {name}.",
            target=f"vu_shapes_work:{name.capitalize()}",
            families=("classifier",),
            needs=("TensorSource", "Classifies"),
        )


@hookimpl
def vu_metrics():
    common = {"unit": "%", "range": (0.0, 100.0), "scorers": ("model",)}
    yield MetricSpec(name="right", summary="Accuracy.", target="vu_shapes_work:Right", direction="reference", **common)
    yield MetricSpec(
        name="alike",
        summary="Share of answers that retrained models give as well.",
        target="vu_shapes_work:Alike",
        direction="up",
        ideal=100.0,
        compares="retrained",
        **common,
    )
    yield MetricSpec(
        name="blind",
        summary="Share of answers that untrained networks give as well.",
        target="vu_shapes_work:Blind",
        direction="reference",
        compares="untrained",
        **common,
    )
    yield MetricSpec(
        name="counted",
        summary="How many models forgot the same, and how many were retrained: u + 10 r.",
        target="vu_shapes_work:Counted",
        direction="down",
        compares="unlearned",
        **common,
    )
    weighing = {
        "unit": "",
        "range": (0.0, None),
        "scorers": ("model",),
        "direction": "reference",
        "examines": "weighing",
        "config": "vu_shapes_config:WeighOptions",
    }
    yield MetricSpec(name="moved", summary="How far means moved.", target="vu_shapes_work:Moved", **weighing)
    yield MetricSpec(
        name="moved_share",
        summary="The same as a share of that of retrained models.",
        target="vu_shapes_work:MovedShare",
        compares="retrained",
        ideal=1.0,
        **weighing,
    )


@hookimpl
def vu_datasets():
    yield DatasetSpec(
        name="greys",
        summary="Pictures of three brightnesses.",
        target="vu_shapes_work:Greys",
        kinds=("class",),
        config="vu_shapes_config:GreysOptions",
    )


@hookimpl
def vu_models():
    common = {"family": "classifier", "capabilities": ("TensorSource", "Classifies", "Retrains")}
    yield ModelSpec(
        name="greys-loader",
        summary="Loads folders with a greys.json.",
        target="vu_shapes_work:load",
        marker="greys.json",
        **common,
    )
    yield ModelSpec(
        name="greys",
        summary="Tells greys apart.",
        folder="vu_shapes_world:model",
        embedded=True,
        dataset="greys",
        protocol="greys@1",
        **common,
    )


@hookimpl
def vu_protocols():
    yield ProtocolSpec(name="greys@1", summary="Every picture once.", file="vu_shapes_world:greys@1.toml")
