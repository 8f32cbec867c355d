"""Where pictures come from, what each is for, and what happens to unfit ones."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image
from vu_train.captions import replace_concept
from vu_train.pictures import load_pictures
from vu_train.settings import DataSettings

from vu_core import Concept, Data, Request, RequestError, RunError
from vu_core.interfaces import Picture
from vu_core.pictures import read_image

CAT, DOG, CAR = Concept(name="cat"), Concept(name="dog"), Concept(name="car")
COLOURS = {"cat": (255, 0, 0), "dog": (0, 255, 0), "car": (0, 0, 255)}


@pytest.fixture
def load(model, ctx):
    """Load pictures for forgetting cats, 16 x 16 as the model draws; returns ids by set."""

    def run(source, *, forget=(CAT,), retain=(), dataset=None, sets=("forget", "retain"), **options):
        request = Request(forget=forget, retain=retain)
        data = Data(forget=forget, retain=retain, dataset=dataset)
        run.sets = load_pictures(model, request, data, DataSettings(pictures=str(source), **options), ctx, sets=sets)
        run.captions = {one.id: one.caption for examples in run.sets.values() for one in examples}
        return {name: [one.id for one in examples] for name, examples in run.sets.items()}

    return run


def image(path, what, size=(16, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, COLOURS[what]).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two cats, a dog and a car, with captions alone."""
    root = tmp_path / "pictures"
    lines = []
    for name in ("cat-1", "dog-1", "cat-2", "car-1"):
        image(root / f"{name}.png", name[:3])
        lines.append({"file_name": f"{name}.png", "text": f"a photo of a {name[:3]}"})
    write_lines(root, lines)
    return root


def write_lines(root, lines):
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")


def test_a_folder_with_captions(load, folder):
    assert load(folder) == {"forget": ["cat-1.png", "cat-2.png"], "retain": ["dog-1.png", "car-1.png"]}
    assert load.captions["cat-2.png"] == "a photo of a cat"
    pixels = load.sets["retain"][0].read()
    assert pixels.shape == (3, 16, 16) and pixels.dtype == torch.uint8
    assert pixels[:, 0, 0].tolist() == [0, 255, 0]
    assert load(folder, retain=(DOG,))["retain"] == ["dog-1.png"]


def test_columns_say_what_a_picture_shows_and_captions_then_do_not(load, folder):
    write_lines(
        folder,
        [
            {"file_name": "cat-1.png", "text": "no dog", "object": "cat", "style": "oil"},
            {"file_name": "dog-1.png", "text": "not a cat", "object": "dog", "style": "oil"},
            {"file_name": "car-1.png", "text": "a cat's car", "object": "car", "style": "ink"},
        ],
    )
    assert load(folder) == {"forget": ["cat-1.png"], "retain": ["dog-1.png", "car-1.png"]}
    oil = Concept(name="oil", kind="style")
    assert load(folder, forget=(oil,)) == {"forget": ["cat-1.png", "dog-1.png"], "retain": ["car-1.png"]}


def test_a_folder_of_folders(load, tmp_path):
    for name in ("George_W_Bush", "Tony_Blair"):
        for number in (1, 2):
            image(tmp_path / "people" / name / f"{number}.jpg", "cat")
    bush = Concept(name="George W Bush", kind="person")
    found = load(tmp_path / "people", forget=(bush,), caption="a photo of {concept}")
    assert found == {
        "forget": ["George_W_Bush/1.jpg", "George_W_Bush/2.jpg"],
        "retain": ["Tony_Blair/1.jpg", "Tony_Blair/2.jpg"],
    }
    assert load.captions["George_W_Bush/1.jpg"] == "a photo of George W Bush"
    assert load.captions["Tony_Blair/2.jpg"] == "a photo of Tony Blair"
    with pytest.raises(RunError, match=r"has no caption.*-o caption="):
        load(tmp_path / "people", forget=(bush,))


def test_a_list_with_roles_and_overwriting_captions(load, folder):
    (folder / "list.json").write_text(
        json.dumps(
            [
                {"file_name": "car-1.png", "text": "a car", "role": "forget", "overwrite": "a house"},
                {"file_name": "cat-1.png", "text": "a cat", "role": "retain"},
                {"file_name": "dog-1.png", "text": "a dog"},
            ]
        )
    )
    assert load(folder / "list.json") == {"forget": ["car-1.png"], "retain": ["cat-1.png", "dog-1.png"]}
    assert [one.overwrite for examples in load.sets.values() for one in examples] == ["a house", None, None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("{}", "holds no list"),
        ('[{"text": "a cat"}]', "entry 1 of .* names no file_name"),
        ('[{"file_name": "cat-1.png", "role": "target"}]', "the role of 'cat-1.png' is 'target'"),
        ('[{"file_name": "cat-1.png"}, {"file_name": "cat-1.png"}]', "1 files more than once"),
    ],
)
def test_malformed_lists_are_refused(load, folder, content, message):
    (folder / "list.json").write_text(content)
    with pytest.raises(RunError, match=message):
        load(folder / "list.json")


