"""The cells of the notebooks that need a hub: executed on small models and pictures in the same formats."""

from __future__ import annotations

import ast
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vu_core.cli import app
from vu_core.testing.pipelines import write_pipeline

jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SOURCES = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.py"))
SHOWN_BY_JUPYTER = ("IPython", "matplotlib")
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

# What a command gets besides, so that it takes no hours.
BESIDES = {
    "train": ["-o", "architecture=mlp", "-o", "epochs=1"],
    "bench": [],
    "run": ["--dry-run"],
    "tune": ["--dry-run"],
}


@pytest.fixture(scope="session")
def choices(tmp_path_factory):
    """What stands in a reader's place for each name in capitals that a cell sets."""
    root = tmp_path_factory.mktemp("hub")
    people = ("George_W_Bush", "Tony_Blair", "Laura_Bush")
    write_folders(root / "faces" / "lfw", dict.fromkeys(people, 12))
    write_folders(root / "mine", {"my_dog": 12, "other_dogs": 12})
    write_cifar10(root / "cifar10" / "cifar-10-batches-bin")
    write_classifier(root / "classifier")
    return {
        "MODEL": str(write_pipeline(root / "model", family="sd1")),
        "FACES": str(root / "faces"),
        "MINE": str(root / "mine"),
        "CLASSIFIER": str(root / "classifier"),
        "CIFAR10": str(root / "cifar10"),
        "SETTINGS": {"steps": 2},
        "STEPS": 2,
        "EACH": 2,
    }


def write_folders(root, counts):
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(1, count + 1):
            Image.new("RGB", (16, 16), (20 * number, 7, 200)).save(root / name / f"{name}_{number:04d}.jpg")


def write_cifar10(folder):
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for name, count in {**{f"data_batch_{part}.bin": 40 for part in range(1, 6)}, "test_batch.bin": 60}.items():
        labels = (np.arange(count) % 10).astype(np.uint8)[:, None]
        records = np.concatenate([labels, draw.integers(0, 256, (count, 3072), dtype=np.uint8)], axis=1)
        (folder / name).write_bytes(records.tobytes())


def write_classifier(folder):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.ViTConfig(**sizes, image_size=32, patch_size=8, id2label=dict(enumerate(CIFAR10)))
    transformers.ViTForImageClassification(config).eval().save_pretrained(folder)
    pixels = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps({**pixels, "rescale_factor": 1 / 255}))


class Choose(ast.NodeTransformer):
    """Puts other values in the place of those that a cell gives to names in capitals."""

    def __init__(self, choices):
        self.choices = choices

    def visit_Assign(self, node):
        name = getattr(node.targets[0], "id", "")
        if name.isupper():
            node.value = ast.copy_location(ast.Constant(self.choices[name]), node.value)
            if isinstance(self.choices[name], dict):
                node.value = ast.copy_location(ast.parse(repr(self.choices[name]), mode="eval").body, node.value)
        return node


def beginnings(cells, shown):
    """Return what cells import and the functions that they define; what is displayed is put into ``shown``."""
    kept = [
        part
        for cell in cells
        if not cell.source.startswith("%%")
        for part in ast.parse(cell.source).body
        if isinstance(part, ast.FunctionDef | ast.Import)
        or (isinstance(part, ast.ImportFrom) and not (part.module or "").startswith(SHOWN_BY_JUPYTER))
    ]
    kept = [part for part in kept if not isinstance(part, ast.Import) or part.names[0].name != "matplotlib.pyplot"]
    names = {"display": lambda *objects: shown.extend(objects)}
    exec(compile(ast.fix_missing_locations(ast.Module(kept, [])), "imports", "exec"), names)  # noqa: S102
    return names


def run_commands(cell, choices):
    places = {"CompVis/stable-diffusion-v1-4": "MODEL", "root=path/to/lfw": "FACES", "root=path/to/cifar10": "CIFAR10"}
    for line in cell.replace("\\\n", " ").splitlines()[1:]:
        program, command, *arguments = shlex.split(line)
        assert program == "vu"
        put = {text: ("root=" if "=" in text else "") + choices[name] for text, name in places.items()}
        done = CliRunner().invoke(app, [command, *(put.get(word, word) for word in arguments), *BESIDES[command]])
        assert done.exit_code == 0, f"{line}\n{done.output}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_cells_that_need_a_hub_work_on_small_things(source, choices, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))
    cells = [cell for cell in jupytext.read(source).cells if cell.cell_type == "code"]
    shown: list[object] = []
    names = beginnings([cell for cell in cells if not cell.metadata.get("tags")], shown)
    for cell in cells:
        if not cell.metadata.get("tags"):
            continue
        if cell.source.startswith("%%"):
            run_commands(cell.source, choices)
            continue
        tree = ast.fix_missing_locations(Choose(choices).visit(ast.parse(cell.source)))
        exec(compile(tree, f"{source.name}, a cell that needs a hub", "exec"), names)  # noqa: S102
    pictures = [found for found in shown if hasattr(found, "_repr_png_")]
    assert all(found._repr_png_().startswith(b"\x89PNG") for found in pictures)
    assert pictures or "run" in str(cells[-1].source)
