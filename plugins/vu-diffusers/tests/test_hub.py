"""Hub ids: found in the local cache, never fetched unless asked for. No test uses the network."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from vu_diffusers.hub import wanted_files
from vu_diffusers.model import load

from vu_core import ModelError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty local hub cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_a_cached_model_is_found_with_its_commit(hub: Path, folders: dict[str, Path]) -> None:
    repository = hub / "models--tiny--pipeline"
    shutil.copytree(folders["sd1"], repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for revision in (None, "main", COMMIT):
        model = load("tiny/pipeline", revision=revision)
        assert model.revision == COMMIT
        assert model.name == "tiny/pipeline"
        assert len(model.sites()) == 8
    with pytest.raises(ModelError, match=r"at revision 'v2'.*--download"):
        load("tiny/pipeline", revision="v2")


def test_a_model_that_is_not_there_says_how_to_fetch_it(hub: Path) -> None:
    with pytest.raises(ModelError, match=r"neither a folder nor a hub model.*--download"):
        load("nobody/nothing")


def test_a_folder_has_no_revision(folders: dict[str, Path]) -> None:
    assert load(str(folders["sd1"])).revision is None
    with pytest.raises(ModelError, match="Only hub models have revisions"):
        load(str(folders["sd1"]), revision="main")


def test_fetching_asks_for_the_needed_files_at_one_commit(
    monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path], tmp_path: Path
) -> None:
    asked = {}
    snapshot = tmp_path / COMMIT
    names = [path.relative_to(folders["sd1"]).as_posix() for path in folders["sd1"].rglob("*") if path.is_file()]

    def model_info(_, source, revision):
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in [*names, "x.ckpt"]], sha=COMMIT)

    def snapshot_download(source, revision, allow_patterns):
        asked.update(source=source, revision=revision, files=allow_patterns)
        return shutil.copytree(folders["sd1"], snapshot)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert load("tiny/pipeline", download=True).revision == COMMIT
    assert asked == {"source": "tiny/pipeline", "revision": COMMIT, "files": sorted(names)}


def test_a_failed_fetch_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def model_info(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    with pytest.raises(ModelError, match=r"could not be fetched.*no route to host"):
        load("tiny/pipeline", download=True)


def test_only_one_variant_and_no_pickle_is_fetched() -> None:
    names = [
        "README.md",
        "model_index.json",
        "v1-5-pruned.ckpt",
        "v1-5-pruned.safetensors",
        "safety_checker/model.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.json",
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
    ]
    kept = [1, 5, 6, 7, 9, 10, 11, 14, 15, 16]
    assert wanted_files(names) == sorted(names[index] for index in kept)
