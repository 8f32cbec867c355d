"""``vu doctor``: the reason, the traceback, and the commands that mend it."""

import pytest


def test_a_healthy_environment(install_fakes, vu):
    install_fakes("good", "observer")
    result = vu("doctor")
    assert result.exit_code == 0
    assert "python" in result.stdout
    assert "vu-good 1.0: ok" in result.stdout
    assert "pip uninstall" not in result.stdout


def test_a_broken_plugin(install_fakes, vu):
    install_fakes("good", "raises")
    result = vu("doctor", "vu-raises")
    assert result.exit_code == 1
    assert "vu-good" not in result.stdout
    assert "RuntimeError: no licence file see the manual" in result.stdout
    assert "Traceback (most recent call last):" in result.stdout
    assert "-m pip uninstall vu-raises" in result.stdout
    assert "VU_PLUGINS_OFF=vu-raises" in result.stdout


def test_disabling_keeps_what_is_off_already(install_fakes, vu, monkeypatch):
    install_fakes("good", "raises")
    monkeypatch.setenv("VU_PLUGINS_OFF", "vu-good")
    assert "VU_PLUGINS_OFF=vu-good,vu-raises\n" in vu("doctor", "vu-raises").stdout


def test_a_requirement_that_is_not_met(install_fakes, vu):
    install_fakes("unmet")
    result = vu("doctor")
    assert result.exit_code == 1
    assert "needs vu-library-that-is-absent>=2, which is not installed" in result.stdout


def test_metadata_that_cannot_be_read(install_fakes, vu):
    install_fakes("no-metadata")
    result = vu("doctor")
    assert result.exit_code == 1
    assert "delete its .dist-info folder in " in result.stdout


@pytest.mark.parametrize("name", ["vu-good", "VU_Good"])
def test_imports_show_faults_that_only_use_would_meet(install_fakes, vu, name):
    install_fakes("good")
    assert vu("doctor", name).exit_code == 0
    result = vu("doctor", name, "--imports")
    assert result.exit_code == 1
    assert "RuntimeError: the weights are not there" in result.stdout
    assert "'vu_good_work' has no 'Moved'" in result.stdout


def test_an_unknown_plugin(install_fakes, vu):
    install_fakes("good")
    result = vu("doctor", "vu-god")
    assert result.exit_code == 2
    assert result.stderr == "vu: no plugin 'vu-god' is installed. Did you mean 'vu-good'? Installed: vu-good.\n"


def test_a_switch_that_names_nothing(install_fakes, vu, monkeypatch):
    install_fakes("good")
    monkeypatch.setenv("VU_PLUGINS_OFF", "vu-god")
    assert "VU_PLUGINS_OFF names what is not installed: vu-god" in vu("doctor").stdout
