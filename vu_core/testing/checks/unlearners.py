"""What every unlearner keeps: tried on fake models, with a fake dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vu_core.config import validate
from vu_core.context import RunContext
from vu_core.errors import EditError, VuError
from vu_core.interfaces import Data
from vu_core.testing.cases import Check, CheckError, Component, expect
from vu_core.testing.checks.spec import example_config, has_options
from vu_core.testing.fake_data import FakeDataset
from vu_core.testing.watch import changed, global_state, model_state, writes
from vu_core.types import Concept, Request

if TYPE_CHECKING:
    import torch

    from vu_core.edits import Edit

IDENTITY = "identity"
"""Metadata of an option: the value at which the edit changes nothing."""

CAT = Concept(name="cat")
REQUEST = Request(forget=(CAT,))
LARGE_REQUEST = Request(
    forget=(CAT, Concept(name="car")),
    retain=(Concept(name="dog"), Concept(name="house")),
    replace_with=(Concept(name="fox"), Concept(name="apple")),
)

_OFFERS = {
    "text-to-image": {"TensorSource", "HasSites", "Encodes", "Denoises", "Diffuses", "Samples"},
    "classifier": {"TensorSource", "Classifies", "Retrains"},
}


def check_runs(component: Component) -> None:
    """It makes an edit on every fake model that offers what it needs, for small and large requests."""
    from vu_core.edits import Edit

    needs = ", ".join(component.spec.needs) or "nothing"
    fix = " ".join(f"A {family} model offers {', '.join(sorted(offered))}." for family, offered in _OFFERS.items())
    expect(bool(_families(component)), f"no model of its families offers what it needs ({needs})", fix)
    for model in _fake_models(component):
        # Nothing takes the place of what a classifier forgets.
        large = LARGE_REQUEST if model().family != "classifier" else replace(LARGE_REQUEST, replace_with=())
        for request in (REQUEST, large):
            edit = _unlearn(component, model(), request)
            fix = "Return Edit.lora(...) or Edit.dense(...)."
            expect(isinstance(edit, Edit), f"unlearn returns a {type(edit).__name__}, not an Edit", fix)


def check_edit_fits(component: Component) -> None:
    """The edit changes parameters that the model has, in their shapes."""
    from vu_core.edits import applied

    model = _model(component)
    edit = _unlearn(component, model)
    try:
        with applied(model, [edit]):
            pass
    except EditError as error:
        fix = "Name parameters '<component>.<name>' as model.tensor_names and model.sites do."
        raise CheckError(f"the edit cannot be applied to the model it was made for: {error}", fix) from error


def check_edit_origin(component: Component) -> None:
    """The edit says from which tensors it was made."""
    from vu_core.edits import tensor_sha256

    model = _model(component)
    edit = _unlearn(component, model)
    fix = "Pass base={name: tensor_sha256(model.tensor(component, name))} of every tensor you read."
    for parameter in edit.parameters():
        expect(parameter in edit.base, f"edit.base does not hold '{parameter}', which the edit changes", fix)
        read = tensor_sha256(model.tensor(*parameter.split(".", 1)))
        expect(edit.base[parameter] == read, f"edit.base holds another sha256 for '{parameter}'", fix)


def check_finite(component: Component) -> None:
    """The edit holds finite numbers only."""
    edit = _unlearn(component, _model(component))
    for name, tensor in edit.tensors.items():
        fix = "Raise ComputeError where a computation fails; never return what it left."
        expect(bool(tensor.isfinite().all()), f"the edit's tensor '{name}' holds NaN or infinity", fix)


def check_changes_output(component: Component) -> None:
    """Applying the edit changes what the model answers about the forgotten concept."""
    model = _model(component)
    edit = _unlearn(component, model)
    fix = "Give options that change something as defaults, or as 'example' in the options' metadata."
    expect(not _same_output(model, edit), "with the edit applied, the model answers as before", fix)


def check_identity(component: Component) -> None:
    """At the value that an option declares as its identity, the edit changes nothing, bit for bit."""
    for option, value in _identities(component).items():
        model = _model(component)
        example = example_config(component)
        config: Any = validate(type(example), {**asdict(example), option: value})
        edit = _unlearn(component, model, config=config)
        fix = f"Return an edit without tensors, or correct metadata '{IDENTITY}' of '{option}'."
        expect(_same_output(model, edit), f"with {option}={value!r} the edit changes the model", fix)


def check_deterministic(component: Component) -> None:
    """The same seed gives the same edit, bit for bit, whatever the global random state."""
    import torch

    found = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found.append(_unlearn(component, _model(component)).sha256())
    fix = "Draw all random numbers from ctx.generator(purpose)."
    expect(found[0] == found[1], "two runs with the same seed give different edits", fix)


def check_model_untouched(component: Component) -> None:
    """The model is afterwards what it was, bit for bit: tensors, flags and hooks."""
    model = _model(component)
    before = model_state(model)
    _unlearn(component, model)
    expect_same(before, model_state(model), "unlearn changes")


def check_global_state(component: Component) -> None:
    """Random states, grad mode, default dtype, threads and working directory are afterwards what they were."""
    model = _model(component)
    before = global_state()
    _unlearn(component, model)
    expect_same(before, global_state(), "unlearn changes")


def check_survives_file(component: Component) -> None:
    """The edit can be written and read back as it was."""
    from vu_core.editfiles import read_edit, write_edit

    edit = _unlearn(component, _model(component))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "edit.safetensors"
        try:
            write_edit(edit, path)
        except (TypeError, ValueError) as error:
            fix = "Keep JSON values in edit.info."
            raise CheckError(f"the edit cannot be written: {error}", fix) from error
        back = read_edit(path)
    fix = "Keep JSON values in edit.info: lists, not tuples; texts as keys."
    expect(back.sha256() == edit.sha256(), "the edit's tensors differ after writing and reading", fix)
    expect(back.info == dict(edit.info), f"edit.info {edit.info} is read back as {back.info}", fix)


def check_interruptible(component: Component) -> None:
    """An interruption while it shows progress gets through, and leaves the model and global state as they were."""
    for items in (0, 1):
        model = _model(component)
        before = {**model_state(model), **global_state()}
        interruption = Interruption(items)
        interruption.gets_through(partial(_unlearn, component, model, track=interruption))
        expect_same(before, {**model_state(model), **global_state()}, "interrupted, it leaves changed")


def check_errors(component: Component) -> None:
    """What it cannot do it refuses with a VuError that says why."""
    everything = tuple(concept for concept in FakeDataset().concepts() if concept.kind == "object")
    unknown = Concept(name="zebra")
    cases: dict[str, tuple[Request, Data | None]] = {
        "without a dataset": (REQUEST, Data(forget=(CAT,), retain=())),
        "of all concepts": (Request(forget=everything), None),
        "of a concept that the dataset lacks": (Request(forget=(unknown,)), None),
        "with a replacement that the dataset lacks": (Request(forget=(CAT,), replace_with=(unknown,)), None),
        "of a concept whose text is blank": (Request(forget=(Concept(name="cat", text=" "),)), None),
    }
    for what, (request, data) in cases.items():
        try:
            _unlearn(component, _model(component), request, data=data)
        except VuError:
            continue
        except Exception as error:
            fix = "Do what is asked, or raise a VuError (RequestError, ModelError) that says what to do."
            raise CheckError(f"a request {what} ends in {type(error).__name__}: {error}", fix) from error


def check_writes(component: Component) -> None:
    """It writes below ctx.out_dir only."""
    _unlearn(component, _model(component))  # imports may write byte code
    with TemporaryDirectory() as folder, writes() as written:
        _unlearn(component, _model(component), out_dir=Path(folder))
        outside = [path for path in written if not path.resolve().is_relative_to(Path(folder).resolve())]
    fix = "Write below ctx.out_dir; keep temporary files there, too."
    expect(not outside, f"it writes to '{outside[0] if outside else ''}'", fix)


class Interruption:
    """Shows progress over ``items`` items, in all loops together, and then raises as Ctrl-C does."""

    def __init__(self, items: int) -> None:
        self._left = items
        self.raised = False

    def __call__(self, items: Iterable[Any], total: int | None, label: str) -> Iterator[Any]:
        """Yield ``items``, as `RunContext.track` does, until it is time."""
        for item in items:
            if not self._left:
                self.raised = True
                raise KeyboardInterrupt
            self._left -= 1
            yield item

    def gets_through(self, work: Callable[[], Any]) -> None:
        """Carry out ``work``, which shows progress by this.

        Raises:
            CheckError: It swallows the interruption.
        """
        with suppress(KeyboardInterrupt):
            work()
            fix = "Let KeyboardInterrupt through: catch Exception at most, and restore state in finally."
            expect(not self.raised, "it swallows the interruption", fix)


def _families(component: Component) -> list[str]:
    """Return the families of the fake models that offer the component's needs."""
    accepted = component.spec.families or tuple(_OFFERS)
    return [family for family, offered in _OFFERS.items() if family in accepted and {*component.spec.needs} <= offered]


