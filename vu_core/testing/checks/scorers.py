"""What every scorer keeps: verdicts of the promised form that depend on each picture alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from vu_core.interfaces import Classes, Detections, Scorer
from vu_core.testing.cases import Check, Component, expect
from vu_core.testing.signatures import signature_problems
from vu_core.testing.watch import changed, global_state

if TYPE_CHECKING:
    import torch

PROMPTS = ("a photo of a cat", "a dog", "an apple in the rain", "a house", "a fox")

_SIDE = 32
_TOLERANCE = 1e-4


def check_version(component: Component) -> None:
    """It has a name and a version, the same for every instance."""
    one, other = _scorer(component), _scorer(component)
    problems = signature_problems(one, Scorer)
    expect(not problems, "; ".join(problems), "The signatures are in vu_core/interfaces.py.")
    for field in ("name", "version"):
        value = getattr(one, field, "")
        fix = f"Set {field}; a version changes whenever verdicts may: use a sha256 of the weights."
        expect(isinstance(value, str) and bool(value), f"its {field} is {value!r}", fix)
        expect(value == getattr(other, field, ""), f"its {field} differs from one instance to the next", fix)


def check_verdicts(component: Component) -> None:
    """Verdicts have the form that the spec's outputs promises; probabilities sum to 1."""
    import torch

    outputs = component.spec.outputs
    verdict = _score(component, _pictures())
    count = len(PROMPTS)
    values = _values(component, verdict)
    fix = "See Scorer.score in vu_core/interfaces.py."
    shapes = {"similarity": (count,), "classes": (count, -1), "features": (count, -1), "detections": (count, -1)}
    wanted = tuple(given if size < 0 else size for size, given in zip(shapes[outputs], values.shape, strict=False))
    right = values.dtype == torch.float32 and tuple(values.shape) == wanted and values.ndim == len(shapes[outputs])
    expect(right, f"'{outputs}' of {count} pictures are {values.dtype} {tuple(values.shape)}", fix)
    expect(values.device.type == "cpu", f"verdicts are on {values.device}", "Return them on the CPU.")
    expect(bool(values.isfinite().all()), "verdicts on ordinary pictures are not finite", fix)
    if outputs == "similarity":
        largest = float(values.abs().max())
        expect(largest <= 1 + _TOLERANCE, f"a cosine of {largest} is not in [-1, 1]", "Normalise both vectors.")
    if isinstance(verdict, Classes):
        unique = len(set(verdict.names)) == len(verdict.names) == values.shape[1]
        fix = "Give one different name a class, in the order of the columns."
        expect(unique, f"{len(verdict.names)} names for {values.shape[1]} classes: {', '.join(verdict.names)}", fix)
        error = float((values.sum(dim=1) - 1).abs().max())
        sound = error <= _TOLERANCE and float(values.min()) >= 0
        expect(sound, f"probabilities sum to 1 up to {error:.2g} only", "Return softmax(logits), not logits.")


def check_verdicts_alone(component: Component) -> None:
    """A picture's verdict is the same, to 1e-4, whatever it is judged with."""
    import torch

    scorer, pictures = _scorer(component), _pictures()
    whole = _values(component, _given(scorer, pictures, PROMPTS))
    alone = [_given(scorer, pictures[i : i + 1], PROMPTS[i : i + 1]) for i in range(len(PROMPTS))]
    single = torch.cat([_values(component, verdict) for verdict in alone])
    difference = float((whole - single).abs().max())
    fix = "Put networks into eval mode, and normalise each picture by itself."
    expect(difference <= _TOLERANCE, f"judged alone and together, verdicts differ by {difference:.2g}", fix)


def check_verdicts_repeat(component: Component) -> None:
    """The same pictures get the same verdicts again, and global state stays as it was."""
    import torch

    scorer, pictures = _scorer(component), _pictures()
    before = global_state()
    one, other = (_values(component, _given(scorer, pictures, PROMPTS)) for _ in range(2))
    expect(torch.equal(one, other), "two verdicts on the same pictures differ", "Put networks into eval mode.")
    different = changed(before, global_state())
    expect(not different, f"judging changes {', '.join(different)}", "Restore what you set in finally.")


def check_pictures_untouched(component: Component) -> None:
    """It does not change the pictures that it is given."""
    import torch

    pictures = _pictures()
    _score(component, pictures)
    expect(torch.equal(pictures, _pictures()), "it changes its input", "Convert to float first: images.float() / 255.")


def _scorer(component: Component) -> Any:
    return component.load()(device="cpu")


def _score(component: Component, pictures: torch.Tensor) -> Any:
    return _given(_scorer(component), pictures, PROMPTS)


def _given(scorer: Any, pictures: torch.Tensor, prompts: tuple[str, ...]) -> Any:
    import torch

    with torch.no_grad():
        return scorer.score(pictures, list(prompts))


def _values(component: Component, verdict: Any) -> torch.Tensor:
    """Return the numbers of a verdict, after checking its type."""
    import torch

    outputs = component.spec.outputs
    expected: type = {"classes": Classes, "detections": Detections}.get(outputs, torch.Tensor)
    problem = f"outputs='{outputs}', but score returns a {type(verdict).__name__}"
    expect(isinstance(verdict, expected), problem, f"Return a {expected.__name__}, or correct the spec's outputs.")
    if isinstance(verdict, Detections):
        return _scores(verdict)
    values: torch.Tensor = verdict.probabilities if outputs == "classes" else verdict
    return values


def _scores(verdict: Detections) -> torch.Tensor:
    """Return the sum of scores by label, float32 (N, labels), after checking the form."""
    import torch

    scores = torch.zeros(len(verdict.found), len(verdict.names))
    for row, found in zip(scores, verdict.found, strict=True):
        for label, score in found:
            told = f"it detects {label!r} with {score!r}"
            right = label in verdict.names and verdict.floor <= score <= 1
            expect(right, told, "Labels are among names, scores from floor to 1.")
            row[verdict.names.index(label)] += score
        falling = [score for _, score in found] == sorted((score for _, score in found), reverse=True)
        expect(falling, "detections are not in the order of their scores", "Give the highest score first.")
    return scores


def _pictures() -> torch.Tensor:
    """Return one picture a prompt, uint8 (N, 3, 32, 32): noise, and a grey one."""
    import torch

    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (len(PROMPTS), 3, _SIDE, _SIDE), generator=generator).to(torch.uint8)
    pictures[-1] = 128
    return pictures


_check = partial(Check, subject="scorer")

CHECKS = (
    _check(check_version),
    _check(check_verdicts),
    _check(check_verdicts_alone),
    _check(check_verdicts_repeat),
    _check(check_pictures_untouched),
)
