"""What this plugin offers to vu; imported whenever plugins are listed, so it imports nothing heavy."""

from collections.abc import Iterator

from vu_core import MetricSpec, UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners() -> Iterator[UnlearnerSpec]:
    """Yield the unlearner."""
    yield UnlearnerSpec(
        name="ablate",
        summary="Directional ablation: make the value layers blind to what a concept adds to a prompt.",
        target="vu_example.unlearner:AblateUnlearner",
        config="vu_example.config:Config",
        reference="arXiv:2406.11717",
        needs=("TensorSource", "HasSites", "Encodes"),
        families=("text-to-image",),
    )


@hookimpl
def vu_metrics() -> Iterator[MetricSpec]:
    """Yield the metric."""
    yield MetricSpec(
        name="contrast",
        summary="Mean RMS contrast of the pictures: near 0 where a model draws blanks instead of forgetting.",
        target="vu_example.metric:ContrastMetric",
        reference="doi:10.1364/JOSAA.7.002032",
        direction="none",
        unit="%",
        range=(0.0, 50.0),
    )
