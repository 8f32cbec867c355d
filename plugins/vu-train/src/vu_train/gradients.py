"""The gradient of one step: of several losses, over several parts and processes, combined and clipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch

from vu_core import ComputeError, PluginError
from vu_train.processes import Processes

GramRule = Callable[[torch.Tensor], Sequence[float]]
"""From the inner products of K losses' gradients, float64 (K, K) on the CPU, to K weights."""

Weights = Mapping[str, float] | GramRule
"""Fixed weights by the names of the losses, or a rule that finds them at each step."""


class Gradients:
    """Adds up the gradients of named losses and leaves one combined gradient in the parameters' ``grad``.

    Args:
        parameters: What the losses are differentiated by.
        weights: Of the losses; None for 1 each.
        processes: Over which gradients are summed.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], weights: Weights | None, processes: Processes) -> None:
        self._parameters = parameters
        self._rule = weights if callable(weights) else None
        self._fixed = None if callable(weights) else weights
        self._processes = processes
        self._by_loss: dict[str, list[torch.Tensor]] = {}

    @property
    def waits(self) -> bool:
        """Whether combining waits for the device, because a rule looks at the gradients."""
        return self._rule is not None

    def clear(self) -> None:
        """Forget what was added."""
        self._by_loss = {}
        for parameter in self._parameters:
            parameter.grad = None

    def add(self, losses: Mapping[str, torch.Tensor], share: float) -> None:
        """Add ``share`` times the gradients of the losses of one part.

        Raises:
            PluginError: A loss is no scalar, or losses and weights have different names.
            ComputeError: The losses do not depend on the parameters.
        """
        self._check(losses)
        if self._rule is not None:
            self._add_separately(losses, share)
            return
        weights = self._fixed or dict.fromkeys(losses, 1.0)
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum() * share
        total.backward(inputs=list(self._parameters))  # type: ignore[no-untyped-call]

    def combine(self, clip: float | None) -> torch.Tensor:
        """Make the parameters' ``grad`` the step's gradient and return its norm before clipping: float32 scalar.

        Args:
            clip: Largest norm; None for any.
        """
        if self._rule is not None:
            self._combine_by(self._rule)
        else:
            self._processes.add_up([one.grad for one in self._parameters if one.grad is not None])
        return torch.nn.utils.clip_grad_norm_(self._parameters, math.inf if clip is None else clip)

    def _add_separately(self, losses: Mapping[str, torch.Tensor], share: float) -> None:
        for position, (name, loss) in enumerate(losses.items(), start=1):
            if not loss.requires_grad:
                found = tuple(torch.zeros_like(parameter) for parameter in self._parameters)
            else:
                last = position == len(losses)
                found = torch.autograd.grad(
                    loss * share, self._parameters, retain_graph=not last, allow_unused=True, materialize_grads=True
                )
            so_far = self._by_loss.get(name)
            self._by_loss[name] = [a + b for a, b in zip(so_far, found, strict=True)] if so_far else list(found)

    def _combine_by(self, rule: GramRule) -> None:
        gradients = list(self._by_loss.values())
        self._processes.add_up([part for gradient in gradients for part in gradient])
        gram = torch.tensor([[_inner(one, other) for other in gradients] for one in gradients], dtype=torch.float64)
        weights = rule(gram)
        for parameter, *parts in zip(self._parameters, *gradients, strict=True):
            parameter.grad = torch.stack([weight * part for weight, part in zip(weights, parts, strict=True)]).sum(0)
        self._by_loss = {}

    def _check(self, losses: Mapping[str, torch.Tensor]) -> None:
        if self._fixed is not None and set(self._fixed) != set(losses):
            raise PluginError(f"the losses are {', '.join(losses)}, the weights are of {', '.join(self._fixed)}")
        for name, loss in losses.items():
            if loss.ndim:
                raise PluginError(f"loss '{name}' has the shape {tuple(loss.shape)}; a loss is a scalar")
        if not any(loss.requires_grad for loss in losses.values()):
            raise ComputeError(f"none of the losses ({', '.join(losses)}) depends on the trained parameters")


def _inner(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    """Return the inner product of two gradients, summed in float64 where the device has it."""
    wide = torch.float32 if one[0].device.type == "mps" else torch.float64
    return float(sum((a.to(wide) * b.to(wide)).sum() for a, b in zip(one, other, strict=True)))
