"""Make what this plugin carries: ``python -m vu_fashion.make FOLDER``; what is there already stays.

The pictures come from the files of Fashion-MNIST in FOLDER, the model from ``vu train`` and the retrained ones from the
unlearner ``retrain``, all on one thread of a CPU: ``pip install vu-fashion[make]`` and ``OMP_NUM_THREADS=1``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import vu_core as vu
from vu_core.editfiles import write_edit
from vu_core.progress import say, track
from vu_core.registry import Registry
from vu_core.stages import Surface
from vu_core.training import plan_training, train_model

ASSETS = Path(__file__).parent / "assets"
OPTIONS: Mapping[str, Any] = {
    "architecture": "resnet18",
    "width": 8,
    "epochs": 8,
    "batch_size": 128,
    "learning_rate": 0.1,
    "schedule": "cosine",
    "augment": "none",
}
SEEDS = range(1, 6)


def wanted() -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yield the retrained models: what is forgotten, the dataset's options, and the seed."""
    for seed in SEEDS:
        yield "Trouser", {}, seed
        yield "samples:random", {"samples": 0.1}, seed


def main(source: Path) -> None:
    """Write pictures, model and retrained models into the plugin's folder; the latter's numbers as float16."""
    if not (ASSETS / "labels.json").is_file():
        from vu_fashion.pictures import write_pictures

        write_pictures(source, ASSETS)
    plan = plan_training("classifier", Registry.discover(), dataset="fashion", data={}, options=OPTIONS, device="cpu")
    train_model(plan, ASSETS / "model", Surface(track=track, say=say), resume=True)
    model = vu.load_model("fashion", device="cpu")
    for forget, data, seed in wanted():
        path = ASSETS / "retrained" / f"{forget.replace(':', '-')}-{seed}.safetensors"
        if not path.is_file():
            edit = vu.unlearn("retrain", model, forget=forget, data=data, seed=seed)
            write_edit(replace(edit, tensors={name: tensor.half() for name, tensor in edit.tensors.items()}), path)
            say(path.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
