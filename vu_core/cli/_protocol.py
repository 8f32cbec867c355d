"""What a protocol asks for, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vu_core.protocols import Protocol


def protocol_rows(protocol: Protocol) -> dict[str, str]:
    """Return the protocol as rows for people: what is drawn, how, who judges, what is computed, what was published."""
    sampler, listed, sets = protocol.sampler, protocol.prompts, protocol.pictures
    drawn = ""
    if sampler:
        drawn = f"{sampler.steps} steps, guidance {sampler.guidance_scale:g}, {sampler.scheduler or 'stored scheduler'}"
    prompts = f"{listed.file}, sha256 {listed.sha256[:12]}, from {listed.url}" if listed else ""
    seeds = f"{', '.join(map(str, protocol.seeds))} " if protocol.seeds else ""
    return {
        "dataset": protocol.dataset,
        "prompts": prompts or "; ".join(protocol.templates),
        "grid": " x ".join(f"{kind}: {_names(names)}" for kind, names in protocol.grid.items()),
        "synonyms": "; ".join(f"{name}: {', '.join(words)}" for name, words in protocol.synonyms.items()),
        "pictures": f"the dataset's {' and '.join(sets.splits)} splits" if sets else "",
        "seeds": f"{seeds}({protocol.noise} noise)" if protocol.noise else "",
        "sampler": drawn,
        "scorers": ", ".join(f"{role}: {name}" for role, name in protocol.scorers.items()),
        "smallest sample": f"{protocol.min_samples} pictures" if protocol.min_samples > 1 else "",
        "metrics": ", ".join(_with_options(name, options) for name, options in protocol.metrics.items()),
        **{f"needs {name}": what for name, what in protocol.needs.items()},
        "as published": str(protocol.original or ""),
        **{f"deviation {number}": sentence for number, sentence in enumerate(protocol.deviations, 1)},
        **{f"published {number}": str(row) for number, row in enumerate(protocol.published, 1)},
    }


def _with_options(metric: str, options: Mapping[str, Any]) -> str:
    return f"{metric} ({', '.join(f'{key}={value}' for key, value in options.items())})" if options else metric


def _names(names: tuple[str, ...] | Literal["all"]) -> str:
    return names if isinstance(names, str) else ", ".join(names)
