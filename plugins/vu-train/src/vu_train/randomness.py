"""Randomness that depends on where it is used and on nothing that happened before.

Every number is drawn from a generator seeded by the run's seed and a place: an image's position in its
stream, a step. So batch size, resumption and the number of processes change nothing, and a checkpoint
needs no random state: the step's number is all of it.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_of(*place: object) -> int:
    """Return a seed, an integer in [0, 2**63), for a place named by texts and numbers.

    Example:
        >>> seed_of(0, "forget", 17) == seed_of(0, "forget", 17) != seed_of(0, "forget", 18)
        True
    """
    digest = hashlib.sha256("/".join(map(str, place)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator_of(*place: object) -> torch.Generator:
    """Return a CPU generator for a place."""
    return torch.Generator().manual_seed(seed_of(*place))


def seed_global(*place: object) -> None:
    """Seed the global generators of python, numpy and torch (all devices), which dropout and others draw from."""
    seed = seed_of(*place)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def preserved() -> Iterator[None]:
    """Give the global generators of python, numpy and torch their states back at the end."""
    python, legacy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)
