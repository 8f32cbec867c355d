"""What a classifier's folder says of it in ``vu_classifier.json``; light: nothing here imports torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vu_core import ConfigError, ModelError
from vu_core.config import validate
from vu_core.files import write_text
from vu_core.weights import read_json

DESCRIPTION_FILE = "vu_classifier.json"
TRAINING_FILE = "vu_training.json"
COMPONENT = "classifier"

Number = bool | int | float | str | None


@dataclass(frozen=True, kw_only=True)
class Description:
    """Which network a classifier is, what it tells apart and which pictures it reads.

    Attributes:
        architecture: A name of `vu_classifiers.architectures`, or ``"module:callable"``.
        arguments: Keyword arguments that it is built with.
        kind: Of the concepts that are its classes.
        classes: Their names, in the order of the logits.
        picture_size: Height and width of the pictures, in pixels.
        mean: Of each colour of pictures in [0, 1]; subtracted before the network reads them.
        std: Of each colour; divided by.
    """

    architecture: str
    arguments: dict[str, Number | list[Number]] = field(default_factory=dict)
    kind: str = "class"
    classes: tuple[str, ...]
    picture_size: tuple[int, int] = field(metadata={"ge": 1})
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = field(default=(1.0, 1.0, 1.0), metadata={"gt": 0})

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"a classifier has two classes or more of different names, not {', '.join(self.classes)}")

    def write(self, folder: Path) -> None:
        """Write it into ``folder``.

        Raises:
            RunError: The folder cannot be written.
        """
        write_text(folder / DESCRIPTION_FILE, json.dumps(asdict(self), indent=2) + "\n")


def read_description(folder: Path) -> Description:
    """Return what the classifier in ``folder`` is.

    Raises:
        ModelError: The file is missing, damaged, or says something else than it should.
    """
    path = folder / DESCRIPTION_FILE
    try:
        return validate(Description, read_json(path))
    except ConfigError as error:
        raise ModelError(f"'{path}': {error.message}", hint=error.hint) from error


def read_training(folder: Path) -> Mapping[str, Any]:
    """Return how the classifier in ``folder`` was trained: its ``recipe``, and on what.

    Raises:
        ModelError: The folder does not say.
    """
    path = folder / TRAINING_FILE
    found = read_json(path) if path.is_file() else {}
    if not isinstance(found.get("recipe"), dict):
        raise ModelError(
            f"how the model in '{folder}' was trained is not known: it has no {TRAINING_FILE} with a 'recipe'",
            hint='Train it with "vu train", or write the file: {"recipe": {"epochs": 182, "learning_rate": 0.1}}.',
        )
    return found
