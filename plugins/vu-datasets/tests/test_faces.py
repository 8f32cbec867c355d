"""The judge of people on photographs of two of them, beside dlib asked directly."""

from __future__ import annotations

import json
import re
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from typer.testing import CliRunner

from vu_core import DataError, testing
from vu_core.cli import app
from vu_core.interfaces import OTHER

dlib = pytest.importorskip("dlib", reason="needs vu-datasets[faces]")
matplotlib = pytest.importorskip("matplotlib")
skimage_data = pytest.importorskip("skimage.data")

from vu_datasets.faces import SAME_PERSON, FaceEncoder, LfwFaces  # noqa: E402

CASES = [case for case in testing.cases_of(testing.load_plugin("vu-datasets")) if "lfw-faces" in case.key]
HOPPER, COLLINS = "Grace Hopper", "Eileen Collins"


@pytest.fixture(scope="session")
def portraits() -> dict[str, Image.Image]:
    """Two people's official portraits, which other packages ship."""
    samples = Path(matplotlib.get_data_path()) / "sample_data"
    hopper = Image.open(samples / "grace_hopper.jpg").convert("RGB")
    collins = Image.fromarray(skimage_data.astronaut()).crop((100, 0, 400, 300))
    return {HOPPER: hopper.resize((256, 300)), COLLINS: collins}


def write_photographs(root: Path, portraits) -> None:
    """Write ten pictures of each person, in LFW's form."""
    for name, portrait in portraits.items():
        folder = root / "lfw" / name.replace(" ", "_")
        folder.mkdir(parents=True)
        for number in range(1, 11):
            light = ImageEnhance.Brightness(portrait).enhance(0.6 + 0.08 * number)
            light.rotate(number - 5).save(folder / f"{folder.name}_{number:04d}.jpg")


