"""Every block of the tutorials is executed, in order, in an empty folder, and prints what the page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"

TRAINED = "mkdir -p runs && cp -r $FADE_RUN runs/fade-cat"

# A reader's set-up; here everything is installed, and only the last thing that it does is left to do.
SET_UP = {
    "git clone REPOSITORY vu && cd vu": ":",
    "pip install nox && nox -s demo": "vu run uce --forget cat --quick",
    ". .nox/demo/bin/activate": ":",
    ". path/to/vu/.nox/demo/bin/activate": ":",
    "pip install -e path/to/vu/plugins/vu-train -e path/to/vu/plugins/vu-fade": ":",
    "git clone REPOSITORY vu": ":",
    "python -m venv env && . env/bin/activate": ":",
    "pip install -q hatchling": ":",
    "pip wheel -q --no-deps --no-build-isolation --wheel-dir wheels ./vu ./vu/plugins/*": ":",
    "pip install -q --find-links wheels -c vu/constraints.txt vu-emoji vu-diffusers vu-metrics-image vu-uce": ":",
    "pip install -q --find-links wheels -c vu/constraints.txt vu-fade vu-report vu-hub vu-wandb peft": ":",
    # Trained once a session; a page that shows what is printed continues it, which prints the same.
    "vu run fade --forget cat --replace-with dog --quick": TRAINED,
    "WANDB_MODE=offline vu run fade --forget cat --replace-with dog --quick --tracker wandb": (
        f"{TRAINED} && WANDB_MODE=offline vu run --resume --out runs/fade-cat --tracker wandb"
    ),
    # A program that fills the terminal; what it opens is there.
    "wandb leet wandb/latest-run": "ls wandb/latest-run/run-*.wandb",
}
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
COMMANDS = {"vu": "vu_core", "pip": "pip", "pytest": "pytest"}


@dataclass(frozen=True)
class Block:
    """A fenced block: ``sh`` and ``python`` are run, ``diff`` applied, ``text`` compared with what was printed last."""

    language: str
    text: str
    heading: str


def blocks(page: str) -> Iterator[Block]:
    heading = ""
    for found in re.finditer(r"^## ([^\n]*)$|^```(\w*)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL):
        if found[1]:
            heading = found[1]
        else:
            yield Block(found[2], found[3], heading)


def stable(text: str) -> list[str]:
    """Return the words of ``text`` without what machines and runs differ in: numbers, their marks, widths, folders."""
    text = re.sub(r"(; )?~ within noise: the interval holds 0|~ ", "", " ".join(text.split()))
    text = re.sub(r'"[^"]*(?=/vu_emoji/)', '"...', text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "sha256", text)
    text = re.sub(r"[-+]?\d+([.,]\d+)*", "0", text)
    return re.sub("─+", "─", text).split()


@pytest.fixture
def environment(tmp_path, embedded_cache, monkeypatch) -> dict[str, str]:
    """An environment of its own that sees all that this one has; what is installed into it goes when the test ends."""
    home = tmp_path / "environment"
    venv.create(home, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(home), "platbase": str(home)}))
    (packages / "parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    for command, module in COMMANDS.items():
        script = home / "bin" / command
        script.write_text(f'#!/bin/sh\nexec "{home}/bin/python" -m {module} "$@"\n')
        script.chmod(0o755)
    path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("VU_CACHE_DIR", str(embedded_cache))
    # No browser is opened.
    return {**os.environ, **OFFLINE, "PATH": path, "VIRTUAL_ENV": str(home), "COLUMNS": "80", "BROWSER": "true"}


@pytest.mark.embedded
@pytest.mark.skipif(sys.platform == "win32", reason="the commands are written for a POSIX shell")
@pytest.mark.parametrize("page", sorted(path.name for path in TUTORIALS.glob("*.md")))
def test_a_tutorial_does_what_it_says(page, environment, tmp_path, request, vu, monkeypatch):
    work = tmp_path / "work"
    work.mkdir()
    text = (TUTORIALS / page).read_text()
    if "vu run fade" in text:
        environment["FADE_RUN"] = str(request.getfixturevalue("fade_run"))
    monkeypatch.chdir(work)
    printed = ""
    found = list(blocks(text))
    assert 2 * len(found) == len(re.findall("^```", text, flags=re.MULTILINE))
    for block in found:
        if block.heading == "Next":
            suggested(block, vu)
        elif block.language == "sh":
            printed = run(block, work, environment)
        elif block.language == "python":
            printed = run_command("python -", work, environment, block.text)
        elif block.language == "diff":
            run_command("patch -p0 --no-backup-if-mismatch", work, environment, block.text)
        else:
            assert block.language == "text", f"a block of '{block.language}' cannot be executed"
            assert stable(printed) == stable(block.text)


def test_the_set_up_that_is_left_out_is_what_the_demo_does():
    demo = (ROOT / "noxfile.py").read_text().partition("def demo(")[2].partition("\n\n\n")[0]
    assert '"vu", "run", "uce", "--forget", "cat", "--quick"' in demo


def run(block: Block, work: Path, environment: dict[str, str]) -> str:
    """Run the commands of a block and return what they print."""
    commands = [SET_UP.get(line, line) for line in block.text.splitlines()]
    return "".join(run_command(command, work, environment) for command in commands)


def suggested(block: Block, vu) -> None:
    """Carry out in this process what a reader may do next; a run is only planned."""
    for line in block.text.splitlines():
        program, command, *arguments = shlex.split(line, comments=True)
        assert program == "vu"
        result = vu(command, *arguments, *(["--dry-run"] if command == "run" else []))
        assert result.exit_code == 0, f"{line}\n{result.output}"


def run_command(command: str, work: Path, environment: dict[str, str], given: str = "") -> str:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=work,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
