"""Each data set's own form: its concepts, its pictures, and what is said of files that are not as they should be."""

from __future__ import annotations

import json
import shutil
from typing import get_args

import pytest
import torch

from vu_core import Concept, ConfigError, DataError, Request
from vu_core.datasets import open_dataset
from vu_core.interfaces import HasPictures, Split
from vu_core.registry import Registry

SPLITS = get_args(Split)
NAMES = ("images", "lfw", "imagenette", "unlearncanvas", "coco-captions")


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


@pytest.fixture
def open_(registry, data_dir):
    return lambda name, **options: open_dataset(registry.get("dataset", name), options)


def by_split(dataset):
    return {split: [picture.id for picture in dataset.pictures(split)] for split in SPLITS}


def all_pictures(dataset):
    return [picture for split in SPLITS for picture in dataset.pictures(split)]


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_is_in_one_split_and_can_be_read(open_, name):
    dataset = open_(name)
    assert isinstance(dataset, HasPictures)
    parts = by_split(dataset)
    ids = [id_ for part in parts.values() for id_ in part]
    assert len(ids) == len(set(ids)) > 0
    assert parts["train"] and parts == by_split(open_(name))
    for one in dataset.pictures("train")[:3]:
        pixels = one.read()
        assert pixels.dtype == torch.uint8 and pixels.shape == (3, 4, 6)


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_another_split(open_, name):
    shares = {"split": "random", "validation": 0.3, "test": 0.3, "membership": 0.3}
    assert by_split(open_(name, **shares)) != by_split(open_(name, seed=1, **shares))
    assert by_split(open_(name, **shares)) == by_split(open_(name, **shares))


def test_lfw_has_the_people_with_enough_pictures(open_):
    lfw = open_("lfw")
    assert [concept.name for concept in lfw.concepts()] == ["George W Bush", "Tony Blair", "Laura Bush"]
    assert {concept.kind for concept in lfw.concepts()} == {"person"}
    assert len(open_("lfw", min_pictures="1").concepts()) == 4
    with pytest.raises(ConfigError, match=r"nobody has 31 pictures; most has George W Bush: 30"):
        open_("lfw", min_pictures=31).concepts()
    pictures = {one.id: one for one in all_pictures(lfw)}
    assert len(pictures) == 54
    bush = pictures["George_W_Bush/George_W_Bush_0001.jpg"]
    assert bush.attributes == {"person": "George W Bush"} and bush.caption == "a photo of George W Bush"
    assert pictures["Aaron_Eckhart/Aaron_Eckhart_0001.jpg"].attributes == {}


def test_who_shares_a_name_is_near(open_):
    lfw = open_("lfw")
    bush = lfw.concepts()[0]
    assert [concept.name for concept in lfw.neighbours(bush)] == ["Laura Bush", "Tony Blair"]


def test_the_forgotten_and_the_retained(open_):
    lfw = open_("lfw")
    bush, blair, laura = lfw.concepts()
    data = lfw.split(Request(forget=(bush,)))
    assert data.forget == (bush,) and data.retain == (blair, laura)
    train = data.dataset.pictures("train")
    forget = [one for one in train if one.shows(bush)]
    retain = [one for one in train if any(one.shows(concept) for concept in data.retain)]
    assert forget and retain and not {one.id for one in forget} & {one.id for one in retain}


def test_imagenette_knows_its_classes_without_files_and_keeps_the_source_s_split(open_, registry, data_dir):
    imagenette = open_("imagenette")
    assert len(imagenette.concepts()) == 10
    parts = by_split(imagenette)
    assert len(parts["validation"]) == 12 and all(id_.startswith("val/") for id_ in parts["validation"])
    assert parts["test"] and all(
        id_.startswith("train/") for part in ("train", "test", "membership") for id_ in parts[part]
    )
    fish = next(one for one in imagenette.pictures("train") if "n01440764" in one.id)
    assert fish.attributes == {"object": "tench"}
    mixed = by_split(open_("imagenette", split="random", validation=0.5))
    assert any(id_.startswith("train/") for id_ in mixed["validation"])


def test_unlearncanvas_counts_the_benchmark_s_styles(open_):
    canvas = open_("unlearncanvas")
    kinds = [concept.kind for concept in canvas.concepts()]
    assert (kinds.count("style"), kinds.count("object")) == (51, 20)
    pictures = {one.id: one for one in all_pictures(canvas)}
    assert pictures["Van_Gogh/Cats/1.jpg"].attributes == {"style": "Van Gogh", "object": "Cats"}
    assert pictures["Seed_Images/Dogs/2.jpg"].attributes["style"] == "Seed Images"
    assert pictures["Techno/Dogs/2.jpg"].attributes == {"object": "Dogs"}, "a style that the benchmark leaves out"


