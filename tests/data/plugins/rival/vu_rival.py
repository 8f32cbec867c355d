"""Provides a name that another plugin provides too."""

from vu_core import UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners():
    yield UnlearnerSpec(name="erase", summary="Forget nothing.", target="vu_absent:Absent")
