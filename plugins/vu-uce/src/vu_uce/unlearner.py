"""Unified Concept Editing: texts to rows, rows to a solved system, the system to an edit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch

from vu_core.context import RunContext
from vu_core.edits import Edit, tensor_sha256
from vu_core.errors import ModelError
from vu_core.interfaces import Data, Encoding
from vu_core.types import Request, Site
from vu_uce.config import UceConfig
from vu_uce.layers import LayerChange, ProjectedChange, SharedChange
from vu_uce.sites import edited_sites, input_columns, input_width, name_of, read_weight
from vu_uce.system import UceSystem
from vu_uce.texts import Texts, preserve_scale, texts_of
from vu_uce.tokens import aligned_rows, preserved_rows

T = TypeVar("T")

_PROMPTS_AT_ONCE = 64


class Uce:
    """Unified Concept Editing (arXiv:2308.14761): see `vu_uce.system` for the equations.

    The same request with its concepts in another order gives the same edit, bit for bit.
    """

    def unlearn(self, model: Any, request: Request, data: Data, config: UceConfig, ctx: RunContext) -> Edit:
        """Return the edit that makes ``model`` forget; reads its text encoder and the edited weights only.

        Raises:
            RequestError: A concept's text is blank, or a replacement does not fit the technique.
            ConfigError: An option needs a dataset that is not there.
            ModelError: The model has no layers to edit, or they do not fit its text encoder.
            ComputeError: Weights or states are not finite, or the system cannot be solved.
        """
        texts = texts_of(request, data, config)
        sites = edited_sites(model, config)
        _warn_of_identities(texts, config, ctx)
        info = _info(texts, config)
        if config.strength == 0 or config.erase_scale == 0:
            return Edit.lora({}, info=info)
        with torch.no_grad():
            systems = build_systems(model, sites, texts, config, ctx)
            scale = preserve_scale(config, texts.preserved)
            changes = {stream: change_of(system, config, scale) for stream, system in systems.items()}
            return _edit(model, sites, changes, config, info)


def build_systems(
    model: Any, sites: Sequence[Site], texts: Texts, config: UceConfig, ctx: RunContext
) -> dict[str, UceSystem]:
    """Return the system of each text stream that ``sites`` read, with the rows of all ``texts``.

    Args:
        model: Encodes the prompts.
        sites: The layers to edit.
        texts: What turns into what, and what is preserved.
        config: Token rule and technique.
        ctx: Shows progress.

    Raises:
        ModelError: A site reads a stream that the text encoder does not give, or of another width.
        ComputeError: States are NaN or infinite.
    """
    systems = {site.stream: UceSystem(input_width(site), keep_rows=config.technique == "tensor") for site in sites}
    chunks = list(_chunks(list(texts.edited), _PROMPTS_AT_ONCE // 2))
    for chunk in ctx.progress(chunks, label="encode forgotten concepts"):
        prompts = sorted({prompt for item in chunk for prompt in (item.prompt, *item.guides)})
        encoded = _encode(model, prompts, sites)
        for item in chunk:
            picked = [prompts.index(prompt) for prompt in (item.prompt, *item.guides)]
            for stream, (states, mask) in encoded.items():
                rows = aligned_rows(states[picked], mask[picked], config.tokens)
                systems[stream].add_edits(rows[0], _wanted(rows, config), texts.edited[item])
    for kept in ctx.progress(list(_chunks(list(texts.preserved), _PROMPTS_AT_ONCE)), label="encode preserved concepts"):
        for stream, (states, mask) in _encode(model, kept, sites).items():
            for i, prompt in enumerate(kept):
                systems[stream].add_preserved(
                    preserved_rows(states[i], mask[i], config.tokens), texts.preserved[prompt]
                )
    return systems


def change_of(system: UceSystem, config: UceConfig, preserve_scale: float) -> LayerChange:
    """Return the change that ``system`` gives at the scales of ``config``.

    Raises:
        ComputeError: The system cannot be solved.
    """
    factors = system.solve(config.erase_scale, preserve_scale, regularization_of(system, config))
    factors = factors.scaled(config.strength)
    if config.technique == "tensor":
        return ProjectedChange(*system.edited_rows, factors.right)
    return SharedChange(factors)


def regularization_of(system: UceSystem, config: UceConfig) -> float:
    """Return λ: the option itself, or times the mean squared norm of the edited rows."""
    relative = config.regularization_mode == "relative"
    return config.regularization * (system.mean_square if relative else 1.0)


def _wanted(rows: torch.Tensor, config: UceConfig) -> torch.Tensor:
    """Return the rows whose outputs are wanted, from a concept's rows and those of its guides (1 + k, R, d)."""
    if config.technique != "debias":
        return rows[1]
    weights = torch.tensor(config.attribute_weights, dtype=rows.dtype)
    return rows[0] + torch.einsum("k,krd->rd", weights, rows[1:])


