"""What forgetting one concept does to another, from verdicts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from vu_core.heatmap import write_heatmap
from vu_core.interference import interference_of
from vu_core.types import Concept, Sample
from vu_core.verdicts import Verdict

CAT, DOG, FOX = (Concept(name=name) for name in ("cat", "dog", "fox"))
NOTO = Concept(name="noto", kind="style")
ALONE = Concept(name="alone", kind="place")


def plan(*concepts):
    samples = [Sample(id=c.name, prompt="", seed=0, attributes={c.kind: c.name}) for c in concepts]
    dataset = SimpleNamespace(concepts=lambda: [*concepts, Concept(name="unseen")])
    return SimpleNamespace(dataset=dataset, samples=samples, scorers={"object": None, "style": None, "clip": None})


def verdicts(after):
    """Two prompts of three pictures for each object; ``after`` says how many of the six are still right."""
    for name, right in after.items():
        for i in range(6):
            yield Verdict(
                sample=f"{name}-{i}",
                cluster=f"{name}-{i // 3}",
                attributes={"object": name, "style": "noto"},
                before={"object": name, "style": "noto"},
                after={"object": name if i < right else "other", "style": "noto"},
            )


def matrix(*runs):
    return interference_of(iter(runs), plan(CAT, DOG, FOX, NOTO))


def test_a_cell_is_the_change_of_the_measured_concepts_accuracy():
    found = matrix((CAT, {"dog"}, verdicts({"cat": 0, "dog": 3, "fox": 6}), "0"))
    assert (found.forget, found.measured) == ((CAT,), (CAT, DOG, FOX, NOTO))
    assert [found.cells[CAT, c].change for c in found.measured] == [-100, -50, 0, 0]
    dog = found.cells[CAT, DOG]
    assert (dog.before, dog.after, dog.n, dog.neighbour) == (100, 50, 6, True)
    assert dog.interval.low < -50 < dog.interval.high and not found.cells[CAT, FOX].neighbour
    assert found.cells[CAT, NOTO].n == 18


def test_what_was_forgotten_itself_is_no_damage():
    found = matrix(
        (CAT, set(), verdicts({"cat": 0, "dog": 5, "fox": 6}), "0"),
        (DOG, set(), verdicts({"cat": 2, "dog": 0, "fox": 6}), "0"),
    )
    assert [(c.forget.name, c.measured.name, round(c.change)) for c in found.hardest()] == [
        ("dog", "cat", -67),
        ("cat", "dog", -17),
    ]
    assert len(found.hardest(1)) == 1


def test_runs_of_several_seeds_make_one_row():
    found = matrix(
        (CAT, set(), verdicts({"cat": 0, "dog": 6}), "0"),
        (CAT, set(), verdicts({"cat": 0, "dog": 0}), "1"),
    )
    assert found.forget == (CAT,)
    assert (found.cells[CAT, DOG].change, found.cells[CAT, DOG].n) == (-50, 12)


def test_a_verdict_that_is_missing_is_left_out_and_no_success():
    broken = Verdict(sample="dog-9", cluster="dog-9", attributes={"object": "dog"}, before={"object": "dog"}, after={})
    found = matrix((CAT, set(), [*verdicts({"cat": 0, "dog": 6}), broken], "0"))
    assert found.cells[CAT, DOG].n == 6 and (CAT, FOX) not in found.cells


def test_pictures_of_other_words_are_no_pictures_of_the_concept():
    rows = list(verdicts({"cat": 0, "dog": 6}))
    other_words = [replace(row, sample=f"{row.sample}-kitty", synonym=True, after=row.before) for row in rows[:6]]
    found = matrix((CAT, set(), [*rows, *other_words], "0"))
    assert found.cells == matrix((CAT, set(), rows, "0")).cells and found.cells[CAT, CAT].n == 6


def test_as_json_it_has_a_matrix_a_number_and_the_worst_with_intervals():
    values = matrix((CAT, {"dog"}, verdicts({"cat": 0, "dog": 3}), "0")).as_dict()
    assert values["measured"] == ["cat", "dog", "fox", "noto"]
    assert values["change"] == [[-100, -50, None, 0]] and values["n"] == [[6, 6, None, 12]]
    (worst,) = values["hardest"]
    assert (worst["measured"], worst["neighbour"], worst["interval"]["level"]) == ("dog", True, 0.95)


@pytest.mark.parametrize("lost", [0, 3, 6])
def test_the_picture_shows_what_was_lost_in_red(tmp_path, lost):
    from PIL import Image

    found = matrix((CAT, set(), verdicts({"cat": 0, "dog": 6 - lost, "fox": 6}), "0"))
    write_heatmap(tmp_path / "matrix.png", found, "uce")
    with Image.open(tmp_path / "matrix.png") as picture:
        colours = {colour: count for count, colour in picture.convert("RGB").getcolors(1 << 24)}
    red = (178, 24, 43)
    assert colours[red] > 300 and (colours[red] > 900) == (lost == 6)
    assert (colours.get((216, 140, 149), 0) > 300) == (lost == 3)
