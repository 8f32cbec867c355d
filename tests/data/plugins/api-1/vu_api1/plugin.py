"""Every kind of component that a plugin without a model family provides, and every observer."""

from vu_core import DatasetSpec, MetricSpec, ProtocolSpec, ScorerSpec, UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners():
    yield UnlearnerSpec(
        name="api1-repaint",
        summary="Give the forgotten concept the colour of another one.",
        target="vu_api1.work:Repaint",
        config="vu_api1.config:RepaintConfig",
        reference="https://example.org/repaint",
        needs=("TensorSource",),
        families=("text-to-image",),
        api=1,
    )


@hookimpl
def vu_metrics():
    yield MetricSpec(
        name="api1-recognised",
        summary="Share of pictures that the judge recognises.",
        target="vu_api1.work:Recognised",
        config="vu_api1.config:RecognisedConfig",
        reference="arXiv:2402.11846",
        direction="up",
        forget_direction="down",
        unit="%",
        ideal=100.0,
        range=(0.0, 100.0),
        min_samples=2,
        scorers=("animal",),
        label="api1-recognised[{animal}]",
        api=1,
    )


@hookimpl
def vu_datasets():
    yield DatasetSpec(
        name="api1-animals", summary="Five animals.", target="vu_api1.work:Animals", kinds=("animal",), api=1
    )


@hookimpl
def vu_scorers():
    yield ScorerSpec(
        name="api1-judge",
        summary="Name the animal that has a picture's colour.",
        target="vu_api1.work:Judge",
        outputs="classes",
        role="animal",
        api=1,
    )


@hookimpl
def vu_protocols():
    yield ProtocolSpec(name="api1@1", summary="Every animal four times.", file="vu_api1:api1-1.toml", api=1)


@hookimpl
def vu_run_started(record):
    (record.folder / "api1-started.txt").write_text(record.status)


@hookimpl
def vu_run_finished(record):
    (record.folder / "api1-finished.txt").write_text(record.status)


@hookimpl
def vu_run_failed(record, error):
    (record.folder / "api1-failed.txt").write_text(f"{record.status}: {error}")
