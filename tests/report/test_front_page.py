"""The head of the README: one real answer, as it is printed now, and a picture of the same figures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from optimizer.plan.types import Outcome
from optimizer.report import render

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tools.first_picture import PICTURE, drawn, rows_in  # noqa: E402
from tools.first_screen import BLOCK, PAGES, PROBLEM, SENTENCE, sentence_of  # noqa: E402


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_what_is_printed_now(name: str, solved: Callable[..., Outcome]) -> None:
    """``python tools/first_screen.py`` writes it."""
    page = (ROOT / name).read_text(encoding="utf-8")
    block = BLOCK.search(page)
    assert block is not None
    printed = render(solved("chatbot_100users"), "screen", file=PROBLEM)
    assert block[0] == block[1] + printed + block[2]


def test_the_readme_opens_with_the_answer_and_its_picture() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    sentence, block = SENTENCE.search(page), BLOCK.search(page)
    assert sentence is not None and block is not None
    shown = block[0][len(block[1]) : -len(block[2])]
    assert sentence[0] == sentence[1] + sentence_of(shown) + sentence[2]
    assert sentence.start() < page.index(PICTURE.relative_to(ROOT).as_posix()) < page.index("## Start")


def test_the_picture_shows_the_rows_of_the_table() -> None:
    """``python -m tools.first_picture`` draws it."""
    rows = rows_in((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(rows) >= 4
    picture = PICTURE.read_text(encoding="utf-8")
    for row in rows:
        assert f"${row.money:,}, {row.pace_ms} ms a token, grade {row.grade}" in picture
        assert row.label.split("\n")[0] in picture
    assert drawn(rows) == drawn(rows)
