"""Implements a hook with an argument that the hook does not have."""

from vu_core import hookimpl


@hookimpl
def vu_unlearners(registry):
    return ()
