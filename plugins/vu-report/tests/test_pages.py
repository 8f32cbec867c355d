"""The pages of runs, benches and comparisons: what they say, and that they are what a page must be."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from PIL import Image
from vu_report.writing import write
from vu_report_folders import HOSTILE, RESULTS, make_bench, make_run, result
from vu_report_html import check

from vu_core.errors import RunError
from vu_core.types import Interval


def page_of(*folders: Path, out: Path | None = None) -> tuple[str, object]:
    page = out or folders[0] / "report.html"
    write(folders, page)
    html = page.read_text(encoding="utf-8")
    return html, check(html)


def test_a_run_says_what_it_forgot_shows_it_and_how_to_repeat_it(run_folder):
    _, page = page_of(run_folder)
    assert page.text("h1") == "Forgot cat; kept the rest, within noise."
    text = page.text()
    for part in ("Of 40 pictures asked to show cat, 100.0 % are judged", "emoji-quick@1", "cd" * 32, "vu run -c"):
        assert part in text, part
    pictures = [image for image in page.all("img") if "id" not in image]
    assert [p["alt"] for p in pictures[:2]] == ["before: a cat, judged cat", "after: a cat, judged dog"]
    assert all(p["src"].startswith("data:image/webp;base64,") for p in pictures)
    assert 'pipe.load_lora_weights("' in page.text("code")


def test_every_number_of_the_table_stands_on_the_page(run_folder):
    _, page = page_of(run_folder)
    cells = page.text("tbody")
    for number in ("98.0 %", "99.0 %", "+1.0", "−2.0 to +3.0", "within noise", "170", "−50.0 to −30.0", "better"):
        assert number in cells, number
    assert "100 cos" in cells and "100.0 % 100 cos" not in cells


def test_hostile_names_are_text(tmp_path):
    folder = make_run(tmp_path / "run", forget=HOSTILE, names=(HOSTILE, "dog"), warnings=[HOSTILE], errors=[HOSTILE])
    html, page = page_of(folder)
    shown = " ".join(HOSTILE.split())
    assert HOSTILE not in html and shown in page.text("h1") and shown in page.text("li")
    assert any(HOSTILE in image["alt"] for image in page.all("img"))
    assert "49" not in page.text("h1"), "a template in a name was run"
    assert len(page.all("script")) == 1 and not any(image.get("src") == "x" for image in page.all("img"))


def test_hostile_names_in_benches_and_comparisons_are_text(tmp_path):
    bench = make_bench(tmp_path / "bench")
    text = json.loads((bench / "bench.json").read_text())
    text["warnings"], text["runs"][0]["error"], text["interference"]["uce"]["measured"][0] = [HOSTILE], HOSTILE, HOSTILE
    (bench / "bench.json").write_text(json.dumps(text))
    html, page = page_of(bench)
    assert HOSTILE not in html and page.text("li").count("<img src=x") == 1 and "<img src=x" in page.text("table")
    others = [make_run(tmp_path / name, forget=HOSTILE) for name in ("a$x_1$", "b<i>")]
    html, page = page_of(*others, out=tmp_path / "compare.html")
    assert "<i>" not in html and "b<i>" in page.text("table")


def test_curves_are_drawn_from_what_was_logged(run_folder):
    events = [{"step": i, "time": 0.0, "loss": 2.0 / (i + 1)} for i in range(8)]
    events.append({"step": 8, "loss": 0.5, "only once": 1.0})
    (run_folder / "events.jsonl").write_text("\n".join(map(json.dumps, events)) + '\n{"step": 9, "lo')
    _, page = page_of(run_folder)
    (plot,) = [image for image in page.all("img") if "svg" in (image.get("src") or "")]
    assert plot["alt"] == "Curves over steps: loss from 2 to 0.5."
    svg = base64.b64decode(plot["src"].partition(",")[2]).decode()
    assert "prefers-color-scheme:dark" in svg and "var(--c0)" in svg and "#010203" not in svg


def test_a_classifier_has_no_pictures_but_retrained_models(tmp_path):
    accuracy = result(
        "unlearning_accuracy", before=2.0, after=97.0, span=(90, 100), direction="reference", ideal=None,
        reference=95.0, reference_interval=Interval(low=92.0, high=98.0), reference_n=5, reference_noise=2.5, gap=2.0,
    )  # fmt: skip
    folder = make_run(tmp_path / "run", results=(accuracy,), pictures=False)
    _, page = page_of(folder)
    assert page.text("h1").startswith("Forgot cat as models do that never learned it")
    assert "Retrained" in page.text("thead") and "95.0 %" in page.text("tbody") and "+2.0" in page.text("tbody")
    assert [image for image in page.all("img") if "id" not in image] == []
    assert "Same prompt" not in page.text() and "vu sample" not in page.text()
    assert "Change" not in page.text("thead"), "the distance from retrained models takes its place"
    assert "Retrainedn = 5" in page.text("thead"), "said once, where it is the same in all rows"


def test_a_row_says_itself_how_many_models_it_is_held_against_where_that_differs(tmp_path):
    held = {"direction": "reference", "reference": 95.0, "gap": 2.0}
    rows = [result("unlearning_accuracy", reference_n=5, **held), result("agreement", reference_n=3, **held)]
    _, page = page_of(make_run(tmp_path / "run", results=rows, pictures=False))
    assert "n = 5" in page.text("tbody") and "n = 3" in page.text("tbody") and "n = 5" not in page.text("thead")


def test_a_table_that_is_stacked_on_a_phone_stays_a_table_for_a_screen_reader(run_folder):
    _, page = page_of(run_folder)
    assert [table["role"] for table in page.all("table") if "stack" in table["class"]] == ["table", "table"]
    stacked = [cell for cell in page.all("td") if "data-label" in cell]
    assert stacked and all(cell["role"] == "cell" and cell["data-label"] for cell in stacked)


def test_without_retrained_models_there_is_no_such_column(run_folder):
    _, page = page_of(run_folder)
    assert "Retrained" not in page.text("thead")


def test_a_measurement_without_an_edit(tmp_path):
    alone = [result("ira", "all", 98.0, None, None, before_interval=Interval(low=90.0, high=99.0))]
    folder = make_run(
        tmp_path / "run", results=alone, applied=[], edit=None, unlearner={}, request={"forget": [], "neighbours": []}
    )
    (folder / "pytorch_lora_weights.safetensors").unlink()
    for path in (folder / "images/after").iterdir():
        path.unlink()
    (folder / "images/after").rmdir()
    _, page = page_of(folder)
    assert page.text("h1") == "A model as it is: nothing was unlearned."
    assert (
        "98.0 %" in page.text("tbody") and "90.0 to 99.0" in page.text("tbody") and "Change" not in page.text("thead")
    )
    assert "No edit was made here" in page.text()


def test_pictures_may_be_missing_or_damaged(run_folder):
    (run_folder / "images/after/sample-0.png").unlink()
    (run_folder / "images/after/sample-1.png").write_bytes(b"no picture")
    _, page = page_of(run_folder)
    assert page.text("figure").count("no picture") == 2


def test_pictures_without_verdicts_are_shown_by_their_names(run_folder):
    (run_folder / "verdicts.jsonl").unlink()
    _, page = page_of(run_folder)
    assert "sample-2" in page.text("figcaption")


def test_five_hundred_pictures_stay_under_ten_megabytes(tmp_path):
    folder = make_run(tmp_path / "run", names=("cat",) * 100 + ("dog",) * 100 + ("car",) * 100, side=4)
    noise = Image.effect_noise((96, 96), 90).convert("RGB")
    noise.save(tmp_path / "noise.png")
    for path in (folder / "images").glob("*/*.png"):
        path.unlink()
        path.hardlink_to(tmp_path / "noise.png")
    html, page = page_of(folder)
    pictures = [image for image in page.all("img") if "id" not in image]
    assert len(pictures) == 502, "250 pairs, and one above"
    assert len(html.encode()) < 10_000_000
    assert "100 of 100" not in page.text() and "50 of 100 prompts" in page.text()


def test_a_bench_has_cards_fronts_matrices_pictures_and_links(tmp_path):
    bench = make_bench(tmp_path / "bench")
    (bench / "uce/object-cat-seed0/report.html").write_text("a report")
    _, page = page_of(bench)
    assert page.text("h1") == "In forgetting concepts of kind object, no other outdoes uce."
    links = [a["href"] for a in page.all("a") if not a["href"].startswith("#")]
    assert links == ["uce/object-cat-seed0/report.html"]
    plots = [image["alt"] for image in page.all("img") if "svg" in (image.get("src") or "")]
    assert len(plots) == 1 and "uce: ira on retain, % 97, ua_recognised on forget, % 100, on the front" in plots[0]
    classes = [cell.get("class", "") for cell in page.all("td")]
    assert sum("lost5 itself" in name for name in classes) == 4 and "lost2" in classes and "gained1" in classes
    assert any("neighbour" in c for c in classes)
    assert page.text("main").count("−100") >= 4
    assert "UCE" in page.text("td") and "98.4" in page.text("td")


def test_a_bench_whose_runs_all_failed(tmp_path):
    bench = make_bench(tmp_path / "bench", unlearners=("uce",))
    text = json.loads((bench / "bench.json").read_text())
    text |= {"table": [], "interference": {}, "status": "failed", "errors": ["uce cat: no memory"]}
    for run in text["runs"]:
        run |= {"status": "failed", "error": "no memory", "results": [], "edit": ""}
    (bench / "bench.json").write_text(json.dumps(text))
    _, page = page_of(bench)
    assert page.text("h1") == "Nothing was measured." and "no memory" in page.text("table")


def test_runs_side_by_side(tmp_path):
    weak = [r if r.metric != "ua_recognised" else result("ua_recognised", after=50.0) for r in RESULTS]
    folders = [make_run(tmp_path / "a" / "cat"), make_run(tmp_path / "b" / "cat", results=weak)]
    _, page = page_of(*folders, out=tmp_path / "compare.html")
    assert page.text("h1") == "Outdone by no other in ua_recognised on forget and ira on retain: a."
    figures = page.text("figure")
    assert figures.count("before") >= 3 and " a " in figures and " b " in figures
    assert "no picture" not in figures
    labels = [image["alt"] for image in page.all("img") if (image.get("alt") or "").startswith("b: a cat")]
    assert labels == ["b: a cat, judged dog"]


def test_benches_side_by_side(tmp_path):
    folders = [make_bench(tmp_path / name, unlearners=(name,)) for name in ("uce", "ablate")]
    _, page = page_of(*folders, out=tmp_path / "compare.html")
    assert page.text("h1") == "In forgetting concepts of kind object, no other outdoes uce."
    assert "Forgotten: object; measured on: retain" in page.text("caption")
    (plot,) = [image["alt"] for image in page.all("img") if "svg" in (image.get("src") or "")]
    assert "uce: ira on retain, % 97, ua_recognised on forget, % 100, on the front" in plot
    assert "Small marks are single runs." in page.text("figcaption")
    alts = [image["alt"] for image in page.all("img") if (image.get("alt") or "").startswith(("uce: ", "ablate: "))]
    assert alts == [
        "uce: a cat, judged dog",
        "ablate: a cat, judged dog",
        "uce: a dog, judged dog",
        "ablate: a dog, judged dog",
    ]
    assert "2 runs" in page.text("li") and "2 forgotten of kind object" in page.text("li")


def test_pictures_of_other_prompts_are_not_set_side_by_side(tmp_path):
    folders = [make_run(tmp_path / "a", names=("cat", "dog")), make_run(tmp_path / "b", names=("cat", "car"))]
    _, page = page_of(*folders, out=tmp_path / "compare.html")
    alts = [image["alt"] for image in page.all("img") if (image.get("alt") or "").startswith("b: ")]
    assert alts == ["b: a cat, judged dog"] and page.text("figure").count("no picture") == 1


@pytest.mark.parametrize("name", ["record.json", "bench.json"])
def test_a_folder_that_holds_nothing_of_the_kind_is_refused(tmp_path, name):
    with pytest.raises(RunError, match="cannot be read"):
        write([tmp_path], tmp_path / "report.html")
    (tmp_path / name).write_text("{")
    with pytest.raises(RunError, match="no readable"):
        write([tmp_path], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
