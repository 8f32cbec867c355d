"""What every metric that examines models keeps: tried on a fake model and on edits of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vu_core.context import RunContext, silent
from vu_core.errors import VuError
from vu_core.interfaces import MODEL, Subject
from vu_core.testing.cases import Check, CheckError, Component, expect
from vu_core.testing.checks.spec import example_config
from vu_core.testing.checks.unlearners import Interruption, expect_same
from vu_core.testing.fake_data import FakeDataset
from vu_core.testing.fake_samples import NEIGHBOURS, REQUEST, samples_for
from vu_core.testing.watch import global_state, model_state
from vu_core.types import Measurement, Request

if TYPE_CHECKING:
    from vu_core.edits import Edit
    from vu_core.metrics import Found, ModelMetric

# A fake classifier that knows cats.
_SEED = 35
# Nothing takes the place of what a classifier forgets.
_FORGET = Request(forget=REQUEST.forget)
_NOTHING = Request(forget=())


def measured_models(component: Component, request: Request = _FORGET) -> list[Measurement]:
    """Return what the metric measures of an edited fake model, beside two others where it compares with retrained ones.

    Raises:
        CheckError: What a part finds is not made of JSON values.
    """
    metric = _metric(component, request)
    model, *others = (_examined(metric, subject) for subject in _subjects(component, edits=3))
    return list(metric.measure(model, others if component.spec.compares else ()))


def check_examines(component: Component) -> None:
    """Asked to examine a model that forgot something, it has parts, and what they find is made of JSON values."""
    (subject,) = _subjects(component, edits=1)
    found = _examined(_metric(component), subject)
    fix = "parts(subject) returns a table: what decides each part, by its name."
    expect(bool(found), "an examination has no part", fix)


def check_examines_alike(component: Component) -> None:
    """The same examination finds the same, whatever the global random state and the order of parts."""
    import torch

    found = []
    for seed, order in ((1, list), (2, reversed)):
        (subject,) = _subjects(component, edits=1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found.append(_examined(_metric(component), subject, order))
    fix = "Draw all random numbers from seeds of your own, for each part anew."
    expect(found[0] == found[1], f"it finds {_short(found[0])}, and then {_short(found[1])}", fix)


def check_examined_untouched(component: Component) -> None:
    """Model and global state are afterwards what they were, also after an interruption."""
    for interruption in (None, Interruption(0), Interruption(1)):
        (subject,) = _subjects(component, edits=1, track=interruption or silent)
        before = {**model_state(subject.model), **global_state()}
        work = partial(_examined, _metric(component), subject)
        if interruption:
            interruption.gets_through(work)
        else:
            work()
        expect_same(before, {**model_state(subject.model), **global_state()}, "examining a model changes")


def check_nothing_forgotten(component: Component) -> None:
    """Where nothing is forgotten it raises a VuError, or gives numbers that need nothing forgotten."""
    try:
        found = measured_models(component, _NOTHING)
    except VuError:
        return
    values = {one.group: one.value for one in found if one.value is not None and one.group not in ("all", "retain")}
    fix = "Return no parts and a measurement without value, whose note says why, or raise a VuError."
    expect(not values, f"where nothing is forgotten it gives {values}", fix)


def _metric(component: Component, request: Request = _FORGET) -> ModelMetric:
    metric: ModelMetric = component.load()(request=request, neighbours=NEIGHBOURS, config=example_config(component))
    return metric


def _examined(metric: ModelMetric, subject: Subject, order: Callable[[Any], Any] = list) -> Found:
    """Return what every part finds, as it reads from a file, in the order of the parts."""
    parts = metric.parts(subject)
    found: dict[str, Any] = {}
    for part in order(list(parts)):
        with TemporaryDirectory() as folder:
            one = metric.examine(part, replace(subject, ctx=replace(subject.ctx, out_dir=Path(folder))))
        try:
            found[part] = json.loads(json.dumps([dict(one), dict(parts[part])], allow_nan=False))[0]
        except (TypeError, ValueError) as error:
            fix = "parts() and examine() return tables of texts, finite numbers, true, false, None and lists of these."
            raise CheckError(f"part '{part}' holds something that JSON has not: {error}", fix) from error
    return {part: found[part] for part in parts}


def _subjects(component: Component, *, edits: int, track: Callable[..., Iterator[Any]] = silent) -> Sequence[Subject]:
    """Return a fake model of the metric's family with each of so many edits."""
    from vu_core.testing.fake_models import FakeClassifier, FakeTextToImage

    model = FakeClassifier(seed=_SEED) if MODEL in component.spec.scorers else FakeTextToImage()
    ctx = RunContext(out_dir=Path(), track=track)
    return [
        Subject(
            model=model,
            edits=(_edit(model, seed),),
            original=(),
            dataset=FakeDataset(),
            samples=samples_for(component),
            ctx=ctx,
        )
        for seed in range(edits)
    ]


def _edit(model: Any, seed: int) -> Edit:
    """Return an edit of a fake model that turns its last matrix round, and moves it a little, at random."""
    import torch

    from vu_core.edits import Edit, tensor_sha256

    component, stored = list(model.stored.items())[-1]
    name, tensor = [(name, tensor) for name, tensor in stored.items() if tensor.ndim > 1][-1]
    turned = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed)) / 10 - tensor
    return Edit.dense({f"{component}.{name}": turned}, base={f"{component}.{name}": tensor_sha256(tensor)})


def _short(found: Mapping[str, Any]) -> str:
    text = json.dumps(found)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _examines(component: Component) -> bool:
    return bool(component.spec.examines)


_check = partial(Check, subject="metric", when=_examines)

CHECKS = (
    _check(check_examines),
    _check(check_examines_alike),
    _check(check_examined_untouched),
    _check(check_nothing_forgotten),
)
