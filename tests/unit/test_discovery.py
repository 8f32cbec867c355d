"""Every fault of a plugin is a row with a stage and a reason, and stops nothing else."""

import sys

import pytest

from vu_core import ProtocolSpec, discovery, hookimpl
from vu_core.discovery import Unmet, discover, installed_version, resolve, scan, unmet_requirements
from vu_core.errors import ModelError, PluginError

FAULTS = {
    "needs-other-core": ("scan", "needs vu-core>=99, but 0.1.0 is installed"),
    "no-metadata": ("scan", "its metadata cannot be read: "),
    "two-entry-points": ("scan", "has 2 entry points in the group 'vu.plugins', one is expected"),
    "bad-entry-point": ("import", "its entry point 'not a module!' is no module name"),
    "missing-module": ("import", "its entry point names the module 'vu_missing_module.plugin', which is not there"),
    "missing-dependency": ("import", "ModuleNotFoundError: No module named 'vu_library_that_is_absent'"),
    "syntax-error": ("import", "SyntaxError: "),
    "system-exit": ("import", "SystemExit: this plugin needs a GPU"),
    "raises": ("import", "RuntimeError: no licence file see the manual"),
    "unknown-hook": ("hooks", "unknown hook 'vu_unlearner'. Did you mean 'vu_unlearners'?"),
    "wrong-argument": ("hooks", "{'registry'}"),
    "hook-raises": ("hooks", "vu_metrics raised KeyError: 'weights'"),
    "returns-nothing": ("hooks", "vu_metrics returns nothing; it yields its specs"),
    "no-hooks": ("hooks", "implements no hook of vu; are its functions marked with @hookimpl?"),
    "not-a-spec": ("specs", "vu_unlearners yields dict, UnlearnerSpec is expected"),
    "wrong-kind": ("specs", "vu_metrics yields UnlearnerSpec, MetricSpec is expected"),
    "invalid-spec": ("specs", "unlearner 'Not A Name': name 'Not A Name' is not lower-case words"),
    "duplicate-name": ("specs", "vu_unlearners yields the name 'erase' twice"),
    "newer-api": ("specs", "unlearner 'erase' needs API 99, this vu-core has 1; install a newer vu-core"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_a_row(install_fakes, name):
    install_fakes(name)
    (record,) = discover().records
    stage, reason = FAULTS[name]
    assert (record.status, record.stage) == ("broken", stage)
    assert reason in record.problem
    assert "\n" not in record.problem
    assert record.specs == ()


def test_all_faults_together_stop_no_other_plugin(install_fakes):
    install_fakes(*FAULTS, "good", "rival")
    by_name = {record.name: record for record in discover().records}
    assert len(by_name) == len(FAULTS) + 2
    assert by_name["vu-good"].status == by_name["vu-rival"].status == "ok"
    assert [spec.name for spec in by_name["vu-rival"].specs] == ["erase"]


def test_a_good_plugin_is_described(install_fakes):
    install_fakes("good")
    (record,) = discover().records
    assert (record.name, record.version, record.status) == ("vu-good", "1.0", "ok")
    assert record.entry_point == "vu_good"
    assert record.location.endswith("good")
    assert {spec.kind for spec in record.specs} == {"unlearner", "metric", "dataset", "model", "scorer", "protocol"}
    assert "vu_good" in sys.modules
    assert "vu_good_work" not in sys.modules


def test_the_traceback_is_kept(install_fakes):
    install_fakes("raises")
    (record,) = discover().records
    assert "vu_raises.py" in record.detail
    assert "no licence file\nsee the manual" in record.detail


def test_heavy_imports_are_a_warning_and_the_plugin_stays_usable(install_fakes):
    install_fakes("heavy")
    (record,) = discover().records
    assert (record.status, record.stage) == ("warning", "import")
    assert record.problem.startswith("imports datasets when it is listed")
    assert [spec.name for spec in record.specs] == ["heavy"]


def test_scan_runs_no_plugin_code(install_fakes):
    install_fakes("good", "system-exit")
    assert [(record.name, record.status) for record in scan()] == [("vu-good", "found"), ("vu-system-exit", "found")]
    assert "vu_good" not in sys.modules


@pytest.mark.parametrize("value", ["vu-raises", " VU_Raises , vu-absent"])
def test_a_plugin_that_is_off_is_not_imported(install_fakes, monkeypatch, value):
    install_fakes("good", "raises")
    monkeypatch.setenv("VU_PLUGINS_OFF", value)
    good, off = discover().records
    assert (good.status, off.status) == ("ok", "off")
    assert off.problem == "switched off by VU_PLUGINS_OFF"
    assert "vu_raises" not in sys.modules


@pytest.mark.parametrize("first", ["1.0", "2.0"])
def test_of_a_distribution_found_twice_the_first_on_the_path_counts(install_fakes, tmp_path, first):
    copy = tmp_path / "vu_rival-1.0.dist-info"
    copy.mkdir()
    (copy / "METADATA").write_text("Metadata-Version: 2.1\nName: VU.Rival\nVersion: 1.0\n")
    (copy / "entry_points.txt").write_text("[vu.plugins]\nrival = vu_rival\n")
    install_fakes(*("rival", tmp_path) if first == "2.0" else (tmp_path, "rival"))
    assert [(record.name, record.version) for record in discover().records] == [("vu-rival", first)]


def test_an_unreadable_file_of_another_distribution_is_no_obstacle(install_fakes, tmp_path, monkeypatch):
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_bytes(b"[vu.plugins]\nx = \xff\xfe\n")
    install_fakes("good")
    monkeypatch.setattr(
        discovery.importlib_metadata,
        "distributions",
        lambda found=discovery.importlib_metadata.distributions: [
            *found(),
            *discovery.importlib_metadata.Distribution.discover(path=[str(tmp_path)]),
        ],
    )
    assert [record.name for record in discover().records] == ["vu-good"]


def test_what_a_plugin_prints_goes_to_standard_error(install_fakes, capsys):
    install_fakes("talkative")
    discover()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "hello from a plugin\n"


def test_an_editable_plugin_is_located_in_its_source_tree(install_fakes, monkeypatch):
    install_fakes("good")
    direct = '{"url": "file:///home/me/my%20plugin", "dir_info": {"editable": true}}'
    read_text = discovery.importlib_metadata.PathDistribution.read_text
    monkeypatch.setattr(
        discovery.importlib_metadata.PathDistribution,
        "read_text",
        lambda self, name: direct if name == "direct_url.json" else read_text(self, name),
    )
    (record,) = scan()
    assert record.location.replace("\\", "/").endswith("/home/me/my plugin")


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_keyboard_interrupt_is_no_fault(install_fakes, monkeypatch):
    install_fakes("good", "observer")
    plugins = discover()
    monkeypatch.setattr(plugins._managers["vu-observer"].hook, "vu_run_started", interrupt)
    with pytest.raises(KeyboardInterrupt):
        plugins.notify("vu_run_started", record=None)
    monkeypatch.setattr(sys.modules["vu_good"], "vu_metrics", hookimpl(interrupt))
    with pytest.raises(KeyboardInterrupt):
        discover()
    monkeypatch.setattr(discovery.importlib_metadata.EntryPoint, "load", interrupt)
    with pytest.raises(KeyboardInterrupt):
        discover()


def test_a_spec_that_cannot_even_be_checked(install_fakes, monkeypatch):
    install_fakes("good")
    discover()
    spec = ProtocolSpec(name="x@1", summary="No file.", file=None)
    monkeypatch.setattr(sys.modules["vu_good"], "vu_protocols", hookimpl(lambda: [spec]))
    (record,) = discover().records
    assert (record.status, record.stage) == ("broken", "specs")
    assert record.problem.startswith("protocol 'x@1' cannot be checked: TypeError: ")


def test_observers_are_told_one_by_one(install_fakes):
    install_fakes("bad-observer", "observer")
    plugins = discover()
    record, error = object(), ValueError("x")
    assert plugins.notify("vu_run_started", record=record) == [
        "plugin vu-bad-observer failed in vu_run_started: RuntimeError: no network"
    ]
    assert plugins.notify("vu_run_finished", record=record) == [
        "plugin vu-bad-observer failed in vu_run_finished: SystemExit: 3"
    ]
    assert plugins.notify("vu_run_failed", record=record, error=error) == []
    assert sys.modules["vu_observer"].seen == [("started", record), ("failed", error)]


def test_what_an_observer_prints_stays_off_the_standard_output(install_fakes, monkeypatch, capsys):
    install_fakes("observer")
    plugins = discover()
    monkeypatch.setattr(
        plugins._managers["vu-observer"].hook, "vu_run_started", lambda record: print("an observer talks")
    )
    assert plugins.notify("vu_run_started", record=None) == []
    assert capsys.readouterr() == ("", "an observer talks\n")


def test_resolve_returns_the_object(install_fakes):
    install_fakes("good")
    assert resolve("vu_good_work:Erase", "vu-good").__name__ == "Erase"


def test_resolve_says_what_to_install(install_fakes):
    install_fakes("unmet")
    with pytest.raises(PluginError) as caught:
        resolve("vu_unmet_work:Lacking", "vu-unmet")
    assert str(caught.value) == (
        "'vu_unmet_work:Lacking' of plugin vu-unmet cannot be imported: "
        "ModuleNotFoundError: No module named 'vu_library_that_is_absent'. "
        "Install what it needs: pip install 'vu-library-that-is-absent>=2'"
    )


def test_resolve_guesses_when_requirements_do_not_tell(install_fakes):
    install_fakes("unmet")
    with pytest.raises(PluginError, match="Perhaps: pip install vu_library_that_is_absent"):
        resolve("vu_unmet_work:Lacking", "not-installed")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "vu_good_faulty:Faulty",
            "plugin vu-good fails when 'vu_good_faulty' is imported: RuntimeError: the weights are not there. "
            "See the traceback with: vu doctor vu-good --imports",
        ),
        ("vu_system_exit:X", "plugin vu-good fails when 'vu_system_exit' is imported: SystemExit: this plugin needs"),
        ("vu_good_work:Moved", "plugin vu-good names 'vu_good_work:Moved', but 'vu_good_work' has no 'Moved'."),
    ],
)
def test_resolve_names_the_plugin_at_fault(install_fakes, target, message):
    install_fakes("good", "system-exit")
    with pytest.raises(PluginError) as caught:
        resolve(target, "vu-good")
    assert str(caught.value).startswith(message)


