from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
from vu_lora import plugin
from vu_lora.config import LoraNegationConfig, MunbaConfig

from vu_core.config import options_of, validate
from vu_core.errors import ConfigError
from vu_core.interfaces import CAPABILITIES

CONFIGS = (LoraNegationConfig, MunbaConfig)


def test_the_specs_are_valid_and_resolve():
    specs = list(plugin.vu_unlearners())
    assert [spec.name for spec in specs] == ["lora-negation", "munba"]
    for spec in specs:
        assert spec.problems() == [] and set(spec.needs) <= set(CAPABILITIES)
        for target in (spec.target, spec.config):
            module, _, attribute = target.partition(":")
            assert hasattr(import_module(module), attribute)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_option_is_explained(config):
    assert all(option.help for option in options_of(config))


@pytest.mark.parametrize(
    ("config", "option", "value"),
    [
        (MunbaConfig, "rank", 0),
        (MunbaConfig, "strength", -1),
        (LoraNegationConfig, "forget_weight", 0),
        (LoraNegationConfig, "retain_weight", -1),
    ],
)
def test_values_out_of_range_are_refused(config, option, value):
    with pytest.raises(ConfigError, match=option):
        validate(config, {option: value})


def test_light_modules_import_nothing_heavy_and_the_unlearners_no_peft():
    code = (
        "import sys, vu_lora.plugin, vu_lora.config; assert not {'torch', 'accelerate'} & set(sys.modules)\n"
        "import vu_lora.unlearner; assert not {'diffusers', 'transformers', 'peft'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
