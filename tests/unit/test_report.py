"""Which concepts a contact sheet shows."""

from __future__ import annotations

from types import SimpleNamespace

from vu_core.editfiles import LORA_FILE
from vu_core.report import _row_concepts, loading_lines
from vu_core.types import Concept, Request, Sample

CONCEPTS = [Concept(name=f"thing{number:02d}") for number in range(30)]


def rows(drawn):
    samples = [Sample(id=name, prompt=name, seed=0, attributes={"object": name}) for name in drawn]
    plan = SimpleNamespace(
        request=Request(forget=(CONCEPTS[3],)),
        neighbours=(CONCEPTS[9], CONCEPTS[4]),
        dataset=SimpleNamespace(concepts=lambda: CONCEPTS),
        protocol=SimpleNamespace(kinds=("object",)),
        samples=samples,
    )
    return [concept.name for concept in _row_concepts(plan)]


def test_the_forgotten_come_first_then_neighbours_then_others_up_to_eight():
    found = rows([concept.name for concept in CONCEPTS])
    assert found == ["thing03", "thing09", "thing04", "thing29", "thing28", "thing27", "thing26", "thing25"]


def test_a_concept_that_is_not_drawn_takes_no_row():
    assert rows(["thing00", "thing03", "thing04", "thing12"]) == ["thing03", "thing04", "thing12", "thing00"]


def test_plain_diffusers_loads_the_lora_of_a_run(tmp_path):
    source = r"C:\models\new"
    assert loading_lines(tmp_path, source) == [], "there is no LoRA"
    (tmp_path / LORA_FILE).touch()
    _, model, edit = loading_lines(tmp_path, source)
    assert model == r'pipe = DiffusionPipeline.from_pretrained("C:\\models\\new")'
    assert edit == f'pipe.load_lora_weights("{tmp_path}")'
