"""Imports a heavy library when it is listed."""

import datasets  # noqa: F401

from vu_core import UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners():
    yield UnlearnerSpec(name="heavy", summary="Forget nothing.", target="vu_absent:Absent")
