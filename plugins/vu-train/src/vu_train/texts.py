"""Text states, computed once for each caption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import torch

from vu_core import Encoding, PluginError
from vu_core.context import RunContext
from vu_train.processes import Processes
from vu_train.store import TensorStore

_AT_ONCE = 64
_PACKAGES = ("torch", "transformers")


class TextStates:
    """The states of some captions, on the CPU; made by `encode_texts`.

    Args:
        captions: N different texts.
        encoding: Of all of them, in order.
    """

    def __init__(self, captions: Sequence[str], encoding: Encoding) -> None:
        self._rows = {caption: row for row, caption in enumerate(captions)}
        self._encoding = encoding

    def of(self, captions: Iterable[str]) -> Encoding:
        """Return the states of ``captions``, which may repeat themselves, in order.

        Raises:
            PluginError: One was not encoded before.
        """
        captions = list(captions)
        missing = [caption for caption in captions if caption not in self._rows]
        if missing:
            raise PluginError(f"the caption '{missing[0]}' was not given to encode_texts")
        rows = torch.tensor([self._rows[caption] for caption in captions])
        return Encoding(
            states={stream: states[rows] for stream, states in self._encoding.states.items()},
            mask={stream: mask[rows] for stream, mask in self._encoding.mask.items()},
            first=self._encoding.first,
        )


def encode_texts(model: Any, captions: Iterable[str], ctx: RunContext) -> TextStates:
    """Return the states of ``captions``, from the run's folder or newly computed.

    Args:
        model: Offers `Encodes`.
        captions: Any number of texts; repeated ones are encoded once.
        ctx: For folder and progress.

    Raises:
        ModelError: States are not finite.
    """
    different = sorted(set(captions))
    key = {
        "encoders": dict(model.encoders()),
        "captions": different,
        "dtype": model.dtype,
        "device": torch.device(ctx.device).type,
        "versions": {name: version(name) for name in _PACKAGES},
    }
    with Processes(ctx.device).first_goes_first():
        tensors = TensorStore(ctx).get("texts", key, lambda: _encode(model, different, ctx))
    streams = [name.removeprefix("states/") for name in tensors if name.startswith("states/")]
    encoding = Encoding(
        states={stream: tensors[f"states/{stream}"] for stream in streams},
        mask={stream: tensors[f"mask/{stream}"] for stream in streams},
        first={stream: int(tensors[f"first/{stream}"]) for stream in streams},
    )
    return TextStates(different, encoding)


def _encode(model: Any, captions: Sequence[str], ctx: RunContext) -> dict[str, torch.Tensor]:
    starts = range(0, len(captions), _AT_ONCE)
    parts: list[Encoding] = [
        model.encode(captions[start : start + _AT_ONCE]) for start in ctx.progress(starts, label="encode captions")
    ]
    tensors = {}
    for stream in parts[0].states:
        tensors[f"states/{stream}"] = torch.cat([part.states[stream] for part in parts])
        tensors[f"mask/{stream}"] = torch.cat([part.mask[stream] for part in parts])
        tensors[f"first/{stream}"] = torch.tensor(parts[0].first[stream])
    return tensors
