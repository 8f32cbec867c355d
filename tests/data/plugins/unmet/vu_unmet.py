"""Can be listed, though what its unlearner needs is not installed."""

from vu_core import UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners():
    yield UnlearnerSpec(name="lacking", summary="Its module lacks a library.", target="vu_unmet_work:Lacking")
