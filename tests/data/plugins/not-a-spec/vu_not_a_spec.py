"""Yields something that is no spec."""

from vu_core import hookimpl


@hookimpl
def vu_unlearners():
    yield {"name": "erase"}
