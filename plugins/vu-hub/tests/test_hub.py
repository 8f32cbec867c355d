"""``vu push`` and ``vu pull`` against a hub on this machine, each in a process of its own, as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hub_server import TOKEN, Repository

from vu_core import read_edit

NAME = "me/no-cat"


@pytest.fixture
def vu(hub, tmp_path):
    """Return a function that starts ``vu`` with no login but the token, and with the local hub."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    # Beside the hub's own storage protocol there is the older one, which needs no second service.
    given = {"HF_ENDPOINT": hub.address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}

    def start(*arguments, **changes):
        environment = {**kept, **given, **changes}
        command = [sys.executable, "-m", "vu_core", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return start


def test_what_was_pushed_comes_back(vu, hub, run, tmp_path):
    pushed = vu("push", run, NAME, "--private")
    assert pushed.returncode == 0, pushed.stderr
    repository = hub.repositories[NAME]
    assert repository.private and repository.commits == ["uce: forget cat"]
    assert set(repository.files) == {
        "README.md",
        "contact-sheet.png",
        "edit.safetensors",
        "pytorch_lora_weights.safetensors",
        "record.json",
    }
    assert not any(b"/home/" in content or TOKEN.encode() in content for content in repository.files.values())
    assert "POST /api/validate-yaml" in hub.asked, "the card was validated"
    assert pushed.stdout.strip() == f"{hub.address}/{NAME}/commit/{repository.sha}"

    repository.files["model.bin"] = repository.files["run.toml"] = b"anything"
    pulled = vu("pull", NAME)
    assert pulled.returncode == 0, pulled.stderr
    folder = tmp_path / "runs" / "no-cat"
    assert {path.name for path in folder.iterdir()} == set(repository.files) - {"model.bin", "run.toml"}
    assert all((folder / path.name).read_bytes() == repository.files[path.name] for path in folder.iterdir())
    assert read_edit(folder).sha256() == read_edit(run).sha256()
    for done in (pushed, pulled):
        assert TOKEN not in done.stdout + done.stderr
    assert not any(TOKEN.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    again = vu("pull", NAME)
    assert (again.returncode, "already exists" in again.stderr) == (2, True)


def test_a_second_push_is_a_second_commit(vu, hub, run):
    hub.repositories[NAME] = Repository(private=False)
    assert vu("push", run, NAME).returncode == 0
    assert vu("push", run, NAME).returncode == 0
    assert hub.repositories[NAME].commits == ["uce: forget cat"] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"HF_TOKEN": ""}, "hf auth login"),
        ({"HF_TOKEN": "hf_" + "b" * 34}, "the hub refuses access to 'me/no-cat' (401)"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE forbids the use of a hub"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "the hub cannot be reached"),
    ],
    ids=["no-token", "wrong-token", "offline", "unreachable"],
)
def test_what_goes_wrong_is_a_message(vu, hub, run, changes, message):
    done = vu("push", run, NAME, **changes)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr
    assert "hf_b" not in done.stderr
    assert hub.repositories == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE forbids the use of a hub"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "the hub cannot be reached"),
    ],
    ids=["offline", "unreachable"],
)
def test_pulling_without_a_hub_is_a_message(vu, changes, message):
    done = vu("pull", NAME, **changes)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr


def test_pulling_what_is_not_there_or_no_edit(vu, hub, run):
    missing = vu("pull", NAME)
    assert (missing.returncode, "'me/no-cat' is not there, or not open to you" in missing.stderr) == (2, True)
    hub.repositories[NAME] = Repository(private=False, files={"README.md": b"text"})
    empty = vu("pull", NAME)
    assert (empty.returncode, "holds no edit of vu" in empty.stderr) == (2, True)
    edit, record = ((run / name).read_bytes() for name in ("edit.safetensors", "record.json"))
    sha256 = read_edit(run).sha256().encode()
    forged = {"edit.safetensors": edit, "record.json": record.replace(sha256, b"0" * 64)}
    hub.repositories[NAME] = Repository(private=False, files=forged)
    other = vu("pull", NAME, "--out", "new")
    assert (other.returncode, "is not the one that its record.json describes" in other.stderr) == (2, True)
    revision = vu("pull", NAME, "--revision", "nope")
    assert (revision.returncode, "has no such revision" in revision.stderr) == (2, True)
