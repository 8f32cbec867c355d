"""``vu list``: every component is a line, every fault is a row, and no fault is an error."""

import json

import pytest

FAULTS = ("missing-dependency", "system-exit", "unknown-hook")


def lines(result):
    return [line.split() for line in result.stdout.splitlines()]


def test_nothing_installed_says_what_to_install(install_fakes, vu):
    install_fakes()
    result = vu("list")
    assert result.exit_code == 0
    assert result.stdout.startswith("No plugin is installed.")
    assert "vu-uce" in result.stdout


def test_components_are_lines_in_the_order_of_kinds(install_fakes, vu):
    install_fakes("good", "rival")
    header, *rows = lines(vu("list"))
    assert header == ["KIND", "NAME", "PLUGIN", "VERSION", "STATUS", "SUMMARY"]
    assert [row[:5] for row in rows] == [
        ["unlearner", "erase", "vu-good", "1.0", "ok"],
        ["unlearner", "erase", "vu-rival", "2.0", "ok"],
        ["unlearner", "faulty", "vu-good", "1.0", "ok"],
        ["unlearner", "moved", "vu-good", "1.0", "ok"],
        ["metric", "accuracy", "vu-good", "1.0", "ok"],
        ["dataset", "tiny", "vu-good", "1.0", "ok"],
        ["model", "tiny", "vu-good", "1.0", "ok"],
        ["scorer", "judge", "vu-good", "1.0", "ok"],
        ["protocol", "tiny@1", "vu-good", "1.0", "ok"],
    ]


def test_columns_are_aligned(install_fakes, vu):
    install_fakes("good", "missing-dependency")
    header, *rows = vu("list").stdout.splitlines()
    start = header.index("STATUS")
    assert {row[start:].split()[0] for row in rows} == {"ok", "broken"}


def test_broken_plugins_come_last_with_stage_and_reason(install_fakes, vu):
    install_fakes(*FAULTS, "good", "observer")
    result = vu("list")
    assert result.exit_code == 0
    observer, *broken = lines(result)[-4:]
    assert observer == ["-", "-", "vu-observer", "1.0", "ok", "observes", "runs"]
    assert [row[2:6] for row in broken] == [
        ["vu-missing-dependency", "1.0", "broken", "import:"],
        ["vu-system-exit", "1.0", "broken", "import:"],
        ["vu-unknown-hook", "1.0", "broken", "hooks:"],
    ]


def test_plugins_with_a_warning_stay_usable(install_fakes, vu):
    install_fakes("heavy")
    _, component, plugin = lines(vu("list"))
    assert component[:5] == ["unlearner", "heavy", "vu-heavy", "1.0", "warning"]
    assert plugin[2:7] == ["vu-heavy", "1.0", "warning", "import:", "imports"]


@pytest.mark.parametrize("kind", ["metric", "metrics"])
def test_one_kind(install_fakes, vu, kind):
    install_fakes("good", "observer", "missing-dependency")
    assert [row[:3] for row in lines(vu("list", kind))[1:]] == [
        ["metric", "accuracy", "vu-good"],
        ["-", "-", "vu-missing-dependency"],
    ]


def test_a_kind_that_nothing_provides(install_fakes, vu):
    install_fakes("rival")
    assert (
        vu("list", "metric").stdout
        == "No metric is installed; install one: pip install vu-metrics-image vu-metrics-classify\n"
    )


def test_an_unknown_kind(install_fakes, vu):
    install_fakes("good")
    result = vu("list", "metrik")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("vu: unknown kind 'metrik'. Did you mean 'metric'?")


def test_strict_fails_only_for_broken_plugins(install_fakes, vu):
    install_fakes("good", "heavy")
    assert vu("list", "--strict").exit_code == 0
    install_fakes("good", "raises")
    result = vu("list", "--strict")
    assert result.exit_code == 1
    assert "vu-raises" in result.stdout


def test_metadata_only_imports_nothing(install_fakes, vu):
    install_fakes("good", "system-exit", "needs-other-core")
    result = vu("list", "--metadata-only")
    assert [row[2:6] for row in lines(result)[1:]] == [
        ["vu-good", "1.0", "found", "vu_good"],
        ["vu-system-exit", "1.0", "found", "vu_system_exit"],
        ["vu-needs-other-core", "1.0", "broken", "scan:"],
    ]


def test_json_holds_components_and_plugins(install_fakes, vu):
    install_fakes("good", "talkative", "raises")
    found = json.loads(vu("list", "--json").stdout)
    assert [plugin["status"] for plugin in found["plugins"]] == ["ok", "broken", "ok"]
    assert found["plugins"][1]["problem"] == "RuntimeError: no licence file see the manual"
    model = next(component for component in found["components"] if component["kind"] == "model")
    assert model["presets"] == {"erase": {"default": {"scale": 2.0}}}
    assert model["plugin"] == "vu-good"
    only = json.loads(vu("list", "scorer", "--json").stdout)["components"]
    assert [component["name"] for component in only] == ["judge"]


def test_a_terminal_gets_a_table(install_fakes, monkeypatch, capsys):
    from vu_core.cli import _output

    monkeypatch.setattr(_output.sys.stdout, "isatty", lambda: True, raising=False)
    _output.print_table(("NAME", "STATUS"), [("[bold]erase", "broken")])
    assert "[bold]erase" in capsys.readouterr().out
