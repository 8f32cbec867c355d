"""The networks by name: those that this plugin builds, and functions of the user's own."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from vu_train.randomness import preserved

from vu_classifiers.description import Description
from vu_classifiers.pixels import read_pixels
from vu_core import ModelError
from vu_core.errors import did_you_mean
from vu_core.numerics import torch_defaults

ARCHITECTURES = {
    "mlp": "vu_classifiers.mlp:mlp",
    "resnet18": "vu_classifiers.resnet:resnet18",
    "resnet20": "vu_classifiers.resnet:resnet20",
    "vgg16-bn": "vu_classifiers.vgg:vgg16_bn",
    "vit-tiny": "vu_classifiers.vit:vit_tiny",
}
TRUST_VARIABLE = "VU_TRUST_ARCHITECTURES"
"""Environment variable: the functions ``module:callable``, with commas, that files may name."""


def build(description: Description, seed: int, *, trusted: bool = False) -> nn.Module:
    """Return the network that ``description`` names, as it is before training, in eval mode, float32 on the CPU.

    It reads pictures in [0, 1] and normalises them itself. Random states are as before at the end.

    Args:
        description: Which network.
        seed: Decides its random weights.
        trusted: Whether the user named the architecture, so that code of theirs may run; see `allow`.

    Raises:
        ModelError: There is no such architecture, it refuses the arguments, or its code is not trusted.
    """
    function = _function(description.architecture, trusted=trusted)
    own = description.architecture in ARCHITECTURES
    shape = {"classes": len(description.classes), "picture_size": description.picture_size} if own else {}
    with preserved(), torch_defaults():
        torch.manual_seed(seed)
        try:
            network = function(**shape, **description.arguments)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"'{description.architecture}' cannot be built: {error}",
                hint=f"It was given: {description.arguments or 'no arguments'}.",
            ) from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"'{description.architecture}' returns a {type(network).__name__}, no torch.nn.Module")
    return read_pixels(network, description.mean, description.std).eval()


def allow(name: str) -> bool:
    """Return whether a file may name the function ``module:callable``: the user lists it in `TRUST_VARIABLE`."""
    return name in (part.strip() for part in os.environ.get(TRUST_VARIABLE, "").split(","))


def _function(name: str, *, trusted: bool) -> Callable[..., Any]:
    if name not in ARCHITECTURES and ":" not in name:
        hint = f"{did_you_mean(name, ARCHITECTURES)} Known: {', '.join(ARCHITECTURES)}; or module:callable.".lstrip()
        raise ModelError(f"unknown architecture '{name}'", hint=hint)
    if name not in ARCHITECTURES and not trusted and not allow(name):
        raise ModelError(
            f"the model's folder asks to run the code '{name}' of yours, which no file may decide",
            hint=f"If that is the function you mean, allow it: {TRUST_VARIABLE}={name}",
        )
    module, _, attribute = ARCHITECTURES.get(name, name).partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"the architecture '{name}' cannot be imported: {error}") from error
    if not callable(function):
        raise ModelError(f"the architecture '{name}' is a {type(function).__name__}, no function")
    found: Callable[..., Any] = function
    return found
