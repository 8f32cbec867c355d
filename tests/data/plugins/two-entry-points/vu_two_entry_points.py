"""Has two entry points, one is expected."""

from vu_core import UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners():
    yield UnlearnerSpec(name="nothing", summary="Forget nothing.", target="vu_absent:Absent")
