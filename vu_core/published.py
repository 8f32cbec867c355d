"""What was published with a protocol: the procedure, to say how a run differs from it, and the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vu_core.protocols import Protocol


@dataclass(frozen=True, kw_only=True)
class Original:
    """The procedure as published; what a file leaves out is not known, or not to be compared.

    Attributes:
        model: Hub id or name of the model.
        dtype: Floating-point type: ``"float16"``.
        scheduler: Sampler, as diffusers calls the class.
        steps: Denoising steps.
        guidance_scale: Classifier-free guidance; None also where each prompt has its own.
        height: Pixels.
        width: Pixels.
        noise: ``"per-prompt"``, ``"shared"``, ``"sequential"`` or ``"per-row"``: how a seed becomes noise.
        pictures: How many pictures a model is judged by.
        scorers: By role, what judges.
    """

    model: str = ""
    dtype: str = ""
    scheduler: str = ""
    steps: int | None = None
    guidance_scale: float | None = None
    height: int | None = None
    width: int | None = None
    noise: Literal["per-prompt", "shared", "sequential", "per-row", ""] = ""
    pictures: int | None = None
    scorers: dict[str, str] = field(default_factory=dict)

    def differences(self, here: Mapping[str, Any]) -> Iterator[str]:
        """Yield a sentence for everything that was published and that ``here``, by the same names, has otherwise."""
        judges = here.get("scorers", {})
        pairs = [(name, here[name], getattr(self, name)) for name in _names(self) if name in here]
        pairs += [(f"judge of {role}", judges[role], name) for role, name in self.scorers.items() if role in judges]
        for what, mine, theirs in pairs:
            if theirs not in (None, "") and mine != theirs:
                yield f"{what.replace('_', ' ')}: {_shown(mine)} here, {_shown(theirs)} as published"

    def __str__(self) -> str:
        known = [(name, getattr(self, name)) for name in _names(self)] + [*self.scorers.items()]
        return ", ".join(
            f"{name.replace('_', ' ')} {_shown(value)}" for name, value in known if value not in (None, "")
        )


@dataclass(frozen=True, kw_only=True)
class Published:
    """A row of numbers to compare with.

    Attributes:
        method: What it was measured of.
        values: The numbers by metric, in that metric's unit.
        kind: Kind of concept that was forgotten; empty for any.
        source: Where it stands: an arXiv id, a DOI or a URL.
        evidence: What it stands in: ``"paper"``, ``"leaderboard"``, ``"repository"``; ``"measured"`` here.
        note: What a reader must know beside it.
    """

    method: str
    values: dict[str, float]
    source: str
    evidence: Literal["paper", "leaderboard", "repository", "measured"]
    kind: str = ""
    note: str = ""

    def __str__(self) -> str:
        numbers = ", ".join(f"{metric} {value:g}" for metric, value in self.values.items())
        about = f" ({self.kind})" if self.kind else ""
        note = f"; {self.note}" if self.note else ""
        return f"{self.method}{about}: {numbers} [{self.evidence}, {self.source}{note}]"


def deviations(
    protocol: Protocol,
    *,
    model: str,
    dtype: str,
    pictures: int,
    metrics: Sequence[str],
    scorers: Mapping[str, str],
) -> list[str]:
    """Return every difference between a run and the published procedure, a sentence each; none where it is its own.

    Args:
        protocol: The protocol.
        model: Name, hub id or folder of the model that is judged.
        dtype: Floating-point type it computes in.
        pictures: How many pictures it is judged by.
        metrics: Names of the metrics that are measured.
        scorers: Names of the judges that these need, by role.
    """
    drawing = ("scheduler", "steps", "guidance_scale", "height", "width")
    here = {
        **({name: getattr(protocol.sampler, name) for name in drawing} if protocol.sampler else {}),
        "model": model,
        "dtype": dtype,
        "noise": protocol.noise,
        "pictures": pictures,
        "scorers": scorers,
    }
    left_out = [name for name in protocol.metrics if name not in metrics]
    found = list(protocol.deviations)
    found += protocol.original.differences(here) if protocol.original else []
    found += [f"not measured: {', '.join(left_out)}"] if left_out and protocol.original else []
    return [f"differs from {protocol.name} as published: {sentence}" for sentence in found]


def _names(original: Original) -> list[str]:
    return [item.name for item in fields(original) if item.name != "scorers"]


def _shown(value: Any) -> str:
    if value is None:
        return "the model's own"
    return f"{value:g}" if isinstance(value, float) else str(value)
