"""Implements a hook that does not exist."""

from vu_core import hookimpl


@hookimpl
def vu_unlearner():
    return ()
