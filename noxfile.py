"""What people and CI run: ``nox -s demo``, ``nox -s tests`` and the checks around them.

Versions come from constraints.txt. pip, not another installer, is used throughout, so that a local
build of torch is found where there is one.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
DEMO_PLUGINS = ("vu-diffusers", "vu-emoji", "vu-uce", "vu-metrics-image")
TEST_TOOLS = ("pytest", "hypothesis", "peft", "torchmetrics", "datasets")
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


def install_project(session: nox.Session, *extra: str) -> None:
    """Install the core and every plugin in place."""
    paths = [argument for path in (ROOT, *PLUGINS) for argument in ("-e", str(path))]
    install(session, *paths, *extra)


@nox.session(default=True)
def demo(session: nox.Session) -> None:
    """Make the embedded model forget 'cat' and show the result."""
    wanted = [ROOT, *(ROOT / "plugins" / name for name in DEMO_PLUGINS)]
    install(session, *(argument for path in wanted for argument in ("-e", str(path))))
    session.run("vu", "run", "uce", "--forget", "cat", "--quick", *session.posargs)


@nox.session(default=False)
def tests(session: nox.Session) -> None:
    """Run every test: the core's, the plugins', and the real CLI on the embedded model."""
    install_project(session, *TEST_TOOLS)
    session.env["VU_CACHE_DIR"] = str(Path(session.create_tmp()) / "cache")
    folders = ["tests", *(str(path / "tests") for path in PLUGINS)]
    session.run("pytest", *(session.posargs or folders))


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
    """Check types strictly: the core, and every plugin."""
    install_project(session, "mypy", "resvg-py", "torchmetrics")
    session.run("mypy", "vu_core", *(str(path / "src") for path in PLUGINS))


@nox.session(default=False)
def imports(session: nox.Session) -> None:
    """Check that modules depend on each other in the documented direction only."""
    install_project(session, "import-linter")
    session.run("lint-imports")


@nox.session(default=False)
def wheels(session: nox.Session) -> None:
    """Build every distribution, install the wheels elsewhere, and use them as a stranger would."""
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

    def pip(*names: str) -> None:
        found = [str(next(dist.glob(f"{name.replace('-', '_')}-*.whl"))) for name in names]
        session.run(str(bin_dir / "python"), "-m", "pip", "install", "-q", *constraints, *found, external=True)

    def vu(*arguments: str) -> None:
        session.run(str(bin_dir / "vu"), *arguments, external=True)

    with session.chdir(elsewhere):
        pip("vu-core")
        vu("list")
        pip("vu-uce")
        vu("info", "uce")
        pip(*(path.name for path in PLUGINS))
        vu("list", "--strict")
        vu("run", "uce", "--forget", "cat", "--quick", "--out", "run")


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    install(session, "mkdocs-material", "mkdocstrings[python]", "ruff")
    session.env["NO_MKDOCS_2_WARNING"] = "1"
    session.run("mkdocs", "build", "--strict", "--site-dir", str(Path(session.create_tmp()).absolute() / "site"))


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Run a benchmark by name (``nox -s bench -- uce``); prints ratios, asserts nothing about time."""
    install_project(session)
    name, *arguments = session.posargs or ["startup"]
    session.run("python", f"benchmarks/{name}.py", *arguments)


@nox.session(default=False)
def gpu(session: nox.Session) -> None:
    """Run the tests that need an accelerator."""
    install_project(session, *TEST_TOOLS)
    session.run("pytest", "-m", "gpu", "tests", *(str(path / "tests") for path in PLUGINS), *session.posargs)


def light_modules() -> list[Path]:
    """Return the files that must import nothing heavy."""
    core = [ROOT / "vu_core" / name for name in ("__init__.py", "discovery.py", "registry.py", "specs.py")]
    core += [
        ROOT / "vu_core" / name for name in ("config.py", "errors.py", "types.py", "interfaces.py", "hookspecs.py")
    ]
    core += sorted((ROOT / "vu_core" / "cli").glob("*.py"))
    return core + [path for plugin in PLUGINS for path in plugin.glob("src/*/*.py") if path.name in LIGHT]
