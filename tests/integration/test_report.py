"""``vu report``, ``vu compare`` and the pages that runs and benches leave, with vu-report and without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vu_core.testing import make_dist

RUN = ("run", "repaint", "--forget", "cat", "--device", "cpu", "--protocol", "toy-quick@1")
BENCH = ("bench", "toy-quick@1", "--unlearner", "repaint", "--device", "cpu", "--forget", "cat,dog", "--out", "bench")


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def reporting(install_fakes, tmp_path):
    """The toy plugin, and vu-report as it is installed."""
    pytest.importorskip("vu_report", reason="vu-report is not installed")
    install_fakes("toy", make_dist(tmp_path / "dist", "vu-report", {}))


def test_a_run_leaves_its_report_and_says_where(reporting, vu):
    result = vu(*RUN)
    assert result.exit_code == 0, result.output
    assert "report         runs/repaint-cat/report.html" in result.stdout
    html = Path("runs/repaint-cat/report.html").read_text()
    assert "<h1>On cat, hit went from 100.0 to 0.0" in html and html.count("data:image/webp") > 8
    assert json.loads(Path("runs/repaint-cat/record.json").read_text())["warnings"] == []


def test_a_bench_leaves_its_report_and_those_of_its_runs(reporting, vu):
    result = vu(*BENCH)
    assert result.exit_code == 0, result.output
    assert "report         bench/report.html" in result.stdout
    html = Path("bench/report.html").read_text()
    assert 'href="repaint/object-cat-seed0/report.html"' in html and 'class="matrix"' in html
    assert len(list(Path("bench").glob("*/*/report.html"))) == 2
    assert json.loads(Path("bench/bench.json").read_text())["warnings"] == []


def test_a_report_of_what_is_there_already(reporting, vu, monkeypatch):
    vu(*RUN)
    page = Path("runs/repaint-cat/report.html")
    page.unlink()
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    result = vu("report", "runs/repaint-cat", "--open")
    assert result.stdout == "runs/repaint-cat/report.html\n" and page.is_file()
    assert opened == [page.resolve().as_uri()]
    assert vu("report", "runs/repaint-cat", "--out", "elsewhere.html").exit_code == 0
    assert Path("elsewhere.html").is_file() and len(opened) == 1


def test_a_measurement_has_a_report_too(reporting, vu):
    vu(*RUN)
    result = vu("eval", "runs/repaint-cat", "--out", "measured", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "report         measured/report.html" in result.stdout
    page = Path("measured/report.html")
    written = page.read_text()
    assert "On cat, hit went from" in written
    page.unlink()
    assert vu("report", "measured").exit_code == 0
    assert page.read_text() == written


def test_a_measurement_whose_folder_goes_tells_nobody(reporting, vu, monkeypatch):
    import vu_report.writing

    vu(*RUN)
    written: list[Path] = []
    monkeypatch.setattr(vu_report.writing, "write", lambda folders, page: written.append(page))
    assert vu("eval", "runs/repaint-cat", "--device", "cpu").exit_code == 0
    assert written == []
    assert vu("eval", "runs/repaint-cat", "--device", "cpu", "--out", "measured").exit_code == 0
    assert written == [Path("measured/report.html")]


def test_a_classifier_is_held_against_retrained_models(install_fakes, tmp_path, vu):
    pytest.importorskip("vu_report", reason="vu-report is not installed")
    install_fakes("toy-classifier", make_dist(tmp_path / "dist", "vu-report", {}))
    classify = ("run", "blank", "--forget", "grey", "--device", "cpu")
    assert vu(*classify, "--out", "alone").exit_code == 0
    assert "no retrained model to hold that against" in Path("alone/report.html").read_text()
    for seed in range(3):
        vu("run", "retrain", "--forget", "grey", "--device", "cpu", "--seed", str(seed), "--out", f"retrained/{seed}")
    result = vu(*classify, "--retrained", "retrained", "--out", "held")
    assert result.exit_code == 0, result.output
    html = Path("held/report.html").read_text()
    assert 'Retrained<span class="sub">n = 3</span>' in html and "3 retrained models have" in html
    assert "data:image/webp" not in html and 'id="pictures"' not in html


def test_a_report_that_cannot_be_written_breaks_no_run(reporting, vu, monkeypatch):
    import vu_report.writing

    def fail(folders, page):
        raise MemoryError("too many pictures")

    monkeypatch.setattr(vu_report.writing, "write", fail)
    result = vu(*RUN)
    assert result.exit_code == 0, result.output
    assert json.loads(Path("runs/repaint-cat/record.json").read_text())["warnings"] == [
        "plugin vu-report failed in vu_run_finished: MemoryError: too many pictures"
    ]
    assert vu("eval", "runs/repaint-cat", "--device", "cpu", "--out", "measured").exit_code == 0
    assert json.loads(Path("measured/record.json").read_text())["warnings"] == [
        "plugin vu-report failed in vu_measurement_finished: MemoryError: too many pictures"
    ]
    assert vu(*BENCH).exit_code == 0
    assert (
        "plugin vu-report failed in vu_bench_finished: MemoryError: too many pictures"
        in json.loads(Path("bench/bench.json").read_text())["warnings"]
    )


def test_runs_side_by_side_on_the_screen_as_json_and_as_a_page(reporting, vu):
    vu(*RUN, "--out", "weak", "-o", "strength=0.1")
    vu(*RUN, "--out", "strong")
    result = vu("compare", "weak", "strong", "--out", "compare.html")
    assert result.exit_code == 0, result.output
    assert "measured on: forget" in result.stdout and "base model" in result.stdout
    assert "Outdone by no other run in hit on forget and hit on retain: weak" in result.stdout
    assert "<h1>Outdone by no other in hit on forget and hit on retain: weak.</h1>" in Path("compare.html").read_text()
    result = vu("compare", "weak", "strong", "--json", "--out", "compare.html")
    found = json.loads(result.stdout)
    assert result.stderr == "compare.html\n"
    # The toy's metric counts a hit as good, on what is forgotten too.
    assert found["front"]["runs"] == ["weak"] and found["differences"] == []
    assert [run["label"] for run in found["runs"]] == ["weak", "strong"]
    (hit,) = [row for row in found["results"] if (row["metric"], row["group"]) == ("hit", "forget")]
    assert [run["after"] for run in hit["runs"]] == found["front"]["axes"][0]["values"] == [100.0, 0.0]


def test_benches_side_by_side(reporting, vu):
    assert vu(*BENCH).exit_code == 0
    assert vu(*BENCH[:-1], "weak", "-o", "strength=0.1").exit_code == 0
    result = vu("compare", "bench", "weak", "--out", "compare.html")
    assert result.exit_code == 0, result.output
    assert "forgotten: object; measured on: retain" in result.stdout and "weak: repaint" in result.stdout
    assert "Outdone by no other unlearner in hit on forget and hit on retain: weak: repaint" in result.stdout
    html = Path("compare.html").read_text()
    assert (
        "2 benches side by side" in html and html.count("data:image/webp") > 4 and "Small marks are single runs" in html
    )
    found = json.loads(vu("compare", "bench", "weak", "--json").stdout)["kinds"]["object"]
    assert [run["label"] for run in found["runs"]] == ["bench: repaint", "weak: repaint"]
    result = vu("compare", "bench", "bench/repaint/object-cat-seed0")
    assert result.exit_code == 2 and "'bench' is a bench" in result.stderr


def test_without_a_plugin_that_writes_pages(install_fakes, vu):
    install_fakes("toy")
    vu(*RUN, "--out", "one")
    vu(*RUN, "--out", "two")
    assert vu("compare", "one", "two").exit_code == 0
    result = vu("compare", "one", "two", "--out", "compare.html")
    assert result.exit_code == 2 and "measured on: forget" in result.stdout
    assert "pip install vu-report" in result.stderr and not Path("compare.html").exists()
    result = vu("report", "one")
    assert result.exit_code == 2 and "a command of vu-report, which is not usable here" in result.stderr


def test_several_runs_need_a_place_for_their_page(reporting, vu):
    result = vu("report", "one", "two")
    assert result.exit_code == 2 and "--out compare.html" in result.stderr


@pytest.mark.parametrize("command", [("report", "nothing"), ("compare", "nothing", "else"), ("compare", "nothing")])
def test_bad_input_is_a_sentence(reporting, vu, command):
    result = vu(*command)
    assert result.exit_code == 2 and result.stderr.startswith("vu: ") and "Traceback" not in result.output
