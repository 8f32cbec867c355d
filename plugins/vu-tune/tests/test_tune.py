"""Searches on a model that paints each animal in its colour: what is chosen, kept, continued and refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner
from vu_tune.command import tune_command
from vu_tune.space import read_space

from vu_core import ConfigError
from vu_core.errors import RunError
from vu_core.testing.distributions import isolated_plugins

TOY = Path(__file__).parents[3] / "tests" / "data" / "plugins" / "toy"
BASE = ("repaint", "--protocol", "toy-quick@1", "--forget", "cat,dog", "--search", "strength=0.01:1", "--device", "cpu")
FRONT = ("--objective", "hit:forget", "--objective", "hit:retain")


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))
    with isolated_plugins(TOY):
        yield


def tune(*arguments: str) -> Result:
    """Run the command as ``vu`` does."""
    from vu_core.cli import _Group

    app = typer.Typer(cls=_Group)
    app.command("tune")(tune_command)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["tune", *arguments])


def tuning(folder: str = "runs/tune-repaint") -> dict:
    return json.loads((Path(folder) / "tuning.json").read_text())


def test_it_finds_the_strength_that_forgets() -> None:
    # "hit" is better the higher, so with the sign of what is kept a low strength is best on forgotten concepts.
    result = tune(*BASE, "--objective", "hit:forget", "--trials", "6")
    assert result.exit_code == 0, result.output
    found = tuning()
    assert found["tuned_on"] == {"forget": ["object:cat", "object:dog"], "seeds": [0]}
    assert [one["state"] for one in found["settings"]].count("complete") >= 4
    best = [one for one in found["settings"] if one["best"]]
    assert best and all(one["values"] == [100.0] for one in best)
    weak = [one["options"]["strength"] for one in found["settings"] if one["values"] == [100.0]]
    strong = [one["options"]["strength"] for one in found["settings"] if one["values"] == [0.0]]
    assert not weak or not strong or max(weak) < min(strong)
    assert "vu run repaint -o strength=" in result.stdout


def test_several_objectives_give_a_front_and_nothing_is_given_up() -> None:
    assert tune(*BASE, *FRONT, "--trials", "5").exit_code == 0
    settings = tuning()["settings"]
    assert {one["state"] for one in settings} == {"complete"}
    front = [one["values"] for one in settings if one["best"]]
    for one in settings:
        beaten = any(all(a >= b for a, b in zip(v, one["values"], strict=True)) and v != one["values"] for v in front)
        assert one["best"] != beaten


class Killed(BaseException):
    """What ends a search without a word, as a killed process does."""


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Killed])
def test_a_search_that_was_stopped_continues_and_repeats_nothing(
    monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    import vu_core.bench

    carried_out: list[str] = []
    original = vu_core.bench.run

    def counted(plan, *arguments):
        carried_out.append(json.dumps([plan.spec.forget, plan.spec.options]))
        if len(carried_out) == 4:
            raise stop
        return original(plan, *arguments)

    monkeypatch.setattr(vu_core.bench, "run", counted)
    with suppress(Killed):
        assert tune(*BASE, *FRONT, "--trials", "4").exit_code == 130
    assert tune(*BASE, *FRONT, "--trials", "4").exit_code == 0
    assert [one["state"] for one in tuning()["settings"]] == ["complete"] * 4  # the stop costs none of the four
    again = [one for one in carried_out if carried_out.count(one) > 1]
    assert set(again) == {carried_out[3]}  # the run that was stopped
    before = len(carried_out)
    assert tune(*BASE, *FRONT, "--trials", "4").exit_code == 0
    assert len(carried_out) == before


def test_a_search_that_was_stopped_tries_what_it_would_have_tried() -> None:
    """Beyond the settings that are drawn at random, with one objective, so that some are given up, and with two."""
    for objectives in (("--objective", "hit:forget"), FRONT):
        for name, parts in (("whole", (12,)), ("stopped", (3, 11, 12))):
            for trials in parts:
                assert tune(*BASE, *objectives, "--trials", str(trials), "--out", name).exit_code == 0
        assert tuning("whole")["settings"] == tuning("stopped")["settings"]
        shutil.rmtree("whole")
        shutil.rmtree("stopped")


def test_a_search_that_another_optuna_began_is_refused() -> None:
    assert tune(*BASE, *FRONT, "--trials", "1").exit_code == 0
    journal = Path("runs/tune-repaint/study.journal")
    (number,) = [one["options"]["strength"] for one in tuning()["settings"]]
    journal.write_text(journal.read_text().replace(str(number), str(number / 2)))
    result = tune(*BASE, *FRONT, "--trials", "2")
    assert result.exit_code == 2 and "are not those that Optuna" in result.stderr


def test_the_best_are_reported_on_concepts_that_they_were_not_tuned_on() -> None:
    result = tune(*BASE, *FRONT, "--trials", "3", "--report", "fox,bear")
    assert result.exit_code == 0, result.output
    best = [one for one in tuning()["settings"] if one["best"]]
    assert best and all(row["concepts"] == 2 for one in best for row in one["report"])
    assert not any(one["report"] for one in tuning()["settings"] if not one["best"])
    assert "on fox, bear: hit on forget" in result.stdout


def test_a_search_has_a_page() -> None:
    writing = pytest.importorskip("vu_report.writing", reason="vu-report is not installed")
    assert tune(*BASE, *FRONT, "--trials", "3", "--report", "fox,bear").exit_code == 0
    writing.write([Path("runs/tune-repaint")], Path("search.html"))
    html = Path("search.html").read_text(encoding="utf-8")
    settings = tuning()["settings"]
    best = len({str(one["options"]) for one in settings if one["best"]})
    assert f"<h1>{best} setting" in html and "outdone by no other in hit on forget and hit on retain" in html
    assert html.count('<span class="chip good">best</span>') == sum(one["best"] for one in settings)
    assert html.count('class="numbers stack"') == best and "Of fox, bear, which took no part in the search" in html
    assert html.count("data:image/svg+xml") == 1
    (Path("runs/tune-repaint") / "tuning.json").write_text("{")
    with pytest.raises(RunError, match="no readable search"):
        writing.write([Path("runs/tune-repaint")], Path("search.html"))


def test_a_dry_run_makes_nothing() -> None:
    result = tune(*BASE, *FRONT, "--dry-run", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["settings"] == "20: 0 there already"
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--report", "cat"), "tuned on and reported on"),
        (("--search", "strength=0:2"), "strength"),
        (("--search", "strenght=0:1"), "Did you mean 'strength'"),
        (("--search", "strength"), "--search takes"),
        (("--search", "strength=1:0"), "lower end comes first"),
        (("--search", "strength=0.1:nan"), "no number"),
        (("--objective", "hit"), "metric:group"),
        (("--objective", "ua:forget"), "measures hit"),
        (("--protocol", "toy@9"), "toy@9"),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], said: str) -> None:
    base = [part for part in BASE if "--search" not in arguments or part not in ("--search", "strength=0.01:1")]
    result = tune(*base, *FRONT, *arguments)
    assert result.exit_code == 2 and said in result.stderr.replace("\n", " "), result.output
    assert not Path("runs").exists()


def test_a_folder_of_another_search_is_refused() -> None:
    assert tune(*BASE, *FRONT, "--trials", "1", "--out", "one").exit_code == 0
    result = tune(*BASE, *FRONT, "--trials", "1", "--out", "one", "--search-seed", "9")
    assert result.exit_code == 2 and "another search; what differs: seed" in result.stderr.replace("\n", " ")
    shutil.rmtree("one/settings")
    (Path("one") / "search.json").unlink()
    assert "something else" in tune(*BASE, *FRONT, "--trials", "1", "--out", "one").stderr


def test_whole_numbers_stay_whole_where_the_option_is_an_integer() -> None:
    from dataclasses import dataclass

    import optuna
    from vu_tune.space import as_text

    @dataclass(frozen=True, kw_only=True)
    class Options:
        rank: int = 4
        rate: float = 0.5
        form: str = "a"

    space = read_space(["rank=1:9", "rate=0:1", "form=a,b"], Options)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    chosen = {dimension.name: dimension.suggest(study.ask()) for dimension in space}
    assert isinstance(chosen["rank"], int) and isinstance(chosen["rate"], float) and chosen["form"] in ("a", "b")
    assert as_text({"rank": 3}) == "-o rank=3"
    with pytest.raises(ConfigError, match="searched twice"):
        read_space(["rank=1:9", "rank=2:3"], Options)