def test_coco_learns_from_its_training_part_alone(open_):
    coco = open_("coco-captions")
    parts = by_split(coco)
    assert coco.concepts() == []
    assert all(id_.startswith("val-") for id_ in parts["test"]) and len(parts["test"]) == 8
    assert all(id_.startswith("train-") for part in ("train", "validation", "membership") for id_ in parts[part])
    assert coco.pictures("train")[0].caption.startswith("Caption 1 of ")


def test_the_newest_are_for_testing(open_):
    parts = by_split(open_("coco-captions", split="temporal", test=0.25, validation=0.25))
    # The first pictures are the newest, in both parts.
    assert sorted(parts["test"]) == ["train-1", "train-2", "val-1", "val-2"]
    assert sorted(parts["validation"]) == ["train-3", "train-4", "val-3", "val-4"]
    years = by_split(open_("images", split="temporal", time="year", test=0.1, validation=0.1))
    assert years["test"] == [f"{number}.png" for number in range(36, 40)]
    with pytest.raises(ConfigError, match=r"split=temporal.*40 of 40 pictures have no time.*--data time="):
        open_("images", split="temporal").pictures("train")


def test_columns_are_kinds_of_concepts(open_):
    images = open_("images", concepts="label,style")
    assert [(c.kind, c.name) for c in images.concepts()] == [
        *[("label", "cat"), ("label", "dog")],
        *[("style", "ink"), ("style", "oil")],
    ]
    assert images.pictures("train")[0].attributes == {"label": "cat", "style": "oil"}
    oil = images.concepts()[-1]
    assert images.prompts(oil)[0] == "oil style"
    assert open_("images").concepts() == images.concepts()[:2]
    assert open_("images", concepts="").concepts() == []
    with pytest.raises(ConfigError, match=r"no column 'artist'; their columns are label, style, text, year"):
        open_("images", concepts="artist").concepts()


def test_a_list_whose_labels_are_numbers_and_a_class_called_train(open_, tmp_path, make):
    for number in range(3):
        make.picture(tmp_path / "list" / f"{number}.png", number)
    lines = [{"file_name": f"{number}.png", "label": number % 2} for number in range(3)]
    (tmp_path / "list" / "all.json").write_text(json.dumps(lines))
    numbered = open_("images", root=str(tmp_path / "list" / "all.json"))
    assert [concept.name for concept in numbered.concepts()] == ["0", "1"]
    for label in ("train", "bus_stop"):
        make.picture(tmp_path / "vehicles" / label / "1.png", 1)
    vehicles = open_("images", root=str(tmp_path / "vehicles"))
    assert [concept.name for concept in vehicles.concepts()] == ["bus stop", "train"]


def test_a_random_set_of_samples_can_be_forgotten(open_):
    images = open_("images", samples=0.25)
    samples = images.concepts()[-1]
    assert (samples.kind, samples.name) == ("samples", "random")
    assert images.prompts(samples) == [] and images.neighbours(samples) == []
    chosen = {split: [one.id for one in images.pictures(split) if one.shows(samples)] for split in SPLITS}
    assert 0 < len(chosen["train"]) < len(images.pictures("train")) / 2
    assert not any(chosen[split] for split in SPLITS if split != "train")
    again = open_("images", samples=0.25)
    assert [one.id for one in again.pictures("train") if one.shows(samples)] == chosen["train"]
    other = open_("images", samples=0.25, seed=5)
    assert [one.id for one in other.pictures("train") if one.shows(samples)] != chosen["train"]


@pytest.mark.parametrize("name", NAMES)
def test_files_that_are_not_there(registry, empty_dir, name):
    dataset = open_dataset(registry.get("dataset", name))
    with pytest.raises(DataError) as caught:
        dataset.pictures("train")
    message = str(caught.value)
    assert f"the files of dataset '{name}' were not found: there is no folder '{empty_dir / name}'" in message
    assert "--data root=DIR" in message and "Expected: " in message
    with pytest.raises(DataError, match="'nowhere' does not exist"):
        open_dataset(registry.get("dataset", name), {"root": "nowhere"}).pictures("train")


