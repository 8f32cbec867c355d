"""Has a hook that raises."""

from vu_core import hookimpl


@hookimpl
def vu_metrics():
    yield from ()
    raise KeyError("weights")
