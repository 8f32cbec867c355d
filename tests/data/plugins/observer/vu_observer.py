"""Provides nothing and watches runs."""

from vu_core import hookimpl

seen = []


@hookimpl
def vu_run_started(record):
    seen.append(("started", record))


@hookimpl
def vu_run_failed(error):
    seen.append(("failed", error))
