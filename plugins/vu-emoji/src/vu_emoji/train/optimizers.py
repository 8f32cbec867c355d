"""AdamW, and Muon for the matrices with AdamW for the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: torch.Tensor, rounds: int = 4) -> torch.Tensor:
    """Returns the nearest (semi-)orthogonal matrix, by Newton-Schulz rounds (Jordan et al. 2024)."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    result: torch.Tensor = x.T if tall else x
    return result


class MuonAdamW(torch.optim.AdamW):
    """AdamW whose groups marked ``muon`` take orthogonalised momentum steps instead.

    Such a step is scaled to the root mean square of AdamW's, so that both share one rate.
    """

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores the state; AdamW expects a step count of every weight."""
        for values in state["state"].values():
            values.setdefault("step", torch.tensor(0.0))
        super().__setstate__(state)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Takes one step in every group."""
        everything = self.param_groups
        muon = [group for group in everything if group.get("muon")]
        for group in muon:
            self._step_group(group)
        self.param_groups = [group for group in everything if not group.get("muon")]
        try:
            return super().step(closure)
        finally:
            self.param_groups = everything

    def _step_group(self, group: dict[str, Any]) -> None:
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(weight)
            momentum = state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
            update = weight.grad.lerp(momentum, group["momentum"]).flatten(1)
            scale = 0.2 * max(update.shape) ** 0.5
            update = orthogonalise(update).view_as(weight)
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.add_(update, alpha=-group["lr"] * scale)


def build_optimizer(
    model: nn.Module,
    name: str,
    learning_rate: float,
    weight_decay: float = 0.0,
    outer: tuple[str, ...] = ("conv_in", "conv_out", "time_embedding"),
    outer_rate: float | None = None,
) -> torch.optim.Optimizer:
    """Returns an optimiser of a network; each of its groups remembers its peak rate as ``peak``.

    Args:
        model: the network.
        name: ``adamw``, or ``muon`` for the inner weights with AdamW for the rest.
        learning_rate: peak rate.
        weight_decay: of the inner weights.
        outer: parts of the names of weights that are not inner ones.
        outer_rate: peak rate of the rest; the same when None.

    Raises:
        ValueError: there is no optimiser of that name.
    """
    inner: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for key, weight in model.named_parameters():
        is_inner = weight.ndim >= 2 and not any(part in key for part in outer)
        (inner if is_inner else rest).append(weight)
    outer_rate = outer_rate or learning_rate
    groups = [
        {
            "params": inner,
            "weight_decay": weight_decay,
            "lr": learning_rate,
            "peak": learning_rate,
        },
        {"params": rest, "weight_decay": 0.0, "lr": outer_rate, "peak": outer_rate},
    ]
    if name == "adamw":
        return torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)
    if name == "muon":
        groups[0].update(muon=True, momentum=0.95)
        return MuonAdamW(groups, betas=(0.9, 0.99))
    raise ValueError(f"unknown optimizer {name!r}; known: adamw, muon")
