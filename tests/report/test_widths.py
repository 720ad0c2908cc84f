"""Lines as wide as a terminal shows them."""

from __future__ import annotations

import textwrap

import pytest

from optimizer.report.layout import columns
from optimizer.report.widths import columns_of, padded, wrap

CHINESE = "每月 $4,957 可服务 Llama 的 100 个在途请求：1x B200（runpod，按需），NVFP4；是最便宜的（已证明）。"


@pytest.mark.parametrize("width", range(16, 90, 7))
def test_no_line_is_wider_and_nothing_is_lost(width: int) -> None:
    lines = wrap(CHINESE, width, "> ", "  ", break_words=True)
    assert max(map(columns_of, lines)) <= width
    assert "".join("".join(lines).split()).removeprefix(">") == "".join(CHINESE.split())


def test_marks_stay_with_the_word_before_them() -> None:
    for width in range(8, 60):
        for line in wrap(CHINESE, width)[1:]:
            assert line[0] not in "，。；：）"
        for line in wrap(CHINESE, width):
            assert not line.endswith("（")


def test_narrow_text_is_wrapped_as_ever() -> None:
    text = "One node gone stops it;  prices of half-empty sites hold. " * 4
    for width in (20, 44, 80):
        wanted = textwrap.wrap(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        assert wrap(text, width, hang="  ") == wanted


def test_a_wide_character_takes_two_columns() -> None:
    assert [columns_of(text) for text in ("", "ab", "中文", "中a")] == [0, 2, 4, 3]
    assert padded("中", 4) == "中  "
    assert padded("中", 4, ">") == "  中"
    rows = columns([("中文", "1"), ("ab", "10")], "<>")
    assert rows == ["  中文   1", "  ab    10"]


def test_a_row_that_may_not_fold_is_one_line() -> None:
    rows = [("x" * 60, "y" * 30), ("a", "b")]
    assert len(columns(rows, "<<")) > len(columns(rows, "<<", folds=False)) == len(rows)
