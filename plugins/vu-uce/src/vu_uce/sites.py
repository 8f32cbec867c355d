"""The layers that an edit changes: which, where their input comes from, and their weights as stored."""

from __future__ import annotations

from typing import Any

import torch

from vu_core.errors import ModelError
from vu_core.interfaces import TensorSource
from vu_core.types import Site
from vu_uce.config import UceConfig


def edited_sites(model: Any, config: UceConfig) -> list[Site]:
    """Return the sites of ``model`` that ``config`` edits.

    Raises:
        ModelError: There are none.
    """
    sites = model.sites()
    chosen = [site for site in sites if config.sites == "all" or site.role in ("key", "value")]
    if not chosen:
        raise ModelError(
            f"'{model.name}' has no cross-attention keys and values that text enters",
            hint="Use -o sites=all." if sites else "This model cannot be edited by uce.",
        )
    return chosen


def input_columns(site: Site) -> slice:
    """Return the input columns of a site that its stream feeds."""
    return slice(*(site.columns or (0, site.shape[1])))


def input_width(site: Site) -> int:
    """Return the number of input columns that a site's stream feeds."""
    columns = input_columns(site)
    return int(columns.stop - columns.start)


def name_of(site: Site) -> str:
    """Return a site's weight as edits name it: component and parameter."""
    return f"{site.component}.{site.parameter}"


def read_weight(model: TensorSource, site: Site) -> torch.Tensor:
    """Return a site's weight (out, in) as stored.

    Raises:
        ModelError: It has another shape than the site says, or holds NaN or infinite values.
    """
    weight = model.tensor(site.component, site.parameter)
    if tuple(weight.shape) != site.shape:
        raise ModelError(f"'{name_of(site)}' has shape {tuple(weight.shape)}, the model says {site.shape}")
    if not weight.isfinite().all():
        raise ModelError(
            f"'{name_of(site)}' holds NaN or infinite values", hint="The model's file is damaged; get it again."
        )
    return weight
