"""Making an edit, checking it, and stamping into it what it was asked to do."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.edits import Edit, check_unedited
from vu_core.errors import ComputeError, PluginError
from vu_core.merging import write_merged
from vu_core.models import load, plan_of

if TYPE_CHECKING:
    from vu_core.context import RunContext
    from vu_core.interfaces import Model, Unlearner
    from vu_core.planning import UnlearnPlan
    from vu_core.registry import Entry
    from vu_core.specs import UnlearnerSpec


def make_edit(plan: UnlearnPlan, model: Model, ctx: RunContext) -> Edit:
    """Return the edit that ``plan`` makes of ``model``, checked, with what was asked in its ``info``.

    Where the model has forgotten before, the edit is made of it with the earlier edits in its weights, and is to be
    applied after them. ``info`` gets ``model``, ``plugin``, ``preset``, ``config``, ``seed``, ``request`` and
    ``data``, and then ``after``, beside what the unlearner says itself.

    Raises:
        PluginError: The unlearner returned something else.
        ComputeError: The edit is not finite.
        EditError: An edit is applied to the model now.
        VuError: The unlearner refused its input.
    """
    check_unedited(model)
    unlearner: Unlearner = plan.unlearner.load()()
    with _with_edits(model, plan.earlier) as edited:
        edit = unlearner.unlearn(edited, plan.request, plan.data, plan.config, ctx)
        return stamped(edit, plan, model)


def stamped(edit: Any, plan: UnlearnPlan, model: Model) -> Edit:
    """Return ``edit``, which ``plan`` made of ``model``, checked, with what was asked in its ``info``.

    Raises:
        PluginError: It is none.
        ComputeError: It is not finite.
    """
    made = _checked(edit, plan.unlearner)
    after = {"after": [other.identity() for other in plan.earlier]} if plan.earlier else {}
    return replace(made, unlearner=plan.unlearner.spec.name, info={**made.info, **_stamp(plan, model), **after})


@contextmanager
def _with_edits(model: Model, edits: Sequence[Edit]) -> Iterator[Model]:
    """Give a model that has ``edits`` in its stored weights, from a copy of its folder that is removed at the end."""
    if not edits:
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="vu-") as parent:
        folder = Path(parent) / "model"
        write_merged(model, edits, folder)
        chosen = replace(plan_of(model), source=str(folder))
        yield load(chosen, device=model.device, dtype=model.dtype, download=False, revision="")


def _stamp(plan: UnlearnPlan, model: Model) -> dict[str, Any]:
    stamp = {
        "model": model.name,
        "plugin": f"{plan.unlearner.plugin} {plan.unlearner.version}",
        "preset": plan.preset,
        "config": plan.options,
        "seed": plan.seed,
        "request": asdict(plan.request),
        "data": dict(plan.facts),
    }
    # As it reads from a file: tuples are lists there.
    values: dict[str, Any] = json.loads(json.dumps(stamp))
    return values


def _checked(edit: Any, unlearner: Entry[UnlearnerSpec]) -> Edit:
    if not isinstance(edit, Edit):
        raise PluginError(f"unlearner '{unlearner.spec.name}' ({unlearner.plugin}) returned {type(edit)}, no Edit")
    for name, tensor in edit.tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ComputeError(
                f"unlearner '{unlearner.spec.name}' made an edit with NaN or infinity in '{name}'",
                hint="Check that the model draws pictures ('vu sample'), then try float32 or milder options.",
            )
    return edit
