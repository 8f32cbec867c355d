"""What a run came to, in words: what was forgotten, what was kept, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vu_core.tables import short_name, within_noise, within_reference_noise
from vu_core.types import FORGET, NEIGHBOURS, RETAIN, Result
from vu_report.numbers import meaning_of, plain, signed, span, with_unit

Tone = Literal["good", "mixed", "bad", "neutral"]

# From these shares on, in percent, a concept counts as forgotten, or as mostly forgotten.
FORGOTTEN, MOSTLY = 90.0, 50.0
# From this share of pictures on which nothing is recognisable, an edit destroyed rather than forgot.
DESTROYED = 50.0
# Percentage points: wider intervals than these leave open whether anything was forgotten, or kept.
_WIDE, _LOOSE = 50.0, 10.0
_FEW = 30
_SHARES = ("ua", "unlearning_accuracy")
_KEPT = ("ira", "retain_accuracy", "test_accuracy")
_WHERE = {FORGET: "To be forgotten", RETAIN: "To be kept", NEIGHBOURS: "Neighbours"}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a run came to.

    Attributes:
        headline: One sentence.
        details: Sentences with the numbers behind it.
        tone: How good that is.
    """

    headline: str
    details: tuple[str, ...]
    tone: Tone


@dataclass(frozen=True, kw_only=True)
class _Part:
    text: str
    details: tuple[str, ...]
    tone: Tone


def verdict(results: Sequence[Result], forget: str, *, shown: str = "", neighbours: str = "") -> Verdict:
    """Return what pooled ``results`` say in words; nothing is claimed that lies within noise.

    Args:
        results: Of pooled groups.
        forget: What was to be forgotten.
        shown: What the numbers on it were taken from; empty for pictures or samples of it.
        neighbours: Names of the concepts most like it; empty where they are not known.
    """
    if not results:
        return Verdict(headline="Nothing was measured.", details=(), tone="neutral")
    if all(result.after is None for result in results):
        return Verdict(headline="A model as it is: nothing was unlearned.", details=(), tone="neutral")
    forgot = _forgetting(results, forget, shown)
    kept = _keeping(results, neighbours)
    tone: Tone = forgot.tone if forgot.tone == kept.tone else "mixed"
    if "bad" in (forgot.tone, kept.tone):
        tone = "bad" if forgot.tone == "bad" else "mixed"
    return Verdict(headline=f"{forgot.text}; {kept.text}.", details=(*forgot.details, *kept.details), tone=tone)


def _forgetting(results: Sequence[Result], forget: str, shown: str) -> _Part:
    share = _find(results, FORGET, *_SHARES)
    if share is None or share.after is None:
        return _forgetting_by_others(results, forget)
    if share.direction == "reference":
        return _beside_retrained(share, forget)
    shown = shown or (f"pictures asked to show {forget}" if share.metric == "ua" else f"samples of {forget}")
    detail = f"Of {share.n} {shown}, {with_unit(share.after, share.unit)} are judged to be something else{_sure(share)}"
    recognised, lost = _find(results, FORGET, "ua_recognised"), _find(results, FORGET, "unrecognised")
    if recognised is not None:
        detail += f"; {with_unit(recognised.after, recognised.unit)} are recognised as another listed thing"
    if lost is not None:
        detail += f"; in {with_unit(lost.after, lost.unit)} nothing is recognisable"
    details = [f"{detail}."]
    if share.n < _FEW:
        details.append(f"{share.n} are few: the interval is wide.")
    if within_noise(share) or meaning_of(share) == "worse":
        return _not_shown(share, forget, tuple(details))
    if lost is not None and (lost.after or 0.0) >= DESTROYED and meaning_of(lost) == "worse":
        text = f"Destroyed rather than forgot {forget}: in {with_unit(lost.after, lost.unit)} nothing is recognisable"
        return _Part(text=text, details=tuple(details), tone="bad")
    word, tone = _degree(share.after)
    return _Part(text=f"{word} {forget}", details=tuple(details), tone=tone)


def _not_shown(share: Result, forget: str, details: tuple[str, ...]) -> _Part:
    moved = f"{short_name(share.metric)} went from {plain(share.before)} to {with_unit(share.after, share.unit)}"
    if share.interval is not None and within_noise(share):
        moved += ", within noise"
        if share.interval.high - share.interval.low > _WIDE:
            text = f"Too little was measured to say whether it forgot {forget} ({moved})"
            return _Part(text=text, details=details, tone="neutral")
    return _Part(text=f"No forgetting of {forget} was shown ({moved})", details=details, tone="bad")


def _degree(after: float) -> tuple[str, Tone]:
    if after >= FORGOTTEN:
        return "Forgot", "good"
    return ("Mostly forgot", "mixed") if after >= MOSTLY else ("Partly forgot", "mixed")


def _beside_retrained(share: Result, forget: str) -> _Part:
    if share.reference is None:
        text = (
            f"On {forget}, {short_name(share.metric)} went from {plain(share.before, share.unit)} to "
            f"{with_unit(share.after, share.unit)}, and there is no retrained model to hold that against"
        )
        return _Part(text=text, details=(_moved(share),), tone="neutral")
    if within_reference_noise(share):
        text = f"Forgot {forget} as models do that never learned it"
        return _Part(text=text, details=(_gap(share),), tone="good")
    unit = "points" if share.unit == "%" else share.unit
    text = f"On {forget} it lies {signed(share.gap, share.unit)} {unit} from models that never learned it"
    return _Part(text=text, details=(_gap(share),), tone="mixed")


