"""The hooks, their names and their documentation."""

import inspect

import pytest

from vu_core import hookspecs
from vu_core.hookspecs import OBSERVERS, PROVIDERS
from vu_core.specs import KINDS

HOOKS = {name: function for name, function in vars(hookspecs).items() if name.startswith("vu_") and callable(function)}


def test_every_hook_is_a_provider_or_an_observer():
    assert set(HOOKS) == {*PROVIDERS, *OBSERVERS}


def test_there_is_a_provider_for_every_kind():
    assert list(PROVIDERS) == [f"vu_{kind}s" for kind in KINDS]


@pytest.mark.parametrize("name", HOOKS)
def test_hooks_are_documented_with_their_arguments(name):
    text = inspect.getdoc(HOOKS[name])
    assert all(f"{argument}: " in text for argument in inspect.signature(HOOKS[name]).parameters)
    assert ("Returns:" in text) == (name in PROVIDERS)
