"""Many networks of one architecture, trained at once in one vectorised computation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.func import functional_call, vmap
from torch.nn.functional import cross_entropy
from torch.nn.modules.dropout import _DropoutNd

from vu_core import ComputeError, ConfigError
from vu_core.context import RunContext
from vu_train.batches import as_input, crop_flip
from vu_train.classifying import in_training, learning_rate, lone_images_allowed, optimizer_of
from vu_train.labelled import LabelledImages
from vu_train.randomness import generator_of, preserved
from vu_train.settings import ClassifierSettings


def train_together(
    networks: Sequence[torch.nn.Module],
    images: LabelledImages,
    settings: ClassifierSettings,
    ctx: RunContext,
    *,
    seeds: Sequence[int],
    members: torch.Tensor | None = None,
) -> None:
    """Train ``networks`` in place: each as `train_on` with its own seed would on its own images, but for rounding.

    Each network has its weights, its order of images and its statistics; a step of all is one computation, and so
    small networks cost little more than one of them. Nothing is kept for resuming.

    Args:
        networks: Of one architecture, on one device; no answer of theirs is random, as with dropout.
        images: What they learn; at least one.
        settings: How.
        ctx: Log and progress; its seed is not used.
        seeds: One a network.
        members: int64 (networks, n): which of ``images`` each learns; None for all.

    Raises:
        ConfigError: There is no network, no image, or a network has dropout.
        ComputeError: A loss is not finite; the message names the seed.
    """
    if members is None:
        members = torch.arange(len(images)).expand(len(networks), -1)
    _check(networks, seeds, members)
    first = networks[0]
    with preserved(), torch.enable_grad(), in_training(first, settings), lone_images_allowed(first, ctx):
        stacked = _Stacked(networks, settings)
        for epoch in ctx.progress(range(settings.epochs), label=f"train {len(networks)} networks"):
            losses = stacked.walk(_batches(images, members, settings, seeds, epoch, first), epoch)
            _report(losses, seeds, epoch, settings, ctx)
        stacked.unstack(networks)


@dataclass(frozen=True)
class _Batch:
    """Images (networks, n, 3, H, W) and labels (networks, n)."""

    images: torch.Tensor
    labels: torch.Tensor


class _Stacked:
    """The parameters and buffers of all networks, one tensor a name, and their optimiser."""

    def __init__(self, networks: Sequence[torch.nn.Module], settings: ClassifierSettings) -> None:
        self.settings, network = settings, networks[0]
        states = [one.state_dict() for one in networks]
        stacked = {name: torch.stack([state[name] for state in states]) for name in states[0]}
        self.parameters = {name: stacked.pop(name).requires_grad_() for name, _ in network.named_parameters()}
        self.buffers = stacked
        self.optimizer = optimizer_of(list(self.parameters.values()), settings)

        def loss(
            parameters: dict[str, torch.Tensor], buffers: dict[str, torch.Tensor], batch: tuple[torch.Tensor, ...]
        ) -> torch.Tensor:
            images, labels = batch
            return cross_entropy(functional_call(network, (parameters, buffers), (images,)), labels)

        self.losses = vmap(loss)

    def walk(self, batches: Iterator[_Batch], epoch: int) -> torch.Tensor:
        """Make a step for each batch; return the mean loss of each network: (networks,)."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, epoch)
        found = []
        for batch in batches:
            self.optimizer.zero_grad()
            losses = self.losses(self.parameters, self.buffers, (batch.images, batch.labels))
            # Networks share no weight: the gradient of the sum is that of each network's own loss.
            losses.sum().backward()  # type: ignore[no-untyped-call]
            if self.settings.clip is not None:
                self._clip(self.settings.clip)
            self.optimizer.step()
            found.append(losses.detach())
        return torch.stack(found).mean(0)

    def unstack(self, networks: Sequence[torch.nn.Module]) -> None:
        """Give each network its own parameters and buffers."""
        for place, network in enumerate(networks):
            tensors = {**self.parameters, **self.buffers}
            network.load_state_dict({name: one.detach()[place] for name, one in tensors.items()})

    def _clip(self, largest: float) -> None:
        """Scale each network's gradient down to a norm of ``largest``, as `torch.nn.utils.clip_grad_norm_` does."""
        gradients = [one.grad for one in self.parameters.values() if one.grad is not None]
        norms = torch.stack([one.flatten(1).norm(dim=1) for one in gradients]).norm(dim=0)
        factors = (largest / (norms + 1e-6)).clamp(max=1.0)
        for one in gradients:
            one.mul_(factors.view(-1, *[1] * (one.ndim - 1)))


def _batches(
    images: LabelledImages,
    members: torch.Tensor,
    settings: ClassifierSettings,
    seeds: Sequence[int],
    epoch: int,
    network: torch.nn.Module,
) -> Iterator[_Batch]:
    """Yield the batches of an epoch; each network's images are those that `vu_train.batches.Batches` gives it."""
    first = next(network.parameters())
    places = [(seed, "train", epoch) for seed in seeds]
    orders = [torch.randperm(members.shape[1], generator=generator_of(*place, "order")) for place in places]
    positions = members.gather(1, torch.stack(orders))
    augmented = [generator_of(*place, settings.augment) for place in places]
    for part in torch.split(positions, settings.batch_size, dim=1):
        chosen = images.images[part].to(first.device)
        if settings.augment == "crop-flip":
            chosen = torch.stack([crop_flip(*one) for one in zip(chosen, augmented, strict=True)])
        yield _Batch(as_input(chosen, first.dtype), images.labels[part].to(first.device))


def _report(
    losses: torch.Tensor, seeds: Sequence[int], epoch: int, settings: ClassifierSettings, ctx: RunContext
) -> None:
    values = losses.tolist()
    wrong = next((seed for seed, value in zip(seeds, values, strict=True) if not math.isfinite(value)), None)
    if wrong is not None:
        raise ComputeError(
            f"the loss of the network of seed {wrong} is not finite in epoch {epoch + 1}",
            hint="Try a smaller learning_rate or clip, or compute in float32.",
        )
    ctx.log(epoch + 1, {"loss/train": sum(values) / len(values), "learning_rate": learning_rate(settings, epoch)})


def _check(networks: Sequence[torch.nn.Module], seeds: Sequence[int], members: torch.Tensor) -> None:
    counts = {"networks": len(networks), "seeds": len(seeds), "sets of images": len(members)}
    if not members.numel() or len(set(counts.values())) > 1:
        given = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise ConfigError(f"there are {given}", hint="Give each network a seed and at least one image.")
    if any(isinstance(part, _DropoutNd) and part.p for part in networks[0].modules()):
        raise ConfigError("networks with dropout cannot be trained together", hint="Train them one by one.")