def test_resolve_passes_a_plugins_own_message_on(install_fakes, monkeypatch):
    install_fakes("good")
    own = ModelError("this plugin needs a GPU")

    def refuse(_):
        raise own

    monkeypatch.setattr(discovery, "import_module", refuse)
    with pytest.raises(ModelError) as caught:
        resolve("vu_good_work:Erase", "vu-good")
    assert caught.value is own


def test_resolve_suggests_an_update_when_a_library_lacks_a_name(install_fakes, monkeypatch):
    install_fakes("good")

    def fail(_):
        raise ImportError("cannot import name 'x' from 'y'")

    monkeypatch.setattr(discovery, "import_module", fail)
    with pytest.raises(PluginError, match="Perhaps: pip install --upgrade vu-good"):
        resolve("vu_good_work:Erase", "vu-good")


def test_installed_versions():
    assert installed_version("vu_core") == "0.1.0"
    assert installed_version("pluggy")
    assert installed_version("vu-library-that-is-absent") is None


def test_unmet_requirements(install_fakes):
    install_fakes("unmet", "good")
    assert unmet_requirements("vu-good") == []
    (unmet,) = unmet_requirements("vu-unmet")
    assert unmet == Unmet(requirement="vu-library-that-is-absent>=2", installed=None)
    assert str(unmet) == "needs vu-library-that-is-absent>=2, which is not installed"
