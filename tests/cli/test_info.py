"""``vu info``: one component, its needs and its options."""

import json
import sys

from vu_core.testing.distributions import isolated_plugins, make_dist


def facts(result):
    return dict(line.split("  ", 1) for line in result.stdout.splitlines() if "  " in line)


def test_an_unlearner_with_its_options(install_fakes, vu):
    install_fakes("good")
    result = vu("info", "erase")
    assert result.exit_code == 0
    assert result.stdout.startswith("erase: unlearner of vu-good 1.0\nErase a concept.\n")
    found = {key: text.strip() for key, text in facts(result).items()}
    assert found["needs"] == "TensorSource, HasSites"
    assert found["reference"] == "https://arxiv.org/abs/2308.14761"
    assert found["preset default"] == "scale=2.0, for the model tiny"
    assert result.stdout.endswith(
        "\n-o scale=...  float, >= 0.0, < 10.0, default 1.0, λ of the paper\n   Strength.\n"
        "\n-o tokens=...  'last' | 'all', default last\n   Which tokens are edited.\n"
    )
    assert "vu_good_work" not in sys.modules


def test_a_metric(install_fakes, vu):
    install_fakes("good")
    found = {key: text.strip() for key, text in facts(vu("info", "accuracy")).items()}
    assert found["direction"] == "up"
    assert found["unit"] == "%"
    assert found["ideal"] == "100.0"
    assert found["range"] == "0.0 to 100.0"
    assert found["scorers"] == "object"


def test_a_model(install_fakes, vu):
    install_fakes("good")
    found = {key: text.strip() for key, text in facts(vu("info", "model/tiny")).items()}
    assert found["dataset"] == "tiny"
    assert found["protocol"] == "tiny@1"
    assert found["preset erase/default"] == "scale=2.0"
    assert "embedded" not in found


def test_json(install_fakes, vu):
    install_fakes("good")
    found = json.loads(vu("info", "erase", "--json").stdout)
    assert (found["kind"], found["name"], found["plugin"], found["version"]) == ("unlearner", "erase", "vu-good", "1.0")
    assert [option["name"] for option in found["options"]] == ["scale", "tokens"]


def test_a_name_of_two_kinds(install_fakes, vu):
    install_fakes("good")
    result = vu("info", "tiny")
    assert result.exit_code == 2
    assert result.stderr == (
        "vu: 'tiny' is a dataset and a model. Say which: vu info dataset/tiny, vu info model/tiny\n"
    )


def test_a_name_of_two_plugins(install_fakes, vu):
    install_fakes("good", "rival")
    result = vu("info", "erase")
    assert result.exit_code == 2
    assert "Say which: 'vu-good:erase' or 'vu-rival:erase'." in result.stderr
    assert vu("info", "vu-rival:erase").stdout.startswith("erase: unlearner of vu-rival 2.0\n")
    assert vu("info", "unlearner/vu-rival:erase").stdout.startswith("erase: unlearner of vu-rival 2.0\n")


def test_an_unknown_name(install_fakes, vu):
    install_fakes("good", "raises")
    result = vu("info", "erasse")
    assert result.exit_code == 2
    assert result.stderr == (
        "vu: unknown component 'erasse'. Did you mean 'erase'? See 'vu list'. "
        "1 plugin could not be loaded and may provide it: "
        "vu-raises 1.0 (import: RuntimeError: no licence file see the manual); run 'vu doctor vu-raises'.\n"
    )


PAGE = """# erase

Erase a concept.

| plugin | `vu-good` 1.0 |
|---|---|
| source | [https://arxiv.org/abs/2308.14761](https://arxiv.org/abs/2308.14761) |
| made for | text-to-image |
| needs of a model | `TensorSource`, `HasSites` |

## Options

| option | values | default | meaning |
|---|---|---|---|
| `scale` λ | float, >= 0.0, < 10.0 | 1.0 | Strength. |
| `tokens` | 'last' \\| 'all' | last | Which tokens are edited. |

## Presets

| model | preset | options |
|---|---|---|
| `tiny` | `default` | `scale=2.0` |
"""


def test_a_page_without_prose_is_what_the_spec_says(install_fakes, vu):
    install_fakes("good")
    result = vu("info", "erase", "--page")
    assert (result.exit_code, result.stdout) == (0, PAGE)
    assert "vu_good_work" not in sys.modules


def test_a_page_is_no_json(install_fakes, vu):
    install_fakes("good")
    result = vu("info", "erase", "--page", "--json")
    assert result.exit_code == 2 and result.stderr == "vu: a page is Markdown, not JSON. Give --page or --json.\n"


def test_a_page_holds_the_prose_that_lies_in_the_package_of_the_target(vu, tmp_path):
    source = """
from vu_core import MetricSpec, hookimpl

@hookimpl
def vu_metrics():
    yield MetricSpec(
        name="night-sky", summary="Stars.", target="vu_night.heavy.metric:Stars", direction="reference",
        forget_direction="down", unit="stars", range=(0.0, None), ideal=0.0, scorers=("{kind}", "clip"),
        compares="before", label="night-sky[{clip}]",
    )
"""
    files = {
        "vu_night/__init__.py": "",
        "vu_night/plugin.py": source,
        "vu_night/heavy/__init__.py": "raise RuntimeError('imported')",
        "vu_night/docs/metric/night-sky.md": "## Definition\n\nHow many.\n",
    }
    with isolated_plugins(make_dist(tmp_path, "vu-night", files)):
        result = vu("info", "night-sky", "--page")
    assert result.exit_code == 0
    assert result.stdout.endswith(
        """
| better | toward the value of retrained models; of what is forgotten down |
| ideal | 0 |
| unit | stars |
| range | at least 0 |
| roles of scorers | one classifier for each kind of concept, `clip` |
| compared with | the pictures before unlearning, of the same prompt and noise |
| name of the result | `night-sky[{clip}]` |

## Definition

How many.
"""
    )