def _edit(
    model: Any, sites: Sequence[Site], changes: Mapping[str, LayerChange], config: UceConfig, info: dict[str, Any]
) -> Edit:
    """Return the edit of all sites, reading one weight at a time."""
    low_rank = config.form == "lora" or (config.form == "smallest" and low_rank_is_smaller(sites, changes))
    base: dict[str, str] = dict(model.encoders())
    factors: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    replacements: dict[str, torch.Tensor] = {}
    for site in sites:
        change, columns = changes[site.stream], input_columns(site)
        stored = read_weight(model, site)
        base[name_of(site)] = tensor_sha256(stored)
        weight = stored.float()
        if not low_rank:
            replacements[name_of(site)] = _with_columns(weight, columns, change.dense(weight[:, columns]))
        elif change.rank:
            a, b = change.low_rank(weight[:, columns])
            factors[name_of(site)] = _with_columns(weight.new_zeros(len(a), site.shape[1]), columns, a), b
    if not low_rank:
        return Edit.dense(replacements, base=base, info=info)
    ranks = {stream: change.rank for stream, change in changes.items()}
    return Edit.lora(factors, base=base, info={**info, "ranks": ranks})


def low_rank_is_smaller(sites: Sequence[Site], changes: Mapping[str, LayerChange]) -> bool:
    """Return whether factors take no more numbers than whole matrices."""
    of_rank_one = {stream: sum(sum(s.shape) for s in sites if s.stream == stream) for stream in changes}
    of_matrices = {stream: sum(s.shape[0] * s.shape[1] for s in sites if s.stream == stream) for stream in changes}
    if all(change.rank_exceeds(of_matrices[stream] // of_rank_one[stream]) for stream, change in changes.items()):
        return False
    of_factors = sum(of_rank_one[stream] * change.rank for stream, change in changes.items())
    return of_factors <= sum(of_matrices.values())


def _with_columns(matrix: torch.Tensor, columns: slice, values: torch.Tensor) -> torch.Tensor:
    """Return a copy of ``matrix`` with ``values`` in its ``columns``."""
    changed = matrix.clone()
    changed[:, columns] = values
    return changed


def _encode(model: Any, prompts: Sequence[str], sites: Sequence[Site]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return states (N, L, d) and mask (N, L), on the CPU, of each stream that ``sites`` read."""
    encoding: Encoding = model.encode(prompts)
    for site in sites:
        states = encoding.states.get(site.stream)
        if states is None or states.shape[-1] != input_width(site):
            given = "is missing" if states is None else f"is {states.shape[-1]} wide"
            raise ModelError(
                f"'{name_of(site)}' reads {input_width(site)} columns of stream '{site.stream}', which {given}",
                hint="The model's text encoder and its layers do not belong together.",
            )
    streams = {site.stream for site in sites}
    return {stream: (encoding.states[stream].cpu(), encoding.mask[stream].cpu()) for stream in sorted(streams)}


def _warn_of_identities(texts: Texts, config: UceConfig, ctx: RunContext) -> None:
    for item in texts.edited:
        if config.technique in ("replace", "moderate") and item.guides == (item.prompt,):
            ctx.warnings.append(f"uce: '{item.prompt}' is replaced by itself, which changes nothing")


def _info(texts: Texts, config: UceConfig) -> dict[str, Any]:
    return {
        "edited": [[item.prompt, list(item.guides), count] for item, count in texts.edited.items()],
        "preserved": [[prompt, count] for prompt, count in texts.preserved.items()],
        "preserve_scale": preserve_scale(config, texts.preserved),
        "solved_in": "float64",
    }


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
