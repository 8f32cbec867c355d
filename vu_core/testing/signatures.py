"""Whether an object can be called as a Protocol of `vu_core.interfaces` says."""

from __future__ import annotations

import inspect
from inspect import Parameter, Signature
from typing import Any

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def signature_problems(given: Any, protocol: type) -> list[str]:
    """Return what is wrong with the methods of ``given``, one sentence each; empty when all fit.

    Args:
        given: A class, or an instance.
        protocol: Its public methods, with their parameters, are what ``given`` must accept.

    Example:
        >>> from vu_core.interfaces import Encodes
        >>> class Encoder:
        ...     def encode(self, texts): ...
        >>> signature_problems(Encoder(), Encodes)
        ['encode(texts) has other parameters than encode(prompts)', "it has no method 'encoders'"]
    """
    wanted = {name: member for name, member in vars(protocol).items() if not name.startswith("_")}
    return [problem for name, member in wanted.items() if (problem := _problem(given, name, member))]


def call_problem(name: str, signature: Signature, /, *arguments: str, **keywords: Any) -> str:
    """Return why ``signature`` cannot be called with these arguments; empty when it can."""
    try:
        signature.bind(*arguments, **keywords)
    except TypeError:
        called = ", ".join([*arguments, *(f"{keyword}=" for keyword in keywords)])
        return f"{name}{_shown(signature)} cannot be called as {name}({called})"
    return ""


def _problem(given: Any, name: str, member: Any) -> str:
    if isinstance(member, property):
        return "" if hasattr(given, name) else f"it has no attribute '{name}'"
    if not callable(getattr(given, name, None)):
        return f"it has no method '{name}'"
    wanted, found = _without_self(inspect.signature(member)), _signature(given, name)
    positional = [parameter.name for parameter in wanted.parameters.values() if parameter.kind in _POSITIONAL]
    keywords = {p.name: None for p in wanted.parameters.values() if p.kind == Parameter.KEYWORD_ONLY}
    if problem := call_problem(name, found, *positional, **keywords):
        return problem
    # Callers may also name arguments, so names and their order count.
    takes_any = any(parameter.kind == Parameter.VAR_POSITIONAL for parameter in found.parameters.values())
    if takes_any or list(found.parameters)[: len(positional)] == positional:
        return ""
    return f"{name}{_shown(found)} has other parameters than {name}{_shown(wanted)}"


def _signature(given: Any, name: str) -> Signature:
    """Return the signature of a method as callers see it, without ``self``."""
    signature = inspect.signature(getattr(given, name))
    bound = not isinstance(given, type) or isinstance(inspect.getattr_static(given, name), staticmethod | classmethod)
    return signature if bound else _without_self(signature)


def _without_self(signature: Signature) -> Signature:
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _shown(signature: Signature) -> str:
    bare = [parameter.replace(annotation=Parameter.empty) for parameter in signature.parameters.values()]
    return f"({', '.join(map(str, bare))})"
