from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
from vu_fade import plugin
from vu_fade.config import FadeConfig, FadePerModuleConfig, FadePerWeightConfig

from vu_core.config import options_of, validate
from vu_core.errors import ConfigError
from vu_core.interfaces import CAPABILITIES

CONFIGS = (FadeConfig, FadePerModuleConfig, FadePerWeightConfig)


def test_the_specs_are_valid_and_resolve():
    specs = list(plugin.vu_unlearners())
    assert [spec.name for spec in specs] == ["fade", "fade-per-module", "fade-per-weight"]
    for spec in specs:
        assert spec.problems() == [] and set(spec.needs) <= set(CAPABILITIES)
        for target in (spec.target, spec.config):
            module, _, attribute = target.partition(":")
            assert hasattr(import_module(module), attribute)


def test_the_defaults_are_the_published_ones():
    config = FadeConfig()
    assert (config.rank, config.alpha, config.dropout, config.batch_size, config.clip) == (4, 4.0, 0.0, 4, 1.0)
    assert (config.learning_rate, config.schedule, config.warmup_steps) == (1e-4, "cosine", 0)
    assert (config.weight_decay, config.forget_weight, config.retain_weight, config.flip) == (1e-2, 0.3, 1.0, True)
    assert config.layers == ("to_k", "to_q", "to_v", "to_out.0")
    assert FadePerModuleConfig().fraction == FadePerWeightConfig().fraction == 0.75


@pytest.mark.parametrize("config", CONFIGS)
def test_every_option_is_explained(config):
    assert all(option.help for option in options_of(config))


@pytest.mark.parametrize(
    ("config", "option", "value"),
    [(FadeConfig, "rank", 0), (FadeConfig, "alpha", 0), (FadeConfig, "dropout", 1), (FadeConfig, "forget_weight", -1),
     (FadePerModuleConfig, "fraction", 0), (FadePerWeightConfig, "fraction", 1.5), (FadeConfig, "steps", -1)],
)  # fmt: skip
def test_values_out_of_range_are_refused(config, option, value):
    with pytest.raises(ConfigError, match=option):
        validate(config, {option: value})


def test_light_modules_import_nothing_heavy_and_the_unlearners_no_peft():
    code = (
        "import sys, vu_fade.plugin, vu_fade.config; assert not {'torch', 'accelerate'} & set(sys.modules)\n"
        "import vu_fade.unlearner; assert not {'diffusers', 'transformers', 'peft'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