def test_sources_that_are_none_are_refused(load, tmp_path):
    with pytest.raises(RunError, match="do not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"holds no pictures.*Accepted"):
        load(tmp_path)
    with pytest.raises(RequestError, match="pictures=dataset was asked for"):
        load("dataset")


def test_a_request_that_no_picture_shows_is_refused(load, folder):
    with pytest.raises(RequestError, match="none of the 4 pictures shows 'bird'"):
        load(folder, forget=(Concept(name="bird"),))
    write_lines(folder, [{"file_name": "cat-1.png", "text": "x", "object": "cat"}])
    with pytest.raises(RequestError, match=r"They show: cat \(1\)"):
        load(folder, forget=(DOG,))


@pytest.mark.parametrize("damage", ["cut", "text", "missing"])
def test_broken_pictures_are_named_and_counted_never_silent(load, folder, ctx, damage):
    path = folder / "cat-2.png"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:50] if damage == "cut" else b"no picture")
    with pytest.raises(RunError, match=r"1 of 4 pictures cannot be read: 'cat-2.png' \(.*-o broken=skip"):
        load(folder)
    assert load(folder, broken="skip")["forget"] == ["cat-1.png"]
    assert "1 of 4 pictures cannot be read: 'cat-2.png'" in ctx.warnings[-1]
    (folder / "cat-1.png").write_bytes(b"")
    with pytest.raises(RequestError, match="no picture to forget is left"):
        load(folder, broken="skip")


def test_odd_sizes_are_cropped_skipped_or_refused_and_counted(load, folder, ctx):
    image(folder / "cat-2.png", "cat", size=(40, 20))
    assert load(folder)["forget"] == ["cat-1.png", "cat-2.png"]
    assert load.sets["forget"][1].read().shape == (3, 16, 16)
    assert ctx.warnings[-1] == (
        "1 of 4 pictures are not 16 x 16 pixels large: 'cat-2.png' (20 x 40); they were scaled and cropped"
    )
    assert load(folder, odd_sizes="skip")["forget"] == ["cat-1.png"]
    assert ctx.warnings[-1].endswith("they were left out")
    with pytest.raises(RunError, match="-o odd_sizes=skip"):
        load(folder, odd_sizes="refuse")
    assert load(folder, resolution=24)["forget"] == ["cat-1.png", "cat-2.png"]
    assert load.sets["forget"][0].read().shape == (3, 24, 24)


def test_the_middle_is_kept_and_nothing_is_squeezed(load, folder):
    wide = Image.new("RGB", (64, 16), (255, 255, 255))
    wide.paste((255, 0, 0), (24, 0, 40, 16))
    wide.save(folder / "cat-1.png")
    load(folder)
    pixels = load.sets["forget"][0].read()
    assert pixels[:, :, 2:-2].flatten(1).unique(dim=1).flatten().tolist() == [255, 0, 0]


def test_pictures_of_any_kind_become_rgb(tmp_path):
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    clear.putpixel((0, 0), (0, 0, 255, 255))
    clear.save(tmp_path / "clear.png")
    Image.new("L", (4, 4), 7).save(tmp_path / "grey.png")
    turned = Image.new("RGB", (6, 4))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    found = read_image(tmp_path / "clear.png")
    assert found[:, 0, 0].tolist() == [0, 0, 255] and found[:, 1, 1].tolist() == [255, 255, 255]
    assert read_image(tmp_path / "grey.png").unique().tolist() == [7]
    assert read_image(tmp_path / "turned.jpg").shape == (3, 6, 4)


def test_at_most_so_many_of_each_concept_are_chosen_by_the_seed(load, tmp_path):
    root = tmp_path / "many"
    lines = []
    for what in COLOURS:
        for number in range(6):
            image(root / f"{what}-{number}.png", what)
            lines.append({"file_name": f"{what}-{number}.png", "text": f"a {what}", "object": what})
    write_lines(root, lines)
    found = load(root, pictures_each=2)
    assert found == load(root, pictures_each=2)
    assert [id_[:3] for id_ in found["forget"] + found["retain"]] == ["cat", "cat", "dog", "dog", "car", "car"]
    assert found["forget"] != ["cat-0.png", "cat-1.png"] or found["retain"][:2] != ["dog-0.png", "dog-1.png"]


class Drawings:
    """A dataset with pictures and prompts."""

    def prompts(self, concept):
        return [f"a {concept.text}", f"a picture of a {concept.text}"]

    def pictures(self, split):
        return [
            Picture(
                id=f"{split}-{what}",
                caption=f"a {what}",
                attributes={"object": what},
                load=lambda: torch.zeros(3, 16, 16, dtype=torch.uint8),
            )
            for what in COLOURS
        ]


