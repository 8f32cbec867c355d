"""A usable plugin with one component of every kind."""

from vu_core import DatasetSpec, MetricSpec, ModelSpec, ProtocolSpec, ScorerSpec, UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners():
    yield UnlearnerSpec(
        name="erase",
        summary="Erase a concept.",
        target="vu_good_work:Erase",
        config="vu_good_config:EraseConfig",
        reference="https://arxiv.org/abs/2308.14761",
        needs=("TensorSource", "HasSites"),
        families=("text-to-image",),
    )
    yield UnlearnerSpec(name="faulty", summary="Its module raises.", target="vu_good_faulty:Faulty")
    yield UnlearnerSpec(name="moved", summary="Its module lacks the class.", target="vu_good_work:Moved")


@hookimpl
def vu_metrics():
    yield MetricSpec(
        name="accuracy",
        summary="Share of pictures recognised.",
        target="vu_good_work:Accuracy",
        direction="up",
        unit="%",
        ideal=100.0,
        range=(0.0, 100.0),
        min_samples=2,
        scorers=("object",),
    )


@hookimpl
def vu_datasets():
    yield DatasetSpec(name="tiny", summary="Two concepts.", target="vu_good_work:Tiny", kinds=("object",))


@hookimpl
def vu_models():
    yield ModelSpec(
        name="tiny",
        summary="A model that travels with the plugin.",
        folder="vu_good_data:model",
        capabilities=("TensorSource", "HasSites"),
        dataset="tiny",
        protocol="tiny@1",
        presets={"erase": {"default": {"scale": 2.0}}},
    )


@hookimpl
def vu_scorers():
    yield ScorerSpec(
        name="judge", summary="Recognises objects.", target="vu_good_work:Judge", outputs="classes", role="object"
    )


@hookimpl
def vu_protocols():
    yield ProtocolSpec(name="tiny@1", summary="Two prompts.", file="vu_good_data:tiny.toml")