@pytest.fixture(scope="session")
def photographs(portraits, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("people")
    write_photographs(root, portraits)
    return root


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("faces-cache")


@pytest.fixture(autouse=True)
def places(photographs, session_cache, monkeypatch) -> None:
    monkeypatch.setenv("VU_DATA_DIR", str(photographs))
    monkeypatch.setenv("VU_CACHE_DIR", str(session_cache))


def tensor_of(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def verdicts(judge: LfwFaces, *pictures: Image.Image) -> list[str]:
    return [judge.score(tensor_of(picture)[None], [""]).labels()[0] for picture in pictures]


def test_people_are_told_apart_in_pictures_that_are_not_among_the_photographs(portraits):
    judge = LfwFaces()
    for name, portrait in portraits.items():
        half = portrait.resize((portrait.width // 2, portrait.height // 2))
        assert (
            verdicts(judge, ImageOps.mirror(portrait), half, ImageOps.grayscale(portrait).convert("RGB")) == [name] * 3
        )


def test_without_a_face_nobody_is_seen():
    judge = LfwFaces()
    noise = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    found = judge.score(noise, [""])
    assert found.labels() == [OTHER] and found.probabilities[0].tolist() == [0.0, 0.0, 1.0]
    assert verdicts(judge, Image.fromarray(skimage_data.coffee()).resize((300, 200))) == [OTHER]


def test_a_stranger_is_nobody(portraits, tmp_path, monkeypatch):
    write_photographs(tmp_path, {HOPPER: portraits[HOPPER]})
    monkeypatch.setenv("VU_DATA_DIR", str(tmp_path))
    assert verdicts(LfwFaces(), portraits[COLLINS], portraits[HOPPER]) == [OTHER, HOPPER]


def test_of_several_faces_the_largest_counts(portraits):
    both = Image.new("RGB", (560, 300))
    both.paste(portraits[COLLINS], (0, 0))
    both.paste(portraits[HOPPER].resize((128, 150)), (400, 0))
    assert verdicts(LfwFaces(), both) == [COLLINS]
    both.paste(portraits[HOPPER].resize((256, 300)), (304, 0))
    both.paste(portraits[COLLINS].resize((150, 150)), (0, 0))
    both.paste((0, 0, 0), (0, 150, 300, 300))
    assert verdicts(LfwFaces(), both) == [HOPPER]


def test_probabilities_follow_from_dlibs_own_descriptions(portraits, photographs):
    """Beside dlib's shorter way, which aligns by itself, and means and distances in float64."""
    import face_recognition_models as weights

    detect = dlib.get_frontal_face_detector()
    landmarks = dlib.shape_predictor(weights.pose_predictor_five_point_model_location())
    network = dlib.face_recognition_model_v1(weights.face_recognition_model_location())

    def described(picture: Image.Image) -> np.ndarray:
        pixels = np.array(picture)
        (face,) = detect(pixels, 1)
        return np.array(network.compute_face_descriptor(pixels, landmarks(pixels, face)))

    means = []
    for name in (COLLINS, HOPPER):
        files = sorted((photographs / "lfw" / name.replace(" ", "_")).iterdir())
        means.append(np.mean([described(Image.open(file)) for file in files], axis=0))
    asked = ImageOps.mirror(portraits[HOPPER])
    squares = np.array([((described(asked) - mean) ** 2).sum() for mean in means] + [SAME_PERSON**2])
    assert squares[1] < SAME_PERSON**2 < squares[0]
    wanted = np.exp(-20 * squares) / np.exp(-20 * squares).sum()
    found = LfwFaces().score(tensor_of(asked)[None], [""])
    assert list(found.names) == [COLLINS, HOPPER, OTHER]
    np.testing.assert_allclose(found.probabilities[0].numpy(), wanted, atol=1e-5)


def test_photographs_are_described_once_and_decide_the_version(portraits, tmp_path, monkeypatch):
    first = LfwFaces()
    calls = []
    real = FaceEncoder.describe
    monkeypatch.setattr(FaceEncoder, "describe", lambda self, image: calls.append(1) or real(self, image))
    assert LfwFaces().version == first.version and not calls
    write_photographs(tmp_path, portraits)
    portraits[HOPPER].save(tmp_path / "lfw" / "Grace_Hopper" / "Grace_Hopper_0001.jpg")
    monkeypatch.setenv("VU_DATA_DIR", str(tmp_path))
    assert LfwFaces().version != first.version and len(calls) == 20


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("VU_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match=r"no photographs of people: .* there is no folder .*VU_DATA_DIR.*Name_Surname"):
        LfwFaces()
    folder = tmp_path / "lfw" / "Tony_Blair"
    folder.mkdir(parents=True)
    for number in range(10):
        if number == 9:
            with pytest.raises(DataError, match=r"of people: nobody has 10 pictures.* who has 10 or more in"):
                LfwFaces()
        Image.new("RGB", (60, 60), (number, 7, 200)).save(folder / f"Tony_Blair_{number:04d}.jpg")
    with pytest.raises(DataError, match="no face was found in the photographs of 'Tony Blair'"):
        LfwFaces()
    (folder / "Tony_Blair_0003.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"the photograph '.*Tony_Blair_0003.jpg' cannot be read"):
        LfwFaces()
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(DataError, match=r"recogniser is not installed: .*pip install 'vu-datasets\[faces\]'"):
        LfwFaces()


@pytest.mark.parametrize("check", CASES, ids=lambda case: case.key)
def test_conformance_with_photographs(check: testing.Case) -> None:
    check()


def published_protocol(people: list[str], **lines: str) -> str:
    """Return lfw-identity@1 with other people, and with some lines changed."""
    text = (files("vu_datasets") / "protocols/lfw-identity-1.toml").read_text(encoding="utf-8")
    text, count = re.subn(r"^person = \[\n(    .*\n)+\]$", f"person = {json.dumps(people)}", text, flags=re.MULTILINE)
    assert count == 1
    for key, value in lines.items():
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
        assert count == 1
    return text


def test_one_person_replaced_by_another_from_the_photographs_to_the_table(tmp_path):
    """The whole way of the tutorial, on a pipeline of random weights, which draws nobody."""
    pytest.importorskip("vu_fade")
    testing.write_pipeline(tmp_path / "pipeline")
    smaller = {"seeds": "[0]", "min_samples": "10", "steps": "2", "height": "16", "width": "16"}
    (tmp_path / "people.toml").write_text(published_protocol([HOPPER, COLLINS], **smaller))
    arguments = ["run", "fade", "--model", str(tmp_path / "pipeline"), "--dataset", "lfw", "--preset", "none"]
    arguments += ["--forget", HOPPER, "--replace-with", COLLINS, "--protocol", str(tmp_path / "people.toml")]
    arguments += ["-o", "steps=2", "-o", "pictures_each=3", "-o", "batch_size=2", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["edit"]["info"]["overwriting"] == [[f"a photo of {HOPPER}", f"a photo of {COLLINS}"]]
    assert record["scorers"]["person"]["version"] == LfwFaces().version
    results = {(row["metric"], row["group"]): (row["after"], row["n"]) for row in record["results"]}
    assert results["ua", "forget"] == results["unrecognised", "forget"] == (100.0, 10)
    assert results["ua_recognised", "forget"] == results["replaced", "forget"] == (0.0, 10)
    assert results["ira", "retain"] == (0.0, 10) and results["h_c", "all"] == (0.0, 20)
    said = [sentence.partition("published: ")[2] for sentence in record["warnings"]]
    assert {"people: ten here, two in the tutorial", "steps: 2 here, 50 as published"} <= set(said)
