"""Edits: what an unlearner returns, applied, scaled and removed; `vu_core.editfiles` reads and writes them.

An edit never touches a model on disk. Tensor names begin with the pipeline component they belong
to, as diffusers' own LoRA files do:

- ``lora``: ``unet.<module>.lora_A.weight`` (rank, in) and ``unet.<module>.lora_B.weight``
  (out, rank); the parameter ``unet.<module>.weight`` gains ``B @ A``. Of a convolution they are
  (rank, in, height, width) and (out, rank, 1, 1), and the product is that of both flattened to two
  dimensions. Any scale is baked into B and alpha equals the rank, so plain diffusers loads the file.
- ``dense``: ``unet.<parameter>``, the tensor that replaces the parameter, or a buffer such as a running mean.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from vu_core.errors import EditError
from vu_core.numerics import torch_defaults

if TYPE_CHECKING:
    import torch

    from vu_core.interfaces import Model

# For each `applied` block that is open: the id of its model, and the components that it changes.
_EDITED: list[tuple[int, frozenset[str]]] = []
LORA_A, LORA_B, _WEIGHT = ".lora_A.weight", ".lora_B.weight", ".weight"


@dataclass(frozen=True, kw_only=True, repr=False)
class Edit:
    """The result of unlearning.

    Attributes:
        kind: ``"lora"`` or ``"dense"``.
        tensors: Named as the module docstring says.
        base: sha256 of all that was read of the base model: of tensors, from `tensor_sha256`, by name
            (``"unet.<parameter>"``); of whole components by theirs (``"text_encoder"``).
        unlearner: Name of the component that made it; stamped in by the core.
        info: JSON values for people and records. The core stamps in ``model``, ``request``, ``data``, ``config``,
            ``preset``, ``seed``, ``plugin`` and ``after``; an unlearner adds what it alone knows.
        scale: Strength at which it is applied; 1 as made, 0 is the identity.

    Example:
        >>> import torch
        >>> edit = Edit.lora({"unet.proj.weight": (torch.ones(1, 4), torch.ones(3, 1))})
        >>> edit.parameters()
        ('unet.proj.weight',)
        >>> edit.scaled(0.5).delta("unet.proj.weight", torch.zeros(3, 4)).max().item()
        0.5
    """

    kind: Literal["lora", "dense"]
    tensors: Mapping[str, torch.Tensor]
    base: Mapping[str, str] = field(default_factory=dict)
    unlearner: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    scale: float = 1.0

    @classmethod
    def lora(cls, factors: Mapping[str, tuple[torch.Tensor, torch.Tensor]], **fields: Any) -> Edit:
        """Return a low-rank edit.

        Args:
            factors: By parameter name, ``A`` (rank, in) and ``B`` (out, rank); of a convolution
                (rank, in, height, width) and (out, rank, 1, 1).
            fields: Other fields of `Edit`.

        Raises:
            EditError: A parameter is no weight of a module, or shapes do not fit.
        """
        tensors = {}
        for parameter, (a, b) in factors.items():
            if not parameter.endswith(_WEIGHT):
                raise EditError(f"'{parameter}' cannot have a low-rank edit: it is not a module's weight")
            if a.ndim not in (2, 4) or b.shape[1:] != (a.shape[0], *(1,) * (a.ndim - 2)):
                raise EditError(f"factors of '{parameter}' do not fit: A {tuple(a.shape)}, B {tuple(b.shape)}")
            module = parameter.removesuffix(_WEIGHT)
            tensors[module + LORA_A] = a.detach().cpu().float().contiguous()
            tensors[module + LORA_B] = b.detach().cpu().float().contiguous()
        return cls(kind="lora", tensors=tensors, **fields)

    @classmethod
    def dense(cls, replacements: Mapping[str, torch.Tensor], **fields: Any) -> Edit:
        """Return an edit that replaces whole parameters, by name."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in replacements.items()}
        return cls(kind="dense", tensors=tensors, **fields)

    def __repr__(self) -> str:
        forget = [concept["name"] for concept in self.info.get("request", {}).get("forget", ())]
        asked = f" forgets {', '.join(forget)}" if forget else ""
        form = "dense" if self.kind == "dense" else f"lora of rank {self.rank()}"
        strength = "" if self.scale == 1.0 else f", scale {self.scale:g}"
        size = f"{len(self.parameters())} parameters, {self.bytes() / 1000:.0f} kB"
        return f"<Edit: {self.unlearner or 'unnamed'}{asked}; {form}, {size}{strength}>"

    @property
    def after(self) -> tuple[str, ...]:
        """`identity` of the edits that were in the model when this one was made, in their order; none for most."""
        return tuple(self.info.get("after", ()))

    def parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters it changes, sorted."""
        if self.kind == "dense":
            return tuple(sorted(self.tensors))
        return tuple(sorted(name.removesuffix(LORA_A) + _WEIGHT for name in self.tensors if name.endswith(LORA_A)))

    def delta(self, parameter: str, base: torch.Tensor) -> torch.Tensor:
        """Return what is added to ``base``, the parameter's tensor: float32, on its device, scale included."""
        import torch

        with torch_defaults(), torch.no_grad():
            if self.kind == "lora":
                module = parameter.removesuffix(_WEIGHT)
                a = self.tensors[module + LORA_A].to(base.device, torch.float32)
                b = self.tensors[module + LORA_B].to(base.device, torch.float32)
                change = (b.flatten(1) @ a.flatten(1)).view(len(b), *a.shape[1:])
            else:
                change = self.tensors[parameter].to(base.device, torch.float32) - base.float()
            return change if self.scale == 1.0 else change * self.scale

    def scaled(self, factor: float) -> Edit:
        """Return this edit at ``factor`` times its strength.

        Raises:
            EditError: The factor is not finite.
        """
        if not math.isfinite(factor):
            raise EditError(f"an edit cannot be scaled by {factor}", hint="Give a number, as in 0.5.")
        return replace(self, scale=self.scale * factor)

    def is_identity(self) -> bool:
        """Return whether applying it changes nothing, whatever the model."""
        if self.scale == 0.0 or not self.tensors:
            return True
        return self.kind == "lora" and not any(t.any() for name, t in self.tensors.items() if name.endswith(LORA_B))

    def bytes(self) -> int:
        """Return the size of its tensors in bytes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())

    def rank(self) -> int | None:
        """Return the largest rank of a low-rank edit; None for a dense one."""
        if self.kind == "dense":
            return None
        return max((tensor.shape[0] for name, tensor in self.tensors.items() if name.endswith(LORA_A)), default=0)

    def sha256(self) -> str:
        """Return the sha256 (hex) of kind, scale and tensors: equal edits have equal hashes."""
        digest = hashlib.sha256(f"{self.kind} {self.scale!r}".encode())
        for name in sorted(self.tensors):
            digest.update(name.encode())
            digest.update(tensor_sha256(self.tensors[name]).encode())
        return digest.hexdigest()

    def identity(self) -> str:
        """Return the `sha256` of this edit as made, whatever its scale is now."""
        return replace(self, scale=1.0).sha256()

    def baked(self) -> dict[str, torch.Tensor]:
        """Return the tensors of a low-rank edit with its scale in them."""
        return {
            name: tensor * self.scale if name.endswith(LORA_B) and self.scale != 1.0 else tensor
            for name, tensor in self.tensors.items()
        }

    @contextmanager
    def applied(self, model: Model) -> Iterator[None]:
        """Apply to ``model`` for the length of a ``with`` block; see `applied`."""
        with applied(model, [self]):
            yield


def effect_of(edits: Sequence[Edit]) -> list[dict[str, Any]]:
    """Return, as JSON values, what of ``edits`` decides a model's output; nothing for those that change nothing."""
    return [
        {"sha256": edit.sha256(), **({"after": list(edit.after)} if edit.after else {})}
        for edit in edits
        if not edit.is_identity()
    ]


