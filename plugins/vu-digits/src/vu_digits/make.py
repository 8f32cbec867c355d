"""Make what this plugin carries: ``python -m vu_digits.make``; what is there already stays.

The pictures come from scikit-learn, the model from ``vu train`` and the retrained ones from the unlearner ``retrain``,
all on one thread of a CPU: ``pip install vu-digits[make]`` and ``OMP_NUM_THREADS=1``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import vu_core as vu
from vu_core.editfiles import write_edit
from vu_core.progress import say, track
from vu_core.registry import Registry
from vu_core.stages import Surface
from vu_core.training import plan_training, train_model
from vu_digits.dataset import CLASSES

ASSETS = Path(__file__).parent / "assets"
OPTIONS: Mapping[str, Any] = {
    "architecture": "mlp",
    "arguments": '{"grey": true}',
    "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
    "epochs": 40,
    "batch_size": 64,
    "learning_rate": 0.1,
    "schedule": "constant",
    "augment": "none",
    "checkpoint_every": 20,
}
MANY, FEW = 20, 5
OFTEN = "3"


def wanted() -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yield the retrained models: what is forgotten, the dataset's options, and how many; seeds count from 1."""
    yield OFTEN, {}, MANY
    yield "samples:random", {"samples": 0.1}, MANY
    for name in CLASSES:
        if name != OFTEN:
            yield name, {}, FEW


def main() -> None:
    """Write pictures, model and retrained models into the plugin's folder."""
    if not (ASSETS / "digits.png").is_file():
        from vu_digits.pictures import write_pictures

        write_pictures(ASSETS)
    plan = plan_training("classifier", Registry.discover(), dataset="digits", data={}, options=OPTIONS, device="cpu")
    train_model(plan, ASSETS / "model", Surface(track=track, say=say), resume=True)
    model = vu.load_model("digits", device="cpu")
    for forget, data, count in wanted():
        for seed in range(1, count + 1):
            path = ASSETS / "retrained" / f"{forget.replace(':', '-')}-{seed:02d}.safetensors"
            if not path.is_file():
                write_edit(vu.unlearn("retrain", model, forget=forget, data=data, seed=seed), path)
                say(path.name)


if __name__ == "__main__":
    main()
