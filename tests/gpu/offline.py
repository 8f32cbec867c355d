"""Run the tests for accelerators on a machine that has Python, PyTorch and transformers, but no network and no nox.

    python tests/gpu/offline.py download WHEELS [--python-version 3.12]   # here, where there is a network
    python tests/gpu/offline.py run WHEELS [pytest's arguments]           # there, in a copy of this repository

WHEELS is a folder for what such a machine lacks, some megabytes. What is installed there is used as it is; what
is missing or too old comes from WHEELS, into a new environment that is removed at the end. Needs no package
outside the standard library but pip.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
USED = ("vu-diffusers", "vu-emoji", "vu-fade", "vu-metrics-image", "vu-train", "vu-uce")
"""The plugins that these tests run."""
PROJECTS = [ROOT, *(ROOT / "plugins" / name for name in USED)]
BUILD = ("hatchling", "editables")
SMALL = ("httpx", "importlib-metadata", "platformdirs", "pluggy", "psutil", "pydantic", "requests", "tomli-w")
WITH_NEEDS = (*BUILD, *SMALL, "filelock", "packaging", "pillow", "pytest", "rich", "safetensors", "typer")
ALONE = ("accelerate", "diffusers")
"""What they need besides is large and there already."""
THERE = ("torch", "transformers", "huggingface-hub", "numpy")
"""What such a machine has: the last two come with transformers."""
GLIBC = (17, 24, 27, 28, 31, 34, 35)


def download(wheels: Path, python_version: str) -> None:
    """Put the wheels that `run` needs into a folder, for another Python on Linux x86-64."""
    platforms = ["manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in GLIBC)]
    target = ["--python-version", python_version, *(part for name in platforms for part in ("--platform", name))]
    fixed = ["--only-binary=:all:", "-c", str(ROOT / "constraints.txt"), "-d", str(wheels), "-q"]
    pip(sys.executable, "download", *target, *fixed, *WITH_NEEDS)
    pip(sys.executable, "download", *target, *fixed, "--no-deps", *ALONE)
    files = sorted(wheels.glob("*.whl"))
    print(f"{len(files)} wheels, {sum(file.stat().st_size for file in files) / 2**20:.1f} MiB, in {wheels}")


def run(wheels: Path, arguments: list[str]) -> int:
    """Install the project beside this interpreter's packages, run the tests, and return pytest's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        python = environment(Path(folder) / "env")
        carried = ["-q", "--no-index", "--find-links", str(wheels.absolute())]
        pip(python, "install", *carried, *BUILD)
        editable = [part for project in PROJECTS for part in ("-e", str(project))]
        pip(python, "install", *carried, "--no-build-isolation", *editable)
        command = [python, "-m", "pytest", "-m", "gpu", "tests/gpu", *arguments]
        variables = {"HF_HUB_OFFLINE": "1", "VU_CACHE_DIR": str(Path(folder) / "cache"), **os.environ}
        return subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode


def environment(folder: Path) -> str:
    """Make an environment that sees the packages of this interpreter, and return its interpreter."""
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # system_site_packages would show the packages of the base interpreter, which is another where this one
    # is itself in an environment.
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([python, "-c", query], check=True, capture_output=True, text=True).stdout.strip()
    seen = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    Path(found, "packages_of_the_machine.pth").write_text("\n".join(seen) + "\n", encoding="utf-8")
    return str(python)


def pip(python: str, *arguments: str) -> None:
    """Run this interpreter's pip for another one."""
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *arguments], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    for name in ("download", "run"):
        actions.add_parser(name).add_argument("wheels", type=Path)
    actions.choices["download"].add_argument("--python-version", default="3.12", help="of the other machine")
    options, arguments = parser.parse_known_args()
    if options.action == "download":
        download(options.wheels, options.python_version)
        return 0
    return run(options.wheels, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
