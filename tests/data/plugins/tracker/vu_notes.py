"""Trackers that write to a file, that fail at each of their steps, and a command."""

from vu_core import CommandSpec, TrackerSpec, hookimpl


@hookimpl
def vu_trackers():
    yield TrackerSpec(name="notes", summary="Write notes.jsonl into the run's folder.", target="vu_notes_work:Notes")
    for step in ("Start", "Log", "Finish"):
        yield TrackerSpec(name=f"no-{step.lower()}", summary=f"Fail in {step}.", target=f"vu_notes_work:Fails{step}")


@hookimpl
def vu_commands():
    yield CommandSpec(name="greet", summary="Say hello to someone.", target="vu_notes_work:greet")
    yield CommandSpec(name="list", summary="Hide the core's own command.", target="vu_notes_work:greet")