def test_files_that_are_something_else(open_, tmp_path, make):
    with pytest.raises(ConfigError, match=r"cannot be read as 'lfw': .*no pictures.*lfw/Name_Surname/"):
        open_("lfw", root=str(tmp_path)).concepts()
    make.picture(tmp_path / "cars" / "1.png", 3)
    with pytest.raises(ConfigError, match=r"'cars/1.png' is of the class 'cars', which is none of the ten"):
        open_("imagenette", root=str(tmp_path)).pictures("train")
    with pytest.raises(ConfigError, match=r"no column style; its columns are label.*Van_Gogh/Cats"):
        open_("unlearncanvas", root=str(tmp_path)).pictures("train")
    make.picture(tmp_path / "canvas" / "Monet" / "Cars" / "1.jpg", 3)
    with pytest.raises(ConfigError, match=r"shows 'Cars', which is none of the 20 objects"):
        open_("unlearncanvas", root=str(tmp_path / "canvas")).pictures("train")
    with pytest.raises(ConfigError, match=r"no annotations/captions_train2014.json or annotations/captions_val2014"):
        open_("coco-captions", root=str(tmp_path)).pictures("train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tables: tables.pop("images"), "has no 'images'"),
        (lambda tables: tables["images"][0].pop("file_name"), "has no 'file_name'"),
        (lambda tables: tables["annotations"][0].pop("caption"), "has no 'caption'"),
    ],
)
def test_coco_names_the_key_that_is_missing(open_, tmp_path, change, message, make):
    make.coco(tmp_path, parts=("val",))
    file = tmp_path / "annotations" / "captions_val2014.json"
    tables = json.loads(file.read_text())
    change(tables)
    file.write_text(json.dumps(tables))
    with pytest.raises(ConfigError, match=message):
        open_("coco-captions", root=str(tmp_path)).pictures("test")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rot": "x"}, r"dataset 'lfw': unknown option 'rot'. Did you mean 'root'"),
        ({"test": 1.0}, r"'test' cannot be 1.0"),
        ({"test": 0.5, "membership": 0.5}, r"leave nothing to learn from"),
        ({"split": "class"}, r"'source' \| 'random' \| 'temporal'"),
        ({"min_pictures": 0}, "min_pictures"),
    ],
)
def test_options_that_are_refused(open_, options, message):
    with pytest.raises(ConfigError, match=message):
        open_("lfw", **options)


def test_a_name_in_two_columns_is_refused(open_, tmp_path, make):
    make.picture(tmp_path / "1.png", 1)
    (tmp_path / "metadata.csv").write_text("file_name,label,style\n1.png,Sketch,Sketch\n")
    with pytest.raises(ConfigError, match="'Sketch' is both a label and a style"):
        open_("images", root=str(tmp_path), concepts="label,style").concepts()


def test_a_hub_s_local_copy_is_found(registry, tmp_path, monkeypatch, data_dir):
    """The hub's cache, as huggingface_hub lays it out; nothing is fetched."""
    snapshot = tmp_path / "datasets--someone--fish" / "snapshots" / ("a" * 40)
    shutil.copytree(data_dir / "imagenette", snapshot)
    refs = tmp_path / "datasets--someone--fish" / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    entry = registry.get("dataset", "imagenette")
    assert len(all_pictures(open_dataset(entry, {"root": "someone/fish"}))) == 72
    with pytest.raises(DataError, match=r"With --download, 'someone/dog' is fetched from the hub"):
        open_dataset(entry, {"root": "someone/dog"}).pictures("train")


def test_a_split_folder_layout_with_metadata(open_, tmp_path, make):
    for part in ("train", "test"):
        make.picture(tmp_path / part / "images" / "000" / "1.jpg", 1)
        (tmp_path / part / "metadata.csv").write_text("file_name,label,label_name\nimages/000/1.jpg,0,Tony_Blair\n")
    lfw = open_("lfw", root=str(tmp_path), min_pictures=1)
    assert lfw.concepts() == [Concept(name="Tony Blair", kind="person")]
    assert by_split(lfw)["test"] == ["test/images/000/1.jpg"]


@pytest.mark.parametrize("labels", ["names", "numbers"])
def test_a_hugging_face_data_set(open_, tmp_path, labels, make):
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is not installed")
    import pyarrow
    from pyarrow import parquet

    kind = datasets.ClassLabel(names=["George_W_Bush", "Tony_Blair"]) if labels == "names" else datasets.Value("int64")
    features = datasets.Features({"image": datasets.Image(), "label": kind})
    make.picture(tmp_path / "one.png", 9)
    stored = {"bytes": (tmp_path / "one.png").read_bytes(), "path": "one.png"}
    for part, count in (("train", 12), ("test", 3)):
        columns = {"image": [stored] * count, "label": [number % 2 for number in range(count)]}
        file = tmp_path / "set" / "data" / f"{part}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.table(columns, schema=features.arrow_schema), file)
    lfw = open_("lfw", root=str(tmp_path / "set"), min_pictures=1)
    if labels == "numbers":
        with pytest.raises(ConfigError, match="the column 'label' holds no names; its columns are label"):
            lfw.concepts()
        return
    assert [concept.name for concept in lfw.concepts()] == ["George W Bush", "Tony Blair"]
    assert by_split(lfw)["test"] == ["test-000000-one.png", "test-000001-one.png", "test-000002-one.png"]
    assert lfw.pictures("test")[2].read()[:, 0, 0].tolist() == [9, 7, 200]
    assert lfw.pictures("test")[1].attributes == {"person": "Tony Blair"}
