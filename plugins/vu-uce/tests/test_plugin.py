from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
from vu_uce import plugin
from vu_uce.config import UceConfig

from vu_core.config import options_of, validate
from vu_core.errors import ConfigError
from vu_core.interfaces import CAPABILITIES


def test_the_spec_is_valid_and_resolves():
    (spec,) = plugin.vu_unlearners()
    assert spec.problems() == [] and set(spec.needs) <= set(CAPABILITIES)
    for target in (spec.target, spec.config):
        module, _, attribute = target.partition(":")
        assert hasattr(import_module(module), attribute)


def test_options_are_read_as_texts_and_checked():
    given = {"technique": "debias", "attributes": "male,female", "attribute_weights": "0.5,-0.5", "erase_scale": "5"}
    config = validate(UceConfig, given)
    assert config.attributes == ("male", "female") and config.attribute_weights == (0.5, -0.5)
    for option, value in (("regularization", 0.0), ("erase_scale", -1.0), ("tokens", "first"), ("preserve_scale", -1)):
        with pytest.raises(ConfigError, match=option):
            validate(UceConfig, {option: value})


def test_every_option_is_explained():
    assert all(option.help for option in options_of(UceConfig))


def test_light_modules_import_nothing_heavy_and_the_unlearner_no_diffusers():
    code = (
        "import sys, vu_uce.plugin, vu_uce.config; assert 'torch' not in sys.modules\n"
        "import vu_uce.unlearner; assert not {'diffusers', 'transformers', 'peft'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