class Words:
    """A dataset without pictures."""

    prompts = Drawings.prompts


def test_the_dataset_s_training_pictures(load):
    assert load("auto", dataset=Drawings()) == {"forget": ["train-cat"], "retain": ["train-dog", "train-car"]}
    assert load("dataset", dataset=Drawings(), retain=(CAR,))["retain"] == ["train-car"]


@pytest.mark.parametrize("dataset", [None, Words()], ids=["free text", "dataset"])
def test_without_data_the_model_draws(load, model, ctx, dataset):
    found = load("auto", retain=(DOG,), dataset=dataset, pictures_each=3)
    assert found == {
        "forget": ["object-cat-0", "object-cat-1", "object-cat-2"],
        "retain": ["object-dog-0", "object-dog-1", "object-dog-2"],
    }
    captions = list(load.captions.values())
    assert captions[:2] == (["a cat", "a picture of a cat"] if dataset else ["cat", "cat"])
    first = load.sets["forget"][0].read()
    files = {path: path.stat().st_mtime_ns for path in (ctx.out_dir / "training" / "drawn").iterdir()}
    assert len(files) == 6
    assert load("model", retain=(DOG,), dataset=dataset, pictures_each=3) == found
    assert torch.equal(load.sets["forget"][0].read(), first)
    assert not torch.equal(first, load.sets["forget"][2].read()), "another seed"
    load("model", retain=(DOG,), dataset=dataset, pictures_each=1, caption="a photo of {concept}")
    assert list(load.captions.values()) == ["a photo of cat", "a photo of dog"]


def test_nothing_is_drawn_for_a_set_that_would_be_empty_or_is_not_wanted(load, ctx):
    with pytest.raises(RequestError, match="no concept to retain is known"):
        load("model", pictures_each=1)
    assert not (ctx.out_dir / "training").exists()
    assert load("model", pictures_each=1, sets=("forget",)) == {"forget": ["object-cat-0"]}
    assert load("model", pictures_each=1, retain=(DOG,), sets=("forget",)) == {"forget": ["object-cat-0"]}


def test_a_set_without_pictures_is_refused_by_what_it_should_show(load, folder):
    with pytest.raises(RequestError, match="none of the 4 pictures shows 'bird'"):
        load(folder, retain=(Concept(name="bird"),))


@pytest.mark.parametrize("saved", ["save_to_disk", "parquet", "folder"])
def test_a_hugging_face_data_set(load, tmp_path, saved):
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is not installed")
    import pyarrow
    from pyarrow import parquet

    names = datasets.ClassLabel(names=["George_W_Bush", "Tony_Blair"])
    features = datasets.Features({"image": datasets.Image(), "label": names, "count": datasets.Value("int64")})
    for number, what in enumerate(("cat", "dog", "dog")):
        image(tmp_path / f"{number}.png", what)
    stored = [{"bytes": (tmp_path / f"{i}.png").read_bytes(), "path": f"{i}.png"} for i in range(3)]
    columns = {"image": stored, "label": [0, 1, 1], "count": [5, 6, 7]}
    table = pyarrow.table(columns, schema=features.arrow_schema)
    source = tmp_path / "set"
    if saved == "save_to_disk":
        made = datasets.Dataset(datasets.table.InMemoryTable(table), fingerprint="made")
        made.save_to_disk(source)
    else:
        file = source / "data" / "train-00000.parquet"
        file.parent.mkdir(parents=True)
        parquet.write_table(table, file)
        source = file if saved == "parquet" else source
    bush = Concept(name="George W Bush", kind="person")
    found = load(source, forget=(bush,), caption="a photo of {concept}")
    assert [len(ids) for ids in found.values()] == [1, 2]
    assert list(load.captions.values()) == ["a photo of George W Bush", *["a photo of Tony Blair"] * 2]
    assert load.sets["retain"][1].read()[:, 3, 3].tolist() == [0, 255, 0]
    assert found["forget"] == ["000000-0.png"]


@pytest.mark.parametrize(
    ("caption", "old", "new", "expected"),
    [
        ("a cat and another cat", "cat", "apple", "an apple and another apple"),
        ("An apple, on a table", "apple", "dog", "A dog, on a table"),
        ("a CATERPILLAR and a Cat", "cat", "dog", "a CATERPILLAR and a dog"),
        ("a photo of George W. Bush", "George W. Bush", "Tony Blair", "a photo of Tony Blair"),
    ],
)
def test_captions_name_another_concept(caption, old, new, expected):
    assert replace_concept(caption, Concept(name=old), Concept(name=new)) == expected


def test_a_caption_that_does_not_name_the_concept_is_refused():
    with pytest.raises(RequestError, match="does not name 'cat'"):
        replace_concept("a dog", CAT, DOG)
