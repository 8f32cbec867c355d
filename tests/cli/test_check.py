"""``vu check``: a row a check, and the exit code."""

import json

import pytest


def test_a_table_and_the_count(vu, install_fakes):
    install_fakes("good")
    result = vu("check", "vu-good", "-k", "options")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["CHECK", "COMPONENT", "OUTCOME", "MESSAGE"]
    assert lines[1].split() == ["options_help", "unlearner/erase", "passed"]
    assert lines[-1] == "4 passed, 0 failed"
    assert result.exit_code == 0


def test_a_failure_says_what_to_do_and_exits_1(vu, install_fakes):
    install_fakes("good")
    result = vu("check", "vu-good", "-k", "unlearner/moved-target")
    assert "vu_good_work' has no 'Moved'. Another version of it may help" in result.stdout
    assert result.stdout.endswith("0 passed, 1 failed\n")
    assert result.exit_code == 1


def test_json_alone_on_standard_output(vu, install_fakes):
    install_fakes("talkative")
    result = vu("check", "vu-talkative", "-k", "import", "--json")
    told = json.loads(result.stdout)
    assert (told["plugin"], told["version"]) == ("vu-talkative", "1.0")
    light, silent = told["checks"]
    assert light == {"check": "light_import", "component": "", "outcome": "passed", "message": ""}
    assert (silent["outcome"], result.exit_code) == ("failed", 1)
    assert "prints 'hello from a plugin" in silent["message"]


@pytest.mark.parametrize("name", ["syntax-error", "system-exit", "no-hooks", "newer-api", "needs-other-core"])
def test_the_fault_of_a_broken_plugin_is_a_failed_check(vu, install_fakes, name):
    install_fakes(name)
    result = vu("check", f"vu-{name}", "-k", "loads", "--json")
    (row,) = json.loads(result.stdout)["checks"]
    assert (row["check"], row["outcome"], result.exit_code) == ("loads", "failed", 1)
    assert f"'vu doctor vu-{name}' shows the traceback" in row["message"]


def test_of_a_plugin_without_readable_metadata_only_that_is_said(vu, install_fakes):
    install_fakes("no-metadata")
    result = vu("check", "no-metadata", "--json")
    (row,) = json.loads(result.stdout)["checks"]
    assert row["check"] == "loads"
    assert row["message"].startswith("scan: its metadata cannot be read: ")
    assert result.exit_code == 1


def test_a_plugin_that_is_off_fails(vu, install_fakes, monkeypatch):
    install_fakes("good")
    monkeypatch.setenv("VU_PLUGINS_OFF", "vu-good")
    result = vu("check", "vu-good", "-k", "loads")
    assert "switched off by VU_PLUGINS_OFF" in result.stdout
    assert result.exit_code == 1


def test_an_unknown_plugin_is_bad_input(vu, install_fakes):
    install_fakes("good")
    result = vu("check", "vu-god")
    assert result.stderr == "vu: no plugin 'vu-god' is installed. Did you mean 'vu-good'? Installed: vu-good.\n"
    assert result.exit_code == 2


def test_a_selection_that_fits_nothing_is_bad_input(vu, install_fakes):
    install_fakes("good")
    result = vu("check", "vu-good", "-k", "lihgt_import")
    assert "no check of vu-good has 'lihgt_import' in its id. Did you mean 'light_import'? Checks: " in result.stderr
    assert result.exit_code == 2
