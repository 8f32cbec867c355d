"""Making an edit, checking it, and stamping into it what it was asked to do."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from vu_core.edits import Edit, check_unedited
from vu_core.errors import ComputeError, EditError, PluginError
from vu_core.types import Concept, Request

if TYPE_CHECKING:
    from vu_core.context import RunContext
    from vu_core.interfaces import Model, Unlearner
    from vu_core.planning import UnlearnPlan
    from vu_core.registry import Entry
    from vu_core.specs import UnlearnerSpec


def make_edit(plan: UnlearnPlan, model: Model, ctx: RunContext) -> Edit:
    """Return the edit that ``plan`` makes of ``model``, checked, with what was asked in its ``info``.

    ``info`` gets ``model``, ``plugin``, ``preset``, ``config``, ``seed`` and ``request``, beside what the unlearner
    says itself.

    Raises:
        PluginError: The unlearner returned something else.
        ComputeError: The edit is not finite.
        EditError: An edit is applied to the model now.
        VuError: The unlearner refused its input.
    """
    check_unedited(model)
    unlearner: Unlearner = plan.unlearner.load()()
    edit = unlearner.unlearn(model, plan.request, plan.data, plan.config, ctx)
    _check(edit, plan.unlearner)
    return replace(edit, unlearner=plan.unlearner.spec.name, info={**edit.info, **_stamp(plan, model)})


def request_of(edit: Edit) -> Request:
    """Return what ``edit`` was asked to do.

    Raises:
        EditError: It does not say so, as when it was not made by vu or is the sum of several edits.

    Example:
        >>> cat = {"name": "cat", "kind": "object", "text": "cat"}
        >>> edit = Edit.lora({}, info={"request": {"forget": [cat], "retain": [], "replace_with": []}})
        >>> request_of(edit).forget[0].name
        'cat'
    """
    request = edit.info.get("request")
    if request is None:
        raise EditError("the edit does not say what it was asked to forget", hint="Say it, as in forget='cat'.")
    return Request(**{key: tuple(Concept(**concept) for concept in concepts) for key, concepts in request.items()})


def _stamp(plan: UnlearnPlan, model: Model) -> dict[str, Any]:
    stamp = {
        "model": model.name,
        "plugin": f"{plan.unlearner.plugin} {plan.unlearner.version}",
        "preset": plan.preset,
        "config": plan.options,
        "seed": plan.seed,
        "request": asdict(plan.request),
    }
    # As it reads from a file: tuples are lists there.
    values: dict[str, Any] = json.loads(json.dumps(stamp))
    return values


def _check(edit: Any, unlearner: Entry[UnlearnerSpec]) -> None:
    if not isinstance(edit, Edit):
        raise PluginError(f"unlearner '{unlearner.spec.name}' ({unlearner.plugin}) returned {type(edit)}, no Edit")
    for name, tensor in edit.tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ComputeError(
                f"unlearner '{unlearner.spec.name}' made an edit with NaN or infinity in '{name}'",
                hint="Check that the model draws pictures ('vu sample'), then try float32 or milder options.",
            )
