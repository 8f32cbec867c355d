"""The command line's engine from Python: ``load_model``, ``unlearn``, ``sample``, ``evaluate`` and ``export``.

Example::

    import vu_core as vu

    model = vu.load_model("emoji")
    edit = vu.unlearn("uce", model, forget="cat")
    with edit.applied(model):
        ...  # the model has forgotten; outside the block it is what it was
    print(vu.evaluate(model, edit, protocol="emoji@1"))
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vu_core import exporting
from vu_core.concepts import qualified
from vu_core.context import RunContext, silent
from vu_core.drawing import Pictures, draw_prompts, settings_of
from vu_core.edits import Edit
from vu_core.errors import ConfigError, EditError, RequestError
from vu_core.evaluated import Evaluation
from vu_core.events import append_event
from vu_core.measuring import check_folder, measure_model, plan_measuring
from vu_core.models import adopt, load, plan_model, plan_of
from vu_core.numerics import torch_defaults
from vu_core.planning import plan_unlearning, resolve_device
from vu_core.progress import track
from vu_core.registry import Registry
from vu_core.runspec import DTYPES, run_spec
from vu_core.stages import Surface
from vu_core.types import Concept
from vu_core.unlearning import make_edit

if TYPE_CHECKING:
    from vu_core.interfaces import Model

PathLike = str | os.PathLike[str]
Concepts = str | Concept | Iterable[str | Concept]
"""One concept or several: names as on the command line (``"cat"``, ``"style:noto"``), or `Concept` objects."""
Edits = Edit | Sequence[Edit]
"""One edit, or several in the order in which they act."""


def load_model(
    model: Any = "",
    *,
    device: str | None = None,
    dtype: str | None = None,
    download: bool = False,
    revision: str = "",
) -> Model:
    """Return a model, ready to unlearn and to be measured; its heavy parts load on first use.

    Change a loaded model through edits only: its pictures are cached under the hashes of what was loaded.

    Args:
        model: A model's name, a folder, a hub id, nothing for the embedded model, or an object in memory, such as
            a diffusers pipeline. An object is shared, stays where and in whatever type it is, and is never changed.
        device: ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"``, which is meant by None: the accelerator where there
            is one.
        dtype: Type to compute in: ``"float32"``, which is meant by None, ``"float16"`` or ``"bfloat16"``.
        download: Whether a hub model may be fetched over the network.
        revision: Branch, tag or commit of a hub model.

    Raises:
        ModelError: There is no such model, its files are damaged, or no plugin adopts such an object.
        UnknownNameError: It is no folder, no hub id and no installed model's name.
        ConfigError: The device is not there, the type is unknown, or one is given with an object.

    Example:
        >>> import vu_core as vu
        >>> model = vu.load_model("emoji")
        >>> model.name, model.family
        ('emoji', 'text-to-image')
    """
    registry = Registry.discover()
    if not isinstance(model, str | os.PathLike):
        if device or dtype or download or revision:
            raise ConfigError(
                "a model in memory stays where and as it is",
                hint="Leave device, dtype, download and revision out, or load its folder.",
            )
        return adopt(model, registry)
    if dtype is not None and dtype not in DTYPES:
        raise ConfigError(f"dtype '{dtype}' is not known", hint=f"Pass one of {', '.join(DTYPES)}.")
    return load(
        plan_model(os.fspath(model), registry),
        device=resolve_device(device or "auto"),
        dtype=dtype or "float32",
        download=download,
        revision=revision,
    )


def unlearn(
    unlearner: str,
    model: Model,
    *,
    forget: Concepts,
    retain: Concepts = (),
    replace_with: Concepts = (),
    after: Edits = (),
    dataset: str = "",
    data: Mapping[str, Any] = MappingProxyType({}),
    preset: str = "",
    seed: int = 0,
    out: PathLike | None = None,
    progress: bool = True,
    **options: Any,
) -> Edit:
    """Return the edit that makes ``model`` forget; the model itself stays as it is.

    What is left open is decided as on the command line: a named model brings its dataset and, for this unlearner,
    its preset ``"default"``. The edit says what was used: ``edit.info["preset"]``, ``["config"]``, ``["request"]``
    and ``["seed"]``.

    Args:
        unlearner: Its name, or ``"plugin:name"``.
        model: From `load_model`.
        forget: What to forget; a text is one concept, commas included.
        retain: What to keep; empty leaves the choice to the dataset.
        replace_with: What replaces it: nothing, one for all, or one for each of ``forget``.
        after: Edits that are in the model's weights already, in the order they were made. The new one is made of what
            they leave, and belongs behind them: ``vu.evaluate(model, [first, second])``.
        dataset: Where concepts come from; empty for the model's own.
        data: The dataset's options, such as ``{"root": "path/to/its/files"}``.
        preset: The model's preset for this unlearner; empty for its ``"default"``, ``"none"`` for published values.
        seed: Seed of all randomness of the unlearner.
        out: A folder that keeps what a training leaves: its losses in ``events.jsonl``, and checkpoints from which the
            same call goes on. None keeps nothing.
        progress: Whether a bar is shown while standard error is a terminal.
        options: The unlearner's options; they win over the preset's.

    Raises:
        VuError: Something is unknown, out of range or does not fit together, as on the command line.

    Example:
        >>> import vu_core as vu
        >>> edit = vu.unlearn("uce", vu.load_model("emoji"), forget="cat", replace_with="dog")
        >>> edit.kind, edit.info["preset"]
        ('lora', 'default')
    """
    wanted = {"forget": _several(forget), "retain": _several(retain), "replace_with": _several(replace_with)}
    named = {key: [_name(concept) for concept in concepts] for key, concepts in wanted.items()}
    choices = {"dataset": dataset, "data": dict(data), "preset": preset, "seed": seed, "options": options}
    spec = run_spec({"unlearner": unlearner, **named, **choices}, origin="vu.unlearn")
    objects = [concept for concepts in wanted.values() for concept in concepts if isinstance(concept, Concept)]
    plan = plan_unlearning(spec, plan_of(model), Registry.discover(), objects, _sequence(after))
    with _surroundings(model, progress=progress, seed=seed, out=out) as ctx:
        return make_edit(plan, model, ctx)


def sample(
    model: Model,
    prompts: str | Iterable[str],
    edit: Edits | None = None,
    *,
    seeds: Iterable[int] = range(4),
    out: PathLike | None = None,
    progress: bool = True,
    **settings: Any,
) -> Pictures:
    """Return pictures that ``model`` draws, with ``edit`` in effect; those drawn before come from the shared cache.

    Args:
        model: From `load_model`.
        prompts: What to draw; a text is one prompt.
        edit: One edit, or several in effect together; none to see the model as it is.
        seeds: Of the initial noise: one picture of each prompt for each.
        out: A folder that keeps the pictures and ``grid.png``; None keeps them in the cache only.
        progress: Whether a bar is shown while standard error is a terminal.
        settings: Fields of `SamplerSettings` in place of the model's own: ``steps=50``, ``guidance_scale=7.5``.

    Raises:
        VuError: The model draws nothing, a setting is unknown or out of range, or the edit is another model's.

    Example:
        >>> import vu_core as vu
        >>> vu.sample(vu.load_model("emoji"), ["a cat", "a dog"], seeds=[0, 1], steps=2).images.shape
        torch.Size([2, 2, 3, 64, 64])
    """
    asked = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    wanted = settings_of(model, settings)
    with _surroundings(model, progress=progress, out=out) as ctx:
        return draw_prompts(model, () if edit is None else _sequence(edit), asked, tuple(seeds), wanted, ctx)


def export(edit: Edits, out: PathLike, *, to: str, model: Model | None = None) -> Path:
    """Write ``edit`` in a form that other tools read, and return where.

    Args:
        edit: One edit, or several in effect together.
        out: The new file, or the new folder of ``"diffusers-pipeline"``; must not exist.
        to: ``"diffusers-lora"``; ``"diffusers-pipeline"``, a copy of the model's folder with the edit in its weights;
            ``"kohya"``; or ``"safetensors-dense"``, the changed parameters themselves.
        model: The base model, from `load_model` by a name, a folder or a hub id; a LoRA needs none.

    Raises:
        ConfigError: The format is unknown, or needs the base model or another file name.
        EditError: The format cannot hold such an edit, or it was made for another base model.
        ModelError: The model lies in no folder, or does not offer its stored tensors.
        RunError: ``out`` exists or cannot be written.

    Example:
        >>> import tempfile
        >>> import vu_core as vu
        >>> model = vu.load_model("emoji")
        >>> edit = vu.unlearn("uce", model, forget="cat").scaled(0.5)
        >>> folder = Path(tempfile.mkdtemp()) / "emoji-half-without-cat"
        >>> vu.load_model(vu.export(edit, folder, to="diffusers-pipeline", model=model)).family
        'text-to-image'
    """
    if model is not None:
        plan_of(model).check_capability("TensorSource")
    exporting.export(_sequence(edit), Path(out), to, model)
    return Path(out)


def evaluate(
    model: Model,
    edit: Edits | None = None,
    *,
    protocol: PathLike = "",
    forget: Concepts = (),
    dataset: str = "",
    data: Mapping[str, Any] = MappingProxyType({}),
    metrics: str | Iterable[str] = (),
    scorers: Mapping[str, str] | None = None,
    retrained: Iterable[PathLike] = (),
    out: PathLike | None = None,
    progress: bool = True,
) -> Evaluation:
    """Return what a protocol measures of ``model`` before and after ``edit``, or of the model alone.

    Pictures have the same prompts and noise before and after, and go through the cache that all runs share.

    Args:
        model: From `load_model`.
        edit: One edit, or several in effect together; none to measure the model as it is.
        protocol: Name, or path of a TOML file; empty for the model's own.
        forget: What is counted as forgotten; empty for what the edit says it was asked to forget.
        dataset: Where the protocol's concepts come from; empty for the model's own.
        data: The dataset's options, such as ``{"root": "path/to/its/files"}``.
        metrics: Names of metrics; empty for the protocol's own.
        scorers: Names of judges by role, in place of the protocol's own: ``{"object": "emoji-object-b"}``.
        retrained: Folders of runs of ``retrain`` that a classifier is held against, besides what its plugin carries.
        out: A folder that keeps pictures, contact sheet, verdicts, record and, with vu-report, a report: a new one, or
            one of an earlier evaluation. None keeps pictures in the cache only.
        progress: Whether a bar is shown while standard error is a terminal.

    Raises:
        VuError: Something is unknown or does not fit together, as on the command line.

    Example:
        >>> import vu_core as vu
        >>> model = vu.load_model("emoji")
        >>> result = vu.evaluate(model, vu.unlearn("uce", model, forget="cat"), protocol="emoji-quick@1")
        >>> result["ua", "forget"].after
        100.0
    """
    edits = () if edit is None else _sequence(edit)
    if out is not None:
        check_folder(Path(out))
    chosen, registry = plan_of(model), Registry.discover()
    plan = plan_measuring(
        chosen,
        edits,
        registry,
        protocol=os.fspath(protocol),
        forget=_several(forget),
        dataset=dataset,
        data=data,
        metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
        scorers=scorers,
        retrained=[os.fspath(folder) for folder in retrained],
    )
    with _surroundings(model, progress=progress, out=out) as ctx:
        surface = Surface(track=ctx.track)
        record = measure_model(plan, model, edits, ctx.out_dir, registry, surface, kept=out is not None)
        ctx.warnings.extend(record.warnings)
    return Evaluation(
        model=chosen.name,
        protocol=plan.protocol.name,
        forget=tuple(concept.name for concept in plan.request.forget),
        results=tuple(record.results),
        errors=tuple(record.errors),
    )


def _several(concepts: Concepts) -> tuple[str | Concept, ...]:
    found = _listed(concepts)
    if wrong := [one for one in found if not isinstance(one, str | Concept)]:
        raise RequestError(f"{wrong[0]!r} is no concept", hint="Give a name, as in forget='cat', or a Concept.")
    return found


def _sequence(edits: Edits) -> tuple[Edit, ...]:
    found = _listed(edits)
    if wrong := [one for one in found if not isinstance(one, Edit)]:
        raise EditError(f"{wrong[0]!r} is no edit", hint="Pass what vu.unlearn or vu.read_edit returns.")
    return found


def _listed(given: Any) -> tuple[Any, ...]:
    """Return the one or the several that are given."""
    several = isinstance(given, Iterable) and not isinstance(given, str)
    return tuple(given) if several else (given,)


def _name(concept: str | Concept) -> str:
    return qualified(concept) if isinstance(concept, Concept) else concept


@contextmanager
def _surroundings(model: Model, *, progress: bool, seed: int = 0, out: PathLike | None = None) -> Iterator[RunContext]:
    """Give a run in ``out``, or in a folder that is removed at the end; its warnings become Python's."""
    with nullcontext(out) if out is not None else tempfile.TemporaryDirectory(prefix="vu-") as folder:
        where = Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        ctx = RunContext(
            out_dir=where,
            device=model.device,
            dtype=model.dtype,
            seed=seed,
            log=partial(append_event, where),
            track=track if progress and sys.stderr.isatty() else silent,
        )
        with torch_defaults():
            yield ctx
    for sentence in ctx.warnings:
        warnings.warn(sentence, stacklevel=4)
