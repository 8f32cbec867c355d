"""Commands that plugins bring."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def world(install_fakes):
    install_fakes("tracker", "raises")


def test_help_lists_them_apart_and_without_the_core_s_own_names(vu):
    shown = vu("--help").stdout.partition("Commands of plugins:")[2]
    assert shown.split() == ["greet", "Say", "hello", "to", "someone.", "(vu-notes)"]


def test_a_plugin_s_command_runs_with_its_options(vu):
    assert vu("greet", "you").stdout == "hello you\n"
    assert vu("greet", "you", "--loud").stdout == "HELLO YOU\n"
    assert "Whom to greet." in vu("greet", "--help").stdout


def test_its_errors_are_messages(vu):
    result = vu("greet", "nobody")
    assert (result.exit_code, result.stderr) == (2, "vu: nobody is there. Greet someone.\n")


def test_the_core_s_own_command_cannot_be_replaced(vu):
    assert "KIND" in vu("list").stdout


def test_an_unknown_command_is_refused(vu):
    result = vu("gret", "you")
    assert result.exit_code == 2
    assert "No such command 'gret'" in result.stderr


@pytest.mark.parametrize("name", ["push", "pull"])
def test_a_command_that_is_not_installed_says_what_to_install(vu, name):
    result = vu(name, "a", "b/c")
    assert result.exit_code == 2
    assert f"'{name}' is a command of vu-hub, which is not usable here. pip install vu-hub" in result.stderr
    assert "vu-raises" in result.stderr, "a broken plugin may be why"
