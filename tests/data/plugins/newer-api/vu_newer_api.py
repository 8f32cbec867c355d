"""Written for a contract that this vu-core does not know."""

from vu_core import UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners():
    yield UnlearnerSpec(name="erase", summary="Erase.", target="vu_absent:Absent", api=99)
