"""Prints when imported."""

from vu_core import UnlearnerSpec, hookimpl

print("hello from a plugin")


@hookimpl
def vu_unlearners():
    yield UnlearnerSpec(name="talk", summary="Forget nothing.", target="vu_absent:Absent")
