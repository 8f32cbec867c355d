"""Which loader a folder or a hub id means, where several are installed."""

import pytest

from vu_core.discovery import PluginRecord, Plugins
from vu_core.errors import ModelError
from vu_core.models import plan_model
from vu_core.registry import Registry
from vu_core.specs import ModelSpec


def loader(name, **fields):
    return ModelSpec(name=name, summary="Load.", target="vu_x.work:load", **fields)


PIPELINES = loader("pipelines", marker="model_index.json", hub=True)
CLASSIFIERS = loader("classifiers", marker="config.json", marker_text="ForImageClassification")
PARTS = loader("parts", marker="config.json", marker_text='"_class_name"')


def registry(*specs):
    record = PluginRecord(name="x", version="1", entry_point="x", location="/x", specs=specs, status="ok")
    return Registry(Plugins(records=(record,)))


@pytest.mark.parametrize(
    ("text", "name"),
    [('{"architectures": ["ViTForImageClassification"]}', "classifiers"), ('{"_class_name": "UNet"}', "parts")],
)
def test_a_marker_that_others_have_too_is_told_by_what_it_holds(tmp_path, text, name):
    (tmp_path / "config.json").write_text(text)
    assert plan_model(str(tmp_path), registry(CLASSIFIERS, PARTS, PIPELINES)).loader.spec.name == name


def test_a_folder_whose_marker_holds_something_else_is_no_model(tmp_path):
    (tmp_path / "config.json").write_text('{"architectures": ["CLIPTextModel"]}')
    with pytest.raises(ModelError, match="is no model folder"):
        plan_model(str(tmp_path), registry(CLASSIFIERS, PARTS))


def test_a_hub_id_goes_to_the_loader_that_knows_hubs():
    found = plan_model("organisation/name", registry(CLASSIFIERS, PIPELINES))
    assert (found.loader.spec.name, found.source) == ("pipelines", "organisation/name")


def test_a_hub_id_that_nobody_or_more_than_one_could_load():
    with pytest.raises(ModelError, match="no installed plugin loads models by a hub id"):
        plan_model("organisation/name", registry(CLASSIFIERS))
    other = loader("others", marker="x.json", hub=True)
    with pytest.raises(ModelError, match="several plugins could load this hub id: others, pipelines"):
        plan_model("organisation/name", registry(other, PIPELINES))
