"""Looking up components: found, misspelt, ambiguous, missing, or in a plugin that is broken."""

import pytest

from vu_core.discovery import PluginRecord, Plugins
from vu_core.errors import PluginError, UnknownNameError
from vu_core.registry import Entry, Registry, parse_kind
from vu_core.specs import KINDS, MetricSpec, UnlearnerSpec


def unlearner(name, **fields):
    return UnlearnerSpec(name=name, summary="Forget.", target="vu_x.work:X", **fields)


def record(name, *specs, version="0.1.0", **fields):
    fields.setdefault("status", "ok")
    return PluginRecord(name=name, version=version, entry_point="x", location="/x", specs=specs, **fields)


METRIC = MetricSpec(name="ua", summary="Accuracy.", target="vu_x.work:X", direction="up", unit="%")
UCE = record("vu-uce", unlearner("uce"))
FADE = record("vu-fade", unlearner("fade"), unlearner("shared"))
OTHER = record("vu-other", unlearner("shared"), METRIC, version="2.0")
BROKEN = record("vu-foo", version="0.3", status="broken", stage="import", problem="ModuleNotFoundError: 'x'")
OFF = record("vu-bar", status="off", stage="scan", problem="switched off by VU_PLUGINS_OFF")


def registry(*records):
    return Registry(Plugins(records=records))


def message(*records, kind="unlearner", name):
    with pytest.raises(UnknownNameError) as caught:
        registry(*records).get(kind, name)
    return str(caught.value)


def test_get_returns_spec_and_provider():
    entry = registry(UCE, FADE).get("unlearner", "fade")
    assert entry == Entry(spec=FADE.specs[0], plugin="vu-fade", version="0.1.0")
    assert str(entry) == "fade (vu-fade 0.1.0)"


def test_entries_are_sorted_by_kind_name_and_plugin():
    found = [(entry.spec.name, entry.plugin) for entry in registry(OTHER, UCE, FADE).entries()]
    assert found == [
        ("fade", "vu-fade"),
        ("shared", "vu-fade"),
        ("shared", "vu-other"),
        ("uce", "vu-uce"),
        ("ua", "vu-other"),
    ]
    assert [entry.spec.name for entry in registry(OTHER, UCE).entries("metric")] == ["ua"]


def test_a_misspelt_name():
    assert message(UCE, record("vu-fade", unlearner("fade")), name="ucee") == (
        "unknown unlearner 'ucee'. Did you mean 'uce'? Installed: fade (vu-fade 0.1.0), uce (vu-uce 0.1.0)."
    )


def test_of_many_it_is_said_where_they_are_listed():
    many = record("vu-many", *(unlearner(f"way-{number}") for number in range(9)))
    assert message(many, name="wya-3").startswith(
        "unknown unlearner 'wya-3'. Did you mean 'way-3'? 9 are installed; see 'vu list unlearner'."
    )


def test_a_broken_plugin_may_have_provided_it():
    assert message(UCE, BROKEN, name="zzz") == (
        "unknown unlearner 'zzz'. Installed: uce (vu-uce 0.1.0). "
        "More of them: pip install vu-fade vu-lora vu-classify. "
        "1 plugin could not be loaded and may provide it: vu-foo 0.3 (import: ModuleNotFoundError: 'x'); "
        "run 'vu doctor vu-foo'."
    )
    assert "2 plugins could not be loaded" in message(BROKEN, BROKEN, name="zzz")


def test_a_plugin_that_is_off_may_have_provided_it():
    assert message(UCE, OFF, name="zzz").endswith("Switched off by VU_PLUGINS_OFF: vu-bar.")


def test_nothing_of_the_kind_is_installed():
    assert message(name="uce") == (
        "unknown unlearner 'uce'. No unlearner is installed; "
        "install one: pip install vu-uce vu-fade vu-lora vu-classify"
    )


def test_a_distribution_that_is_not_installed_may_have_it():
    assert message(UCE, name="lora-negation").endswith("More of them: pip install vu-fade vu-lora vu-classify.")
    assert "More of them" not in message(UCE, name="ucee")
    everything = [record(name) for name in ("vu-uce", "vu-fade", "vu-lora", "vu-classify")]
    assert "More of them" not in message(UCE, *everything, name="zzz")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_to_install(kind):
    assert f"No {kind} is installed; install one: pip install vu-" in message(kind=kind, name="x")


def test_a_name_of_another_kind():
    assert "'ua' is a metric." in message(OTHER, name="ua")


def test_an_ambiguous_name_lists_every_provider():
    assert message(FADE, OTHER, name="shared") == (
        "unlearner 'shared' is provided by vu-fade 0.1.0, vu-other 2.0. "
        "Say which: 'vu-fade:shared' or 'vu-other:shared'."
    )


@pytest.mark.parametrize("name", ["vu-other:shared", "VU_Other:shared"])
def test_a_plugin_prefix_decides(name):
    assert registry(FADE, OTHER).get("unlearner", name).plugin == "vu-other"


def test_a_misspelt_prefix():
    assert "Did you mean 'vu-other:shared'?" in message(FADE, OTHER, name="vu-othr:shared")


@pytest.mark.parametrize("text", ["metric", "metrics", "Metrics"])
def test_kinds_may_be_plural(text):
    assert parse_kind(text) == "metric"


def test_an_unknown_kind():
    with pytest.raises(UnknownNameError) as caught:
        parse_kind("metrik")
    assert str(caught.value) == (
        "unknown kind 'metrik'. Did you mean 'metric'? Kinds: unlearner, metric, dataset, model, scorer, "
        "protocol, tracker, command."
    )


def test_an_entry_loads_its_target_and_its_config_class(install_fakes):
    install_fakes("good")
    entry = Registry.discover().get("unlearner", "erase")
    assert entry.load().__name__ == "Erase"
    assert entry.config_class().__name__ == "EraseConfig"


def test_a_component_without_options_has_no_config_class(install_fakes):
    install_fakes("good")
    found = Registry.discover()
    assert found.get("unlearner", "faulty").config_class() is None
    assert found.get("dataset", "tiny").config_class() is None


def test_a_config_that_is_no_class(install_fakes):
    install_fakes("good")
    entry = Entry(spec=unlearner("x", config="vu_good:vu_metrics"), plugin="vu-good", version="1.0")
    with pytest.raises(PluginError, match="names 'vu_good:vu_metrics' as a config class, but it is no class"):
        entry.config_class()
