"""Start-up: nothing heavy is imported, and every way out has its exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vu_core.registry  # noqa: F401  # Before a test patches discovery: it would keep the patch.
from vu_core import cli, discovery

HEAVY = ("torch", "diffusers", "transformers", "datasets", "numpy")
GOOD = Path(__file__).parents[1] / "data" / "plugins" / "good"
PROBE = """
import json, sys
from vu_core.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
sys.stderr.write(json.dumps({"code": code, "modules": sorted(sys.modules)}))
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["list"], ["list", "--json"], ["info", "vu-good:erase"], ["doctor", "vu-good"]],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(arguments):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(GOOD)},
    )
    told = json.loads(done.stderr)
    assert told["code"] in (0, None)
    assert done.stdout
    assert not set(HEAVY) & set(told["modules"])


def test_python_m_does_what_the_command_does():
    done = subprocess.run([sys.executable, "-m", "vu_core", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "vu 0.1.0\n", "")


def test_bad_usage(vu):
    result = vu("lst")
    assert result.exit_code == 2
    assert "No such command 'lst'" in result.stderr


def test_help_is_shown_when_nothing_is_asked(vu):
    assert "Commands:" in vu().output
    assert "--install-completion" in vu("--help").stdout


def test_every_command_is_a_file(vu):
    folder = Path(cli.__file__).parent
    assert {path.stem for path in folder.glob("[a-z]*.py")} == set(cli.COMMANDS)
    shown = vu("--help").stdout
    assert all(f"\n  {name} " in shown for name in cli.COMMANDS)


def test_interrupt(vu, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(discovery, "discover", interrupt)
    result = vu("list")
    assert result.exit_code == 130
    assert result.stderr == "vu: interrupted\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "runs"), "vu: 'runs': Permission denied\n"),
        (OSError(28, "No space left on device"), "vu: No space left on device\n"),
        (ConnectionError("the hub is not there"), "vu: the hub is not there\n"),
    ],
)
def test_what_the_system_refuses_is_a_message(vu, monkeypatch, error, message):
    def fail():
        raise error

    monkeypatch.setattr(discovery, "discover", fail)
    result = vu("list")
    assert (result.exit_code, result.stderr) == (1, message)


def test_a_reader_that_has_read_enough_ends_it_quietly():
    command = f"set -o pipefail; {sys.executable} -m vu_core doctor | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""


def test_an_unexpected_exception_is_not_hidden(vu, monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr(discovery, "discover", fail)
    result = vu("list")
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)
