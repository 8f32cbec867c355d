"""The Python API where nothing heavy is needed: its names, its errors, and how an evaluation reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import vu_core as vu
from vu_core.chains import request_of
from vu_core.concepts import find_concepts
from vu_core.errors import EditError, ModelError, RequestError, UnknownNameError
from vu_core.types import Concept, Interval, Request, Result

FILE = Path(__file__).parents[1] / "data" / "python" / "forget_cat.py"
README = Path(__file__).parents[2] / "README.md"
CAT, NOTO = Concept(name="cat"), Concept(name="noto", kind="style", text="Noto")


class Animals:
    def concepts(self):
        return [CAT, Concept(name="dog"), NOTO]


def result(metric="ua", group="forget", **fields):
    values = {"before": 0.0, "after": 100.0, "change": 100.0, "n": 6, "unit": "%", **fields}
    return Result(metric=metric, group=group, **values)


def evaluation(*results, errors=()):
    return vu.Evaluation(model="emoji", protocol="emoji@1", forget=("cat",), results=results, errors=errors)


def test_a_shell_completes_every_public_name():
    assert set(vu.__all__) <= set(dir(vu))


def test_every_public_name_is_there():
    assert len(vu.__all__) == len(set(vu.__all__))
    assert all(getattr(vu, name) is not None for name in vu.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'unlearning_rate'"):
        _ = vu.unlearning_rate


def test_importing_is_light_until_something_is_used():
    code = """
import sys
import vu_core
lazy = {"vu_core.api", "vu_core.edits", "vu_core.editfiles"}
heavy = ({"torch", "numpy", "pydantic", "safetensors", "rich"} | lazy) & set(sys.modules)
assert not heavy, heavy
vu_core.load_model
heavy = {"torch", "diffusers", "transformers"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_users_file_passes_strict_type_checking_and_a_wrong_one_does_not(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    wrong = tmp_path / "wrong.py"
    wrong.write_text('import vu_core as vu\n\nrank: str = vu.unlearn("uce", vu.load_model(), forget="cat").rank()\n')
    options = (f"--config-file={FILE.with_name('mypy.ini')}", "--no-error-summary")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(FILE), str(wrong)], capture_output=True, text=True, check=False
    )
    (problem,) = done.stdout.splitlines()
    assert 'wrong.py:3: error: Incompatible types in assignment (expression has type "int | None"' in problem


def test_the_readme_shows_the_tested_file():
    code = FILE.read_text(encoding="utf-8").partition('"""\n\n')[2]
    assert f"```python\n{code}```" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("found", [object(), None, 3])
def test_an_object_that_nobody_adopts(install_fakes, found):
    install_fakes("good")
    with pytest.raises(ModelError, match=f"makes a model of a builtins.{type(found).__name__}.*none, as no plugin"):
        vu.load_model(found)


def test_a_model_that_was_not_loaded_is_refused():
    with pytest.raises(ModelError, match=r"a str is not a loaded model. Pass what vu.load_model returns"):
        vu.unlearn("uce", "emoji", forget="cat")


def test_a_number_is_found_by_metric_and_group():
    found = evaluation(result(), result("clip[judge,100*cos]", "retain", after=3.0))
    assert found["ua", "forget"].after == 100.0
    assert found["clip", "retain"] is found["clip[judge,100*cos]", "retain"] is found.results[1]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (("uaa", "forget"), "there is no metric 'uaa' in this evaluation. Did you mean 'ua'. Measured: ua, clip"),
        (("ua", "forgot"), "there is no group of ua 'forgot'.*Did you mean 'forget'. Measured: forget"),
        (("clip", "retain"), r"metric 'clip' is ambiguous. Say which: clip\[a\], clip\[b\]"),
    ],
)
def test_a_number_that_is_not_there(key, message):
    found = evaluation(result(), result("clip[a]", "retain"), result("clip[b]", "retain"))
    with pytest.raises(UnknownNameError, match=message):
        found[key]


def test_an_evaluation_is_printed_as_the_commands_table():
    interval = Interval(low=-1.5, high=2.0)
    kept = result("ira", "retain", before=99.0, after=98.5, change=-0.5, interval=interval, direction="up", ideal=100.0)
    found = evaluation(result(), kept, result("ira", "dog", change=-20.0), errors=("metric 'x': broke",))
    lines = str(found).splitlines()
    assert lines[0] == "emoji, emoji@1, forget cat"
    assert lines[1].split() == ["metric", "group", "before", "after", "change", "95", "%", "interval", "best", "n"]
    assert lines[4].split() == ["ira", "%", "retain", "99.0", "98.5", "~", "-0.5", "-1.5", "…", "+2.0", "↑", "100", "6"]
    assert lines[5:] == [
        "~ within noise: the interval holds 0",
        "Most damaged (ira): dog 0.0 to 100.0 % (n=6)",
        "error: metric 'x': broke",
    ]
    assert repr(found) == str(found)


def test_an_evaluation_of_a_model_alone_has_no_columns_of_a_comparison():
    alone = result(after=None, change=None, before=7.0, before_interval=Interval(low=1.0, high=9.0))
    lines = str(evaluation(alone)).splitlines()
    assert lines[1].split() == ["metric", "group", "value", "95", "%", "interval", "best", "n"]
    assert lines[3].split() == ["ua", "%", "forget", "7.0", "1.0", "…", "9.0", "–", "6"]


def test_a_notebook_shows_a_table_with_names_escaped():
    shown = evaluation(result(note="x"), errors=("a < b",))._repr_html_()
    assert "<td>100.0</td>" in shown and "a &lt; b" in shown


def test_in_a_notebook_its_text_is_the_same(monkeypatch):
    found = evaluation(result())
    expected = str(found)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")  # As its kernel does.
    assert str(found) == expected and "forget" in expected.splitlines()[3]


def test_concepts_are_texts_or_objects():
    free = Concept(name="van-gogh", kind="style", text="Van Gogh")
    known = {"style:van-gogh": free, "object:cat": CAT, "style:noto": NOTO}
    assert find_concepts(["style:van-gogh", "a, b"], None, known) == (free, Concept(name="a, b"))
    assert find_concepts(["object:cat", "noto"], Animals(), known) == (CAT, NOTO)
    with pytest.raises(RequestError, match="the dataset has no concept 'style:van-gogh'"):
        find_concepts(["style:van-gogh"], Animals(), known)
    with pytest.raises(RequestError, match="the dataset's 'style:noto' has the text 'Noto', 'noto' was given"):
        find_concepts(["style:noto"], Animals(), {"style:noto": Concept(name="noto", kind="style")})


def test_a_request_comes_back_from_an_edit():
    cat = {"name": "cat", "kind": "object", "text": "cat"}
    edit = vu.Edit.lora({}, info={"request": {"forget": [cat], "retain": [], "replace_with": []}})
    assert request_of(edit) == Request(forget=(CAT,))
    with pytest.raises(EditError, match="does not say what it was asked to forget"):
        request_of(vu.Edit.lora({}))
    for damaged in ("cat", {"forget": ["cat"]}, {"forget": [{"title": "cat"}]}):
        with pytest.raises(EditError, match="the edit's request is damaged"):
            request_of(vu.Edit.lora({}, info={"request": damaged}))
