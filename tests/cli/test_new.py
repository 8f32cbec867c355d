"""``vu new``: what it writes is vu-example's code under another name; it overwrites nothing."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from vu_core.cli.new import STARTERS, render
from vu_core.testing import make_dist

EXAMPLE = Path(__file__).parents[2] / "plugins" / "vu-example"
COMPONENTS = {"unlearner": "ablate", "metric": "contrast"}


@pytest.fixture(autouse=True)
def here(install_fakes, monkeypatch, tmp_path):
    install_fakes("good")
    monkeypatch.chdir(tmp_path)


def written(kind: str) -> dict[str, str]:
    return {str(path): text for path, text in render(kind, COMPONENTS[kind], plugin="vu-example")}


def functions(source: str) -> dict[str, str]:
    return {node.name: ast.dump(node) for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def statements(source: str) -> int:
    """Count statements, without imports and docstrings."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    texts = [node for node in found if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    imports = [node for node in found if isinstance(node, ast.Import | ast.ImportFrom)]
    return len(found) - len(texts) - len(imports)


@pytest.mark.parametrize("kind", COMPONENTS)
def test_the_code_is_that_of_vu_example(kind):
    files = written(kind)
    same = [path for path in files if path.startswith(("src/", "tests/")) and not path.endswith("/plugin.py")]
    assert f"src/vu_example/{kind}.py" in same and f"tests/test_{kind}.py" in same
    assert {path: files[path] for path in same} == {path: (EXAMPLE / path).read_text() for path in same}


@pytest.mark.parametrize("kind", COMPONENTS)
def test_the_page_is_that_of_vu_example(kind):
    assert f"src/vu_example/docs/{kind}/{COMPONENTS[kind]}.md" in written(kind)


def test_the_hooks_are_those_of_vu_example():
    light = "src/vu_example/plugin.py"
    hooks = {name: hook for kind in COMPONENTS for name, hook in functions(written(kind)[light]).items()}
    assert hooks == functions((EXAMPLE / light).read_text())


def test_the_project_file_is_that_of_vu_example():
    ours = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    for kind in COMPONENTS:
        theirs = tomllib.loads(written(kind)["pyproject.toml"])
        theirs["project"]["description"] = ours["project"]["description"]
        theirs["project"]["entry-points"]["vu.plugins"] = {"example": "vu_example.plugin"}
        assert theirs == ours


def test_vu_example_is_fewer_than_forty_statements():
    files = list((EXAMPLE / "src").rglob("*.py"))
    assert len(files) == 5
    assert sum(statements(file.read_text()) for file in files) < 40


@pytest.mark.parametrize("kind", STARTERS)
def test_it_writes_a_whole_project_and_says_what_to_do_next(vu, kind):
    result = vu("new", kind, "night-sky")
    assert result.exit_code == 0, result.output
    there = {str(path.relative_to("vu-night-sky")) for path in Path("vu-night-sky").rglob("*") if path.is_file()}
    assert there >= {
        "pyproject.toml",
        "README.md",
        ".github/workflows/test.yml",
        "src/vu_night_sky/__init__.py",
        "src/vu_night_sky/py.typed",
        "src/vu_night_sky/plugin.py",
        f"src/vu_night_sky/{kind}.py",
        "tests/test_conformance.py",
        f"tests/test_{kind}.py",
    }
    texts = "".join(path.read_text() for path in Path("vu-night-sky").rglob("*") if path.is_file())
    assert "class NightSky" in texts and "${" not in texts.replace("${{", "") and "example" not in texts
    for step in ("pip install -e 'vu-night-sky[test]'", "vu check vu-night-sky", "pytest vu-night-sky", "night-sky"):
        assert step in result.stdout


@pytest.mark.parametrize(("kind", "needed"), [("unlearner", "vu-metrics-image"), ("metric", "vu-uce"), ("scorer", "")])
def test_what_the_last_step_needs_is_named_where_it_is_missing(vu, install_fakes, kind, needed):
    steps = vu("new", kind, "night-sky").stdout.splitlines()
    install = next((step for step in steps if step.startswith("  pip install vu-")), "")
    assert install == (f"  pip install {' '.join(STARTERS[kind].used_with)}" if needed else "")
    assert needed in install
    install_fakes(*(pretend(name) for name in STARTERS[kind].used_with))
    assert "pip install vu-" not in vu("new", kind, "night-sky", "--out", "again").stdout


def pretend(name: str) -> Path:
    """Return a folder in which a plugin of this name is installed, with nothing in it."""
    return make_dist(Path(name).absolute(), name, {})


def test_the_prefix_may_be_given_and_another_folder_chosen(vu):
    assert vu("new", "metric", "vu-sharpness", "--out", "mine").exit_code == 0
    assert tomllib.loads(Path("mine/pyproject.toml").read_text())["project"]["name"] == "vu-sharpness"


def test_nothing_is_overwritten(vu):
    Path("vu-sharpness").mkdir()
    Path("vu-sharpness/notes.txt").write_text("mine")
    result = vu("new", "metric", "sharpness")
    assert result.exit_code == 2
    assert result.stderr == (
        "vu: 'vu-sharpness' is there already, and nothing is overwritten. Choose another with --out.\n"
    )
    assert [path.name for path in Path("vu-sharpness").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("My Metric", "vu new metric my-metric"),
        ("sharp_ness", "vu new metric sharp-ness"),
        ("3d", "vu new metric d"),
        ("../up", "vu new metric up"),
        ("ü", "vu new metric my-metric"),
        ("x" * 31, "vu new metric " + "x" * 30),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_with_one_that_can(vu, tmp_path, name, hint):
    result = vu("new", "metric", name)
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert result.stderr.endswith(f"As in: {hint}\n")


@pytest.mark.parametrize("name", ["core", "uce", "good"])
def test_the_name_of_another_plugin_is_refused(vu, tmp_path, name):
    result = vu("new", "unlearner", name)
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert result.stderr == f"vu: the name 'vu-{name}' is taken. Choose another one.\n"


def test_a_component_that_is_there_already_is_refused(vu):
    result = vu("new", "unlearner", "erase")
    assert result.exit_code == 2
    assert result.stderr == "vu: the unlearner 'erase' exists already: erase (vu-good 1.0). Choose another name.\n"
    assert vu("new", "metric", "erase").exit_code == 0


def test_a_kind_without_a_starter(vu):
    result = vu("new", "metrik", "sharpness")
    assert result.exit_code == 2
    assert result.stderr == (
        "vu: 'vu new' has no starter for a 'metrik'. Did you mean 'metric'? "
        "It writes: unlearner, metric, dataset, scorer.\n"
    )
