"""Yields one name twice."""

from vu_core import UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners():
    for _ in range(2):
        yield UnlearnerSpec(name="erase", summary="Erase.", target="vu_absent:Absent")
