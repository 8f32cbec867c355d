"""Forgets to yield."""

from vu_core import MetricSpec, hookimpl


@hookimpl
def vu_metrics():
    MetricSpec(name="lost", summary="Lost.", target="vu_returns_nothing:Lost", direction="up", unit="%")
