"""Yields a spec that breaks the rules."""

from vu_core import UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners():
    yield UnlearnerSpec(name="Not A Name", summary="", target="nowhere")
