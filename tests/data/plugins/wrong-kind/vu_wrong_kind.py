"""Yields an unlearner where metrics belong."""

from vu_core import UnlearnerSpec, hookimpl


@hookimpl
def vu_metrics():
    yield UnlearnerSpec(name="erase", summary="Erase.", target="vu_absent:Absent")
