"""Low-rank adapters beside some layers of a module, which itself stays as it is.

A layer with weight W answers as if its weight were W + strength (alpha / rank) (B A) ⊙ M: its own forward pass
runs untouched, and a forward hook adds what the low-rank part makes of the same input. So the module's parameters
never move, the module without its adapters is the teacher, and nothing is left behind when they come off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from vu_core import ConfigError, Edit, ModelError
from vu_core.edits import tensor_sha256

_Layer = nn.Linear | nn.Conv2d


def layers_ending_in(module: nn.Module, suffixes: Sequence[str]) -> list[str]:
    """Return the paths of the linear and convolution layers whose path ends in one of ``suffixes``.

    Args:
        module: Such as a denoiser.
        suffixes: Whole path components: ``"to_k"``, ``"to_out.0"``, ``"attn2.to_v"``.

    Raises:
        ConfigError: A suffix matches no layer.

    Example:
        >>> layers_ending_in(nn.ModuleDict({"to_k": nn.Linear(2, 2), "to_q": nn.Linear(2, 2)}), ["to_k"])
        ['to_k']
    """
    paths = matrix_layers(module)
    matched = {suffix: [path for path in paths if f".{path}".endswith(f".{suffix}")] for suffix in suffixes}
    empty = [suffix for suffix, found in matched.items() if not found]
    if empty:
        raise ConfigError(
            f"no linear or convolution layer ends in '{empty[0]}'",
            hint=f"Layers are called, for example, {', '.join(repr(path) for path in paths[:3])}.",
        )
    chosen = {path for found in matched.values() for path in found}
    return [path for path in paths if path in chosen]


def matrix_layers(module: nn.Module) -> list[str]:
    """Return the paths of all layers that can have an adapter: linear and plain 2-D convolution, in module order."""
    return [path for path, layer in module.named_modules() if _adaptable(layer)]


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Train no parameter of ``module`` for the length of a ``with`` block; restore ``requires_grad`` at its end."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        module.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


class Adapters:
    """Trainable low-rank changes of some layers of ``module``.

    Parameters are float32 whatever the module's type; A is normal with standard deviation 1 / rank and B is zero, so
    that nothing changes at first. The module's own parameters never change.

    Args:
        module: Holds the layers.
        paths: Their paths in it.
        rank: Of each change, at least 1.
        alpha: The change is multiplied by ``alpha / rank``.
        dropout: Share of the inputs of the low-rank part that is dropped while `layers` are in training mode.
        masks: By path, bool of the weight's shape: the entries that may change. Other paths change everywhere.
        generator: Draws A, path after path, on the CPU.

    Attributes:
        layers: What is trained: one submodule a path, with parameters ``a`` (rank, in, ...) and ``b`` (out, rank, ...).
        strength: Factor on all changes: 1 as trained, 0 the module alone, -1 negated; see `at`.

    Raises:
        ConfigError: There are no paths, or rank or dropout is out of range.
        ModelError: A path names no linear or plain 2-D convolution layer.

    Example:
        >>> module = nn.Sequential(nn.Linear(4, 3))
        >>> adapters = Adapters(module, ["0"], rank=2, alpha=2, generator=torch.Generator().manual_seed(0))
        >>> with adapters.attached():
        ...     module(torch.ones(1, 4)).shape
        torch.Size([1, 3])
    """

    def __init__(
        self,
        module: nn.Module,
        paths: Sequence[str],
        *,
        rank: int,
        alpha: float,
        dropout: float = 0.0,
        masks: Mapping[str, torch.Tensor] | None = None,
        generator: torch.Generator,
    ) -> None:
        if not paths or rank < 1 or not 0 <= dropout < 1:
            raise ConfigError(
                f"adapters were given {len(paths)} layers, rank {rank} and dropout {dropout}",
                hint="They take at least one layer, rank >= 1 and 0 <= dropout < 1.",
            )
        self.strength = 1.0
        self.layers = nn.ModuleDict()
        self._module, self._paths = module, tuple(paths)
        self._scale, self._dropout = alpha / rank, dropout
        for path in paths:
            mask = (masks or {}).get(path)
            self.layers[_key(path)] = _LowRank(_layer(module, path), rank=rank, mask=mask, generator=generator)

    @contextmanager
    def attached(self) -> Iterator[Adapters]:
        """Let the adapters act for the length of a ``with`` block, in which the module's own parameters are frozen.

        At the end, also when the block raises, the hooks are gone and ``requires_grad`` is as it was.
        """
        hooks = []
        with frozen(self._module):
            try:
                for path, low in self._items():
                    hook = partial(self._add_change, low)
                    hooks.append(self._module.get_submodule(path).register_forward_hook(hook))
                yield self
            finally:
                for handle in hooks:
                    handle.remove()

    @contextmanager
    def at(self, strength: float) -> Iterator[None]:
        """Act at another strength for the length of a ``with`` block: 0 is the module alone, bit for bit."""
        before, self.strength = self.strength, strength
        try:
            yield
        finally:
            self.strength = before

    def as_edit(
        self,
        model: Any,
        component: str,
        *,
        strength: float = 1.0,
        base: Mapping[str, str] | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> Edit:
        """Return the change as an edit, ``alpha / rank`` and ``strength`` baked in.

        Without masks it is low-rank. With masks it is dense: the whole weights of the layers that changed, in float32;
        their entries outside the mask are those of the base model.

        Args:
            model: Its stored tensors are what the edit is made for; offers `TensorSource`.
            component: The component that ``module`` is: ``"unet"``.
            strength: 1 as trained, -1 negated.
            base: sha256 of what else was read of the model, by name.
            info: JSON values for people and records.
        """
        names = {path: f"{component}.{path}.weight" for path in self._paths}
        stored = {path: model.tensor(component, f"{path}.weight") for path in self._paths}
        read = {**(base or {}), **{names[path]: tensor_sha256(stored[path]) for path in self._paths}}
        factor = strength * self._scale
        if all(low.mask is None for _, low in self._items()):
            factors = {names[path]: (low.a.cpu(), low.b.cpu() * factor) for path, low in self._items()}
            return Edit.lora(factors, base=read, info=info or {})
        with torch.no_grad():
            # Outside the mask the change is zero, and adding zero leaves a weight as it is.
            changed = {
                names[path]: stored[path].float() + factor * low.change().cpu()
                for path, low in self._items()
                if low.b.any()
            }
        return Edit.dense(changed, base=read, info=info or {})

    def _add_change(self, low: _LowRank, layer: _Layer, inputs: tuple[Any, ...], output: torch.Tensor) -> Any:
        if self.strength == 0.0:
            return None
        given = F.dropout(inputs[0], self._dropout, training=self.layers.training)
        return output + low(layer, given, self.strength * self._scale).to(output.dtype)

    def _items(self) -> Iterator[tuple[str, _LowRank]]:
        return zip(self._paths, self.layers.values(), strict=True)  # type: ignore[arg-type]


class _LowRank(nn.Module):
    """The low-rank change B A of one layer's weight, elementwise times a mask where there is one."""

    mask: torch.Tensor | None

    def __init__(self, layer: _Layer, *, rank: int, mask: torch.Tensor | None, generator: torch.Generator) -> None:
        super().__init__()
        rows, *others = layer.weight.shape
        device = layer.weight.device
        drawn = torch.randn(rank, *others, generator=generator) / rank
        self.a = nn.Parameter(drawn.to(device))
        self.b = nn.Parameter(torch.zeros(rows, rank, *(1 for _ in others[1:]), device=device))
        # The mask is what the adapter is made for, not what it learns: it does not belong into a checkpoint.
        self.register_buffer("mask", None if mask is None else mask.to(device), persistent=False)

    def change(self) -> torch.Tensor:
        """Return B A ⊙ M, float32 of the weight's shape."""
        product = (self.b.flatten(1) @ self.a.flatten(1)).view(len(self.b), *self.a.shape[1:])
        return product if self.mask is None else product * self.mask

    def forward(self, layer: _Layer, given: torch.Tensor, factor: float) -> torch.Tensor:
        """Return what ``factor`` times the change makes of the layer's input, in the input's type."""
        if self.mask is not None:
            return _respond(layer, given, (factor * self.change()).to(given.dtype))
        inner = _respond(layer, given, self.a.to(given.dtype))
        outer = (factor * self.b).to(inner.dtype)
        return F.linear(inner, outer) if isinstance(layer, nn.Linear) else F.conv2d(inner, outer)


def _respond(layer: _Layer, given: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return what ``layer`` would answer with another weight and without bias."""
    if isinstance(layer, nn.Linear):
        return F.linear(given, weight)
    return F.conv2d(given, weight, None, layer.stride, layer.padding, layer.dilation)


def _adaptable(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and layer.padding_mode == "zeros"
    return isinstance(layer, nn.Linear)


def _layer(module: nn.Module, path: str) -> _Layer:
    try:
        layer = module.get_submodule(path)
    except AttributeError:
        layer = None
    if layer is None or not _adaptable(layer):
        raise ModelError(
            f"'{path}' cannot have an adapter: it is no linear layer and no 2-D convolution with one group",
            hint="Name layers that the model has.",
        )
    return layer  # type: ignore[return-value]


def _key(path: str) -> str:
    """Return a path as a name of a submodule, which may hold no dot."""
    return path.replace(".", "/")