def _gap(result: Result) -> str:
    """Return how one number lies beside those of retrained models."""
    models = "one retrained model has" if result.reference_n == 1 else f"{result.reference_n} retrained models have"
    noise = ""
    if result.reference_noise is not None:
        noise = f", where one of them lies {plain(result.reference_noise, result.unit)} from the others"
    return (
        f"{_WHERE.get(result.group, result.group)} (n = {result.n}): {short_name(result.metric)} is "
        f"{with_unit(result.after, result.unit)}{_sure(result)}; {models} {with_unit(result.reference, result.unit)}: "
        f"a gap of {signed(result.gap, result.unit)}{noise}."
    )


def _forgetting_by_others(results: Sequence[Result], forget: str) -> _Part:
    measured = [r for r in results if r.group == FORGET and r.change is not None]
    if not measured:
        return _Part(text=f"Whether {forget} was forgotten was not measured", details=(), tone="neutral")
    first = next((r for r in measured if r.direction != "none"), measured[0])
    if first.direction == "reference":
        return _beside_retrained(first, forget)
    meaning = meaning_of(first) or "which way is better is not known"
    text = (
        f"On {forget}, {short_name(first.metric)} went from {plain(first.before, first.unit)} to "
        f"{with_unit(first.after, first.unit)} ({meaning})"
    )
    return _Part(text=text, details=(_moved(first),), tone="good" if meaning == "better" else "mixed")


def _keeping(results: Sequence[Result], neighbours: str) -> _Part:
    measured = [r for r in results if r.group in (RETAIN, NEIGHBOURS) and r.change is not None]
    if not measured:
        return _Part(text="what it kept was not measured", details=(), tone="neutral")
    if any(r.reference is not None for r in measured):
        return _keeping_beside_retrained([r for r in measured if r.reference is not None])
    named = [r for r in measured if short_name(r.metric) in _KEPT]
    details = [_moved(r, neighbours) for r in named]
    worse = [r for r in measured if meaning_of(r) == "worse"]
    if worse:
        worst = min(worse, key=lambda r: (r.unit != "%", -abs(r.change or 0.0)))
        details += [_moved(r, neighbours) for r in worse if r not in named]
        text = (
            f"damaged what was to be kept: {short_name(worst.metric)} on {worst.group} went from "
            f"{plain(worst.before, worst.unit)} to {with_unit(worst.after, worst.unit)}"
        )
        return _Part(text=text, details=tuple(details), tone="bad" if worst.unit == "%" else "mixed")
    losses = [loss for r in measured if r.group == RETAIN and (loss := _possible_loss(r)) is not None]
    if not losses:
        return _Part(text="how sure it kept the rest is not known", details=tuple(details), tone="neutral")
    if max(losses) > _LOOSE:
        text = f"too little was measured to say whether it kept the rest (a loss of up to {plain(max(losses))} points)"
        return _Part(text=text, details=tuple(details), tone="neutral")
    return _Part(text="kept the rest, within noise", details=tuple(details), tone="good")


def _keeping_beside_retrained(measured: Sequence[Result]) -> _Part:
    off = [r for r in measured if not within_reference_noise(r)]
    details = tuple(_gap(r) for r in (off or measured))
    if not off:
        return _Part(text="no farther from them on the rest than they from each other", details=details, tone="good")
    worst = max(off, key=lambda r: (r.unit == "%", abs(r.gap or 0.0)))
    text = f"on the rest, {short_name(worst.metric)} lies {signed(worst.gap, worst.unit)} from theirs"
    return _Part(text=text, details=details, tone="mixed")


def _moved(result: Result, neighbours: str = "") -> str:
    """Return what one number did, and what its interval leaves open."""
    where = _WHERE.get(result.group, result.group)
    where += f" {neighbours}" if neighbours and result.group == NEIGHBOURS else ""
    text = (
        f"{where} (n = {result.n}): {short_name(result.metric)} {plain(result.before, result.unit)} → "
        f"{with_unit(result.after, result.unit)}"
    )
    if result.interval is None:
        return f"{text}, without an interval."
    text += f" (change {span(result.interval, result.unit, sign=True)})"
    if not within_noise(result):
        return f"{text}, {meaning_of(result) or 'changed'}."
    loss = _possible_loss(result)
    return f"{text}, within noise" + (f"; a loss of up to {plain(loss)} points cannot be ruled out." if loss else ".")


def _possible_loss(result: Result) -> float | None:
    """Return the largest loss in percentage points inside the interval; None where that has no meaning."""
    if result.unit != "%" or result.interval is None or result.direction not in ("up", "down"):
        return None
    return max(0.0, -result.interval.low if result.direction == "up" else result.interval.high)


def _sure(result: Result) -> str:
    parts = []
    if result.after_interval is not None:
        parts.append(f"95 % interval {span(result.after_interval, result.unit)}")
    if result.before is not None:
        parts.append(f"before {with_unit(result.before, result.unit)}")
    return f" ({'; '.join(parts)})" if parts else ""


def _find(results: Sequence[Result], group: str, *names: str) -> Result | None:
    for name in names:
        for result in results:
            if result.group == group and short_name(result.metric) == name:
                return result
    return None
