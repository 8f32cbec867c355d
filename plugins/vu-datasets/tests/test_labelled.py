"""The benchmarks of classification: small copies in each published form, read to the byte."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import numpy as np
import pytest
import torch

from vu_core import ConfigError, Request
from vu_core.datasets import open_dataset
from vu_core.registry import Registry

SPLITS = ("train", "validation", "test", "membership")


@pytest.fixture
def open_(data_dir):
    registry = Registry.discover()
    return lambda name, **options: open_dataset(registry.get("dataset", name), options)


def everything(dataset) -> dict[str, object]:
    return {picture.id: picture for split in SPLITS for picture in dataset.pictures(split)}


def test_fashion_mnist_is_read_to_the_byte(open_, data_dir):
    found = everything(open_("fashion-mnist"))
    assert len(found) == 60 and sum(id_.startswith("train-") for id_ in found) == 40
    stored = gzip.decompress((data_dir / "fashion-mnist" / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    images = torch.frombuffer(bytearray(stored), dtype=torch.uint8).reshape(-1, 28, 28)
    picture = found["train-00013"]
    assert picture.attributes == {"class": "Dress"}
    assert torch.equal(picture.read(), images[13].expand(3, -1, -1))


def test_fashion_mnist_in_torchvision_s_folder_and_uncompressed(open_, tmp_path, make):
    make.fashion_mnist(tmp_path / "FashionMNIST" / "raw", compress=False)
    assert len(everything(open_("fashion-mnist", root=str(tmp_path)))) == 60


@pytest.mark.parametrize(
    ("name", "inner", "file", "labels"),
    [("cifar10", "cifar-10-batches-bin", "data_batch_3.bin", 1), ("cifar100", "", "train.bin", 2)],
)
def test_cifar_is_read_to_the_byte(open_, data_dir, name, inner, file, labels):
    dataset = open_(name)
    found = everything(dataset)
    place = 7
    record = np.fromfile(data_dir / name / inner / file, np.uint8).reshape(-1, labels + 3072)[place]
    id_ = f"train-{place + 20 * (name == 'cifar10'):05d}"
    assert torch.equal(found[id_].read(), torch.from_numpy(record[labels:].reshape(3, 32, 32)))
    assert found[id_].attributes["class"] == dataset.classes["class"][record[labels - 1]]
    if name == "cifar100":
        assert found[id_].attributes["superclass"] == dataset.classes["superclass"][record[0]]


def test_svhn_is_read_to_the_byte_and_ten_means_zero(open_, data_dir):
    from scipy.io import loadmat

    found = everything(open_("svhn"))
    content = loadmat(data_dir / "svhn" / "test_32x32.mat")
    assert torch.equal(found["test-00009"].read(), torch.from_numpy(content["X"][..., 9].transpose(2, 0, 1).copy()))
    assert content["y"][9] == 10 and found["test-00009"].attributes == {"class": "0"}
    assert found["test-00004"].attributes == {"class": "5"}


def test_the_source_s_test_part_stays_and_a_tenth_of_the_rest_is_for_validation(open_):
    for name in ("fashion-mnist", "cifar10", "cifar100", "svhn"):
        dataset = open_(name)
        assert all(one.id.startswith("test-") for one in dataset.pictures("test"))
        assert dataset.pictures("validation") and not dataset.pictures("membership")
        assert not any(one.id.startswith("test-") for one in dataset.pictures("train"))


def test_with_salun_s_splits_a_share_of_each_class_is_for_validation_and_samples_are_counted(open_):
    for name, share, each in (("cifar10", 0.4, 2), ("cifar100", 0.5, 1)):
        dataset = open_(name, split="salun", seed=2, validation=share, samples=0.1)
        apart = Counter(one.attributes["class"] for one in dataset.pictures("validation"))
        assert set(apart.values()) == {each} and len(apart) == len(dataset.classes["class"])
        learned = dataset.pictures("train")
        assert sum("samples" in one.attributes for one in learned) == round(0.1 * len(learned))


def test_a_hundred_classes_of_twenty_superclasses(open_):
    dataset = open_("cifar100")
    kinds = [concept.kind for concept in dataset.concepts()]
    assert (kinds.count("class"), kinds.count("superclass")) == (100, 20)
    # As published: 0 is apple, 99 is worm, 23 is cloud and 57 is pear.
    assert [dataset.classes["class"][number] for number in (0, 23, 57, 99)] == ["apple", "cloud", "pear", "worm"]
    bee = next(concept for concept in dataset.concepts() if concept.name == "bee")
    assert {one.name for one in dataset.neighbours(bee)[:4]} == {"beetle", "butterfly", "caterpillar", "cockroach"}
    assert bee in dataset.split(Request(forget=(dataset.concepts()[0],))).retain


def test_pickle_is_refused_with_the_reason(open_, tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"\x80\x04.")
    with pytest.raises(ConfigError, match=r"pickle, and reading a pickle can run any code.*binary version"):
        open_("cifar10", root=str(tmp_path)).pictures("train")


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("fashion-mnist", "train-labels-idx1-ubyte.gz", b"no gzip", "Not a gzipped file"),
        (
            "fashion-mnist",
            "t10k-images-idx3-ubyte.gz",
            gzip.compress(b"\0\0\x0d\x03" + bytes(12), mtime=0),
            "no IDX file",
        ),
        (
            "fashion-mnist",
            "train-images-idx3-ubyte.gz",
            gzip.compress(b"\0\0\x08\x03" + bytes(9), mtime=0),
            "requires a buffer",
        ),
        ("fashion-mnist", "t10k-labels-idx1-ubyte.gz", None, "it has no t10k-labels-idx1-ubyte"),
        ("fashion-mnist", "train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x01\x02", "40 pictures and 1 labels"),
        ("cifar10", "cifar-10-batches-bin/data_batch_2.bin", bytes(3000), "no records of 3073"),
        ("cifar10", "cifar-10-batches-bin/test_batch.bin", None, "it has no test_batch.bin"),
        ("cifar10", "cifar-10-batches-bin/test_batch.bin", bytes([10, *bytes(3072)]), "label 10 is none of 0 to 9"),
        ("svhn", "train_32x32.mat", b"x" * 400, "it is no file of SVHN"),
    ],
)
def test_damaged_files_are_named(open_, copies, tmp_path, name, file, content, message):
    import shutil

    shutil.copytree(copies / name, tmp_path / name)
    (tmp_path / name / file).unlink(missing_ok=True)
    if content is not None:
        (tmp_path / name / file).write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        open_(name, root=str(tmp_path / name)).pictures("train")
    assert "Expected: " in str(caught.value)


@pytest.mark.parametrize("labels", ["names", "numbers"])
def test_a_table_of_the_hub(open_, tmp_path, make, labels):
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is not installed")
    import pyarrow
    from pyarrow import parquet

    fine = open_("cifar100").classes["class"]
    coarse = open_("cifar100").classes["superclass"]
    kinds = {
        "fine_label": datasets.ClassLabel(names=[name.replace(" ", "_") for name in fine]),
        "coarse_label": datasets.ClassLabel(names=[name.replace(" ", "_") for name in coarse]),
    }
    numbers = dict.fromkeys(kinds, datasets.Value("int64"))
    features = datasets.Features({"img": datasets.Image(), **(kinds if labels == "names" else numbers)})
    make.picture(tmp_path / "one.png", 9)
    stored = {"bytes": (tmp_path / "one.png").read_bytes(), "path": None}
    for part, count in (("train", 20), ("test", 4), ("extra", 3)):
        columns = {"img": [stored] * count, "fine_label": [1] * count, "coarse_label": [1] * count}
        (tmp_path / "set").mkdir(exist_ok=True)
        table = pyarrow.table(columns, schema=features.arrow_schema)
        parquet.write_table(table, tmp_path / "set" / f"{part}-00000-of-00001.parquet")
    dataset = open_("cifar100", root=str(tmp_path / "set"))
    found = everything(dataset)
    assert len(found) == 24 and len(dataset.pictures("test")) == 4
    assert next(iter(found.values())).attributes == {"class": "aquarium fish", "superclass": "fish"}


def test_listed_samples_by_place_and_by_id(open_, tmp_path):
    (tmp_path / "list.json").write_text(json.dumps([3, "train-00005"]))
    (tmp_path / "list.txt").write_text("3\n\ntrain-00005\n")
    for name in ("list.json", "list.txt"):
        dataset = open_("cifar10", indices=str(tmp_path / name), validation=0)
        concept = dataset.concepts()[-1]
        assert (concept.kind, concept.name) == ("samples", "listed") and dataset.prompts(concept) == []
        chosen = [one.id for one in dataset.pictures("train") if one.shows(concept)]
        assert chosen == ["train-00003", "train-00005"]
        assert not any(one.shows(concept) for one in dataset.pictures("test"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[50]", "no picture 50 to learn from"),
        ('["train-1"]', "no picture 'train-1'"),
        ('["test-00001"]', "'test-00001' is in the split 'test'"),
        ("[]", "lists no pictures"),
        ("[true]", "lists True, which is neither a number nor an id"),
    ],
)
def test_lists_that_are_refused(open_, tmp_path, content, message):
    (tmp_path / "list.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        open_("cifar10", indices=str(tmp_path / "list.json"), validation=0).pictures("train")
