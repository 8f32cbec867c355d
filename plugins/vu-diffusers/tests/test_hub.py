"""Hub ids: found in the local cache, never fetched unless asked for. No test uses the network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from vu_diffusers.families import STABLE_DIFFUSION
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


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path], list[list[str]]]:
    """Let the hub hold a folder and an old checkpoint; collects what is asked for."""

    def hold(folder: Path) -> list[list[str]]:
        asked: list[list[str]] = []
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]

        def model_info(_: object, source: str, revision: str | None) -> SimpleNamespace:
            siblings = [SimpleNamespace(rfilename=name) for name in [*names, "x.ckpt"]]
            return SimpleNamespace(siblings=siblings, sha=COMMIT)

        def snapshot_download(source: str, revision: str, allow_patterns: list[str]) -> Path:
            assert (source, revision) == ("tiny/pipeline", COMMIT)
            asked.append(allow_patterns)
            for name in allow_patterns:
                (tmp_path / COMMIT / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / name, tmp_path / COMMIT / name)
            return tmp_path / COMMIT

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
        return asked

    return hold


def test_fetching_asks_for_the_needed_files_at_one_commit(
    fetched: Callable[[Path], list[list[str]]], folders: dict[str, Path]
) -> None:
    asked = fetched(folders["sd1"])
    assert load("tiny/pipeline", download=True).revision == COMMIT
    names = [path.relative_to(folders["sd1"]).as_posix() for path in folders["sd1"].rglob("*") if path.is_file()]
    assert asked == [["model_index.json"], sorted(names)]


def test_of_a_pipeline_that_is_not_supported_the_index_alone_is_fetched(
    fetched: Callable[[Path], list[list[str]]], tmp_path: Path
) -> None:
    folder = tmp_path / "flux"
    (folder / "transformer").mkdir(parents=True)
    (folder / "transformer" / "model.safetensors").write_bytes(b"twelve billion numbers")
    (folder / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    asked = fetched(folder)
    with pytest.raises(ModelError, match=r"'tiny/pipeline' is a FluxPipeline.*not support"):
        load("tiny/pipeline", download=True)
    assert asked == [["model_index.json"]]


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
        "vae_1_0/config.json",
        "vae_1_0/diffusion_pytorch_model.safetensors",
    ]
    kept = [1, 5, 6, 7, 9, 10, 11, 14, 15, 16]
    assert wanted_files(names, STABLE_DIFFUSION) == sorted(names[index] for index in kept)
