"""The kit as a parametrised test in the author's own suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from vu_core.errors import UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from vu_core.testing.cases import Case


def parametrize(plugin: str, *, expected_failures: Mapping[str, str] | None = None) -> pytest.MarkDecorator:
    """Return a decorator that runs a test once a check, passed to it as ``check``.

    Args:
        plugin: Name of the installed distribution.
        expected_failures: Reasons by check: ``"deterministic"`` for all components that it is for, or
            ``"unlearner/noise-deterministic"`` for one. Such a check must fail: when it passes, the test fails.

    Raises:
        UnknownNameError: The plugin is not installed, or an expected failure names no check of it.

    Example:
        >>> @parametrize("vu-noise", expected_failures={"deterministic": "uses atomics"})  # doctest: +SKIP
        ... def test_conformance(check):
        ...     check()
    """
    from vu_core.testing.cases import cases_of, load_plugin

    cases = list(cases_of(load_plugin(plugin)))
    reasons = dict(expected_failures or {})
    known = {name for case in cases for name in (case.check.name, case.key)}
    for name in reasons:
        if name not in known:
            raise UnknownNameError(f"{plugin} has no check '{name}'", hint=did_you_mean(name, known))
    return pytest.mark.parametrize("check", [_parameter(case, reasons) for case in cases])


def _parameter(case: Case, reasons: Mapping[str, str]) -> Any:
    reason = reasons.get(case.key) or reasons.get(case.check.name)
    marks = [pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError)] if reason else []
    return pytest.param(case, id=case.id, marks=marks)
