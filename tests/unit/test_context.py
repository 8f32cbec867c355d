"""The surroundings of a run, without torch; generators are tested beside it."""

from pathlib import Path

from vu_core.context import RunContext


def test_a_context_is_silent_by_default():
    context = RunContext(out_dir=Path("out"))
    context.log(1, {"loss": 0.5})
    assert list(context.progress(range(3), label="counting")) == [0, 1, 2]
    assert (context.device, context.dtype, context.seed, context.warnings) == ("cpu", "float32", 0, [])


def test_progress_passes_length_and_label_on():
    told = []

    def track(items, total, label):
        told.append((total, label))
        return iter(items)

    context = RunContext(out_dir=Path("out"), track=track)
    assert list(context.progress([1, 2], label="two")) == [1, 2]
    assert list(context.progress(iter([1]), total=9, label="told")) == [1]
    assert list(context.progress(iter([1]))) == [1]
    assert told == [(2, "two"), (9, "told"), (None, "")]


def test_contexts_share_no_warnings():
    first, second = RunContext(out_dir=Path("a")), RunContext(out_dir=Path("b"))
    first.warnings.append("hot")
    assert second.warnings == []
