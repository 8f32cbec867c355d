from __future__ import annotations

import torch
from vu_uce.tokens import aligned_rows, last_content_index, preserved_rows

# Length 6; begin, content..., end, padding. Row i of prompt p is the number 10 p + i.
MASK = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]]).bool()
STATES = torch.tensor([[10.0 * p + i for i in range(6)] for p in range(3)])[:, :, None].expand(3, 6, 2)


def picked(prompts, rule):
    return aligned_rows(STATES[prompts], MASK[prompts], rule)[:, :, 0].tolist()


def test_the_last_content_token_is_the_one_before_the_end():
    assert last_content_index(MASK).tolist() == [1, 3, 0]


def test_a_text_without_content_or_begin_stands_at_its_first_row():
    assert last_content_index(torch.tensor([[1, 0, 0]]).bool()).tolist() == [0]


def test_last_picks_one_row_of_each_prompt():
    assert picked([0, 1], "last") == [[1.0], [13.0]]
    assert picked([0, 2], "last") == [[1.0], [20.0]]


def test_the_aligned_tail_starts_at_the_last_content_token_and_has_equal_length():
    assert picked([0, 1], "aligned-tail") == [[1.0, 2.0, 3.0], [13.0, 14.0, 15.0]]
    assert picked([0, 2], "aligned-tail") == [[1.0, 2.0, 3.0, 4.0, 5.0], [20.0, 21.0, 22.0, 23.0, 24.0]]


def test_preserved_are_the_last_content_row_or_all_rows():
    assert preserved_rows(STATES[1], MASK[1], "last")[:, 0].tolist() == [13.0]
    assert preserved_rows(STATES[1], MASK[1], "aligned-tail")[:, 0].tolist() == [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]