def tensor_sha256(tensor: torch.Tensor) -> str:
    """Return the sha256 (hex) of a tensor's dtype, shape and bytes."""
    import torch

    flat = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{str(flat.dtype).removeprefix('torch.')} {list(flat.shape)}".encode())
    if flat.numel():
        digest.update(flat.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def applied(model: Model, edits: Sequence[Edit]) -> Iterator[None]:
    """Swap the edited parameters of ``model`` in; put the original objects back at the end.

    The originals return bit for bit, also when the block raises. Edits of one matrix add up.

    Args:
        model: Its components hold the parameters.
        edits: Applied together; an empty sequence changes nothing.

    Raises:
        EditError: An edit was made for another base model, or names a parameter that is not there.
    """
    swapped: list[tuple[dict[str, torch.Tensor | None], str, torch.Tensor]] = []
    components = {parameter.partition(".")[0] for edit in edits for parameter in edit.parameters()}
    _EDITED.append(block := (id(model), frozenset(components)))
    try:
        for parameter, weight in edited_weights(model, edits).items():
            tensors, attribute, original = _place(model, parameter)
            swapped.append((tensors, attribute, original))
            tensors[attribute] = weight
        yield
    finally:
        for tensors, attribute, original in reversed(swapped):
            tensors[attribute] = original
        _EDITED.remove(block)


def check_unedited(model: Model, component: str = "") -> None:
    """Refuse a model that an edit is applied to now: what is drawn or learned would count as the base model's.

    Args:
        model: Of any kind.
        component: Refuse only what changes this component; empty for any edit.

    Raises:
        EditError: It is inside a ``with edit.applied(model)`` block.
    """
    if any(edited == id(model) and component in ("", *components) for edited, components in _EDITED):
        where = f"the {component} of '{model.name}'" if component else f"'{model.name}'"
        raise EditError(
            f"an edit is applied to {where} now, so it is not the base model",
            hint="Do this outside the 'with edit.applied(model)' block, and pass the edit where it is to count.",
        )


@torch_defaults()
def edited_weights(model: Model, edits: Sequence[Edit]) -> dict[str, torch.Tensor]:
    """Return the parameters and buffers of ``model`` that ``edits`` change, with the edits in them, by name.

    Raises:
        EditError: An edit was made for another base model, or names a parameter that is not there.
    """
    import torch

    active = checked(edits, model)
    weights: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for parameter in sorted({name for edit in active for name in edit.parameters()}):
            _, _, base = _place(model, parameter)
            weight = edited_tensor(base, parameter, active)
            trained = isinstance(base, torch.nn.Parameter)
            weights[parameter] = torch.nn.Parameter(weight, requires_grad=base.requires_grad) if trained else weight
    return weights


def edited_tensor(base: torch.Tensor, parameter: str, edits: Sequence[Edit]) -> torch.Tensor:
    """Return ``base``, the tensor of ``parameter``, with the changes of all ``edits`` in it: same dtype and device.

    Edits made for the base model add up. One made after others changes what these give, stored as ``base`` is.
    A replacement that is the last word is taken as it is, not as a sum that rounds.

    Raises:
        EditError: An edit's change has another shape.
    """
    total, begun = base.float(), False
    for edit in edits:
        if parameter not in edit.parameters():
            continue
        made_of = total.to(base.dtype) if edit.after else base
        delta = _fitting_delta(edit, parameter, made_of)
        if edit.kind == "dense" and edit.scale == 1.0 and (edit.after or not begun):
            total = edit.tensors[parameter].to(base.device).float()
        else:
            total = (made_of.float() if edit.after else total) + delta
        begun = True
    return total.to(base.dtype)


def checked(edits: Sequence[Edit], model: Model) -> list[Edit]:
    """Return those of ``edits`` that change anything, after checking that they were made for this.

    Raises:
        EditError: One was made for another base model, or after other edits than those before it.
    """
    for i, edit in enumerate(edits):
        if edit.after and [earlier.identity() for earlier in edits[:i]] != list(edit.after):
            raise EditError(
                f"this edit was made after {len(edit.after)} others, which do not stand before it",
                hint="Give the run's folder, or all of them in the order they were made.",
            )
    active = [edit for edit in edits if not edit.is_identity()]
    for i, edit in enumerate(active):
        check_base(edit, model, active[:i] if edit.after else ())
    return active


def check_base(edit: Edit, model: Model, earlier: Sequence[Edit] = ()) -> None:
    """Refuse an edit that was made for another base model.

    ``earlier`` is what was in the model when the edit was made. When one of these is scaled, what it gives is
    known to differ, and nothing is checked.

    Raises:
        EditError: A parameter that the edit changes is not the one it was made for.
    """
    if any(other.scale != 1.0 for other in earlier):
        return
    for parameter in edit.parameters():
        expected = edit.base.get(parameter)
        if expected is None:
            continue
        component, _, name = parameter.partition(".")
        stored = model.tensor(component, name)  # type: ignore[attr-defined]
        made_of = edited_tensor(stored, parameter, earlier) if earlier else stored
        if tensor_sha256(made_of) != expected:
            raise EditError(
                f"this edit was made for another base model: '{parameter}' differs in '{model.name}'",
                hint="Use the model named in the edit's record, or unlearn again on this one.",
            )


def _place(model: Model, parameter: str) -> tuple[dict[str, torch.Tensor | None], str, torch.Tensor]:
    """Return where a parameter or buffer is kept: the module's table, its name there, and what is there now."""
    component, _, name = parameter.partition(".")
    path, _, attribute = name.rpartition(".")
    try:
        module = model.component(component).get_submodule(path)
    except AttributeError:
        module = None
    tables: list[Any] = [module._parameters, module._buffers] if module is not None else []
    for tensors in tables:
        if tensors.get(attribute) is not None:
            return tensors, attribute, tensors[attribute]
    raise EditError(
        f"'{model.name}' has no parameter '{parameter}' that this edit changes",
        hint="The edit was made for a model of another architecture.",
    )


def _fitting_delta(edit: Edit, parameter: str, base: torch.Tensor) -> torch.Tensor:
    delta = edit.delta(parameter, base)
    if delta.shape != base.shape:
        raise EditError(
            f"the edit of '{parameter}' has shape {tuple(delta.shape)}, the model's is {tuple(base.shape)}",
            hint="The edit was made for a model of another architecture.",
        )
    return delta