def _fake_models(component: Component) -> list[Callable[[], Any]]:
    """Return what makes each fake model that fits the component."""
    from vu_core.testing.fake_models import FakeClassifier, FakeTextToImage

    makers: dict[str, list[Callable[[], Any]]] = {
        "text-to-image": [FakeTextToImage, partial(FakeTextToImage, streams=2, bias=True, seed=1)],
        "classifier": [FakeClassifier],
    }
    return [make for family in _families(component) for make in makers[family]]


def _model(component: Component) -> Any:
    return _fake_models(component)[0]()


def _unlearn(
    component: Component,
    model: Any,
    request: Request = REQUEST,
    *,
    config: Any = None,
    data: Data | None = None,
    **surroundings: Any,
) -> Edit:
    """Return the edit of one run on ``model``; ``surroundings`` are fields of its `RunContext`."""
    if "out_dir" not in surroundings:
        with TemporaryDirectory() as folder:
            return _unlearn(component, model, request, config=config, data=data, out_dir=Path(folder), **surroundings)
    ctx = RunContext(**surroundings)
    config = example_config(component) if config is None else config
    edit: Edit = component.load()().unlearn(model, request, data or FakeDataset().split(request), config, ctx)
    return edit


def _output(model: Any) -> torch.Tensor:
    """Return what a fake model answers about the forgotten concept."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        if model.family == "classifier":
            answer: torch.Tensor = model.classify(torch.rand(4, 3, 8, 8, generator=generator)).logits
        else:
            encoding = model.encode(FakeDataset().prompts(CAT))
            latents = torch.randn(len(FakeDataset().prompts(CAT)), 4, 8, 8, generator=generator)
            answer = model.denoise(latents, torch.full((len(latents),), 500), encoding)
    return answer


def _same_output(model: Any, edit: Edit) -> bool:
    import torch

    from vu_core.edits import applied

    before = _output(model)
    with applied(model, [edit]):
        return torch.equal(before, _output(model))


def expect_same(before: dict[str, Any], after: dict[str, Any], verb: str) -> None:
    """Raise `CheckError` unless two states of the watched world are the same; ``verb`` begins the sentence."""
    different = changed(before, after)
    shown = ", ".join(different[:3]) + (f" and {len(different) - 3} more" if len(different) > 3 else "")
    fix = "Work on copies, use torch.random.fork_rng and ctx.generator, and restore what you set in finally."
    expect(not different, f"{verb} {shown}", fix)


def _identities(component: Component) -> dict[str, Any]:
    """Return the options that declare at which value the edit changes nothing, with that value."""
    cls = component.config_class() if has_options(component) else None
    declared = fields(cls) if cls is not None else ()
    return {field.name: field.metadata[IDENTITY] for field in declared if IDENTITY in field.metadata}


def _can_run(component: Component) -> bool:
    return bool(_families(component))


def _declares_identity(component: Component) -> bool:
    # A config class that cannot be imported is the fault that check_options_defaults reports.
    with suppress(VuError, TypeError):
        return _can_run(component) and bool(_identities(component))
    return False


_check = partial(Check, subject="unlearner", when=_can_run)

CHECKS = (
    Check(check_runs, "unlearner"),
    _check(check_edit_fits),
    _check(check_edit_origin),
    _check(check_finite),
    _check(check_changes_output),
    Check(check_identity, "unlearner", _declares_identity),
    _check(check_deterministic),
    _check(check_model_untouched),
    _check(check_global_state),
    _check(check_survives_file),
    _check(check_interruptible),
    _check(check_errors),
    _check(check_writes),
)
