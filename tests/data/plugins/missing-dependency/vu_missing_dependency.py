"""Imports a library that is not installed."""

import vu_library_that_is_absent  # noqa: F401

from vu_core import UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners():
    yield UnlearnerSpec(name="nothing", summary="Forget nothing.", target="vu_absent:Absent")
