"""The processes of one training, as ``accelerate launch`` starts them; usually a single one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, reduce


class Processes:
    """This process among those that train together.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``, where this process computes.

    Attributes:
        count: How many there are.
        index: Which one this is; the first writes all files.
    """

    def __init__(self, device: str) -> None:
        self._state = PartialState(cpu=torch.device(device).type == "cpu")
        self.count: int = self._state.num_processes
        self.index: int = self._state.process_index

    @property
    def is_first(self) -> bool:
        """Whether this process writes files."""
        return self.index == 0

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace ``tensors``, in place, by their sums over all processes: one exchange for all of them."""
        if self.count == 1 or not tensors:
            return
        together = reduce(torch.cat([tensor.flatten() for tensor in tensors]), reduction="sum")
        parts = together.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def agreed(self, decision: bool) -> bool:
        """Return the first process's ``decision``."""
        if self.count == 1:
            return decision
        shared = [decision]
        broadcast_object_list(shared)
        return shared[0]

    def wait(self) -> None:
        """Return when every process is here."""
        self._state.wait_for_everyone()

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """Let the first process run the block before the others, which find what it wrote."""
        with self._state.main_process_first():
            yield
