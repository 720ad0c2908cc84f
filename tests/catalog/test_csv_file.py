"""Strict CSV: where every defect is, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.errors import CatalogError
from optimizer.files.csv_file import CsvRow, CsvTable, read_table
from optimizer.files.text_file import did_you_mean, suggest


def _write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "file.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty: a header line is needed"),
        ("id,watts,watts\n", "file.csv:1:10: column 'watts' stands twice"),
        ("id,wats\n", "file.csv:1:4: unknown column 'wats'"),
        ("id,wats\n", "did you mean watts?"),
        ("watts\n", "column id is missing"),
        (b"id,watts\na,\x00\n", "file.csv:2:3: holds NUL bytes"),
        (b"id,watts\na,\xff\n", "file.csv:2:3: not UTF-8"),
        ('id,watts\na,"1\nb,2\nc,3\n', "file.csv:2:1: not valid CSV"),
        ("id;watts\n", "separate the cells by commas"),
        ("id,watts\na,\x1b[31m\n", "file.csv:2:3: contains the control character U+001B"),
        ('id,watts\na,"1"x\n', "file.csv:2:1: not valid CSV"),
    ],
)
def test_unreadable_files_are_refused(content: str | bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as error:
        read_table(_write(tmp_path, content), ("id", "watts"))
    assert says in str(error.value)


def test_missing_file_and_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no such file"):
        read_table(tmp_path / "absent.csv", ("id",))
    with pytest.raises(CatalogError, match="not a file"):
        read_table(tmp_path, ("id",))


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.files.csv_file.MAX_BYTES", 4)
    with pytest.raises(CatalogError, match="larger than"):
        read_table(_write(tmp_path, "id,watts\n"), ("id", "watts"))


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    table = read_table(_write(tmp_path, b"\xef\xbb\xbfid,watts\r\na,1\r\n"), ("id", "watts"))
    assert [row.number("watts") for row in table] == [1.0]


def test_lines_count_through_quoted_line_breaks_and_blank_lines(tmp_path: Path) -> None:
    table = read_table(_write(tmp_path, 'id,watts\n"a\nb",1\n\nc,2\nd\n'), ("id", "watts"))
    assert [row.line for row in table] == [2, 5]
    assert str(table.findings[0]).endswith(
        "file.csv:6:1: 1 cells where the header has 2\n    quote text that holds a comma"
    )


def _row(tmp_path: Path, cell: str) -> tuple[CsvTable, CsvRow]:
    table = read_table(_write(tmp_path, f'id,cell\na,"{cell}"\n'), ("id", "cell"))
    return table, next(iter(table))


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "1_000", "0x10", "abc", "1,5", " 1", "１２", "1e999", "-1", ""])
def test_what_is_no_finite_number_from_zero_on_is_refused(cell: str, tmp_path: Path) -> None:
    table, row = _row(tmp_path, cell)
    row.number("cell")
    assert len(table.findings) == 1
    assert (table.findings[0].line, table.findings[0].file) == (2, str(tmp_path / "file.csv"))


@pytest.mark.parametrize("cell", ["0", "0.0", "-0", "0e5"])
def test_zero_is_refused_where_a_figure_must_be_positive(cell: str, tmp_path: Path) -> None:
    table, row = _row(tmp_path, cell)
    row.positive("cell")
    assert "must be above 0" in table.findings[0].message


@pytest.mark.parametrize("cell", ["1.5", "1e3", "x", "", "99999999999999999999", "-3"])
def test_what_is_no_whole_number_is_refused(cell: str, tmp_path: Path) -> None:
    table, row = _row(tmp_path, cell)
    row.integer("cell")
    assert len(table.findings) == 1


@pytest.mark.parametrize("cell", ["2026-13-01", "2026-02-30", "03/08/2026", "2026-8-3", "today", "２０２６-01-01"])
def test_what_is_no_day_is_refused(cell: str, tmp_path: Path) -> None:
    table, row = _row(tmp_path, cell)
    assert row.day("cell") is None
    assert "is not a day" in table.findings[0].message


def test_words_flags_lists_and_choices(tmp_path: Path) -> None:
    table, row = _row(tmp_path, "maybe")
    row.flag("cell")
    row.integers("cell")
    row.words("cell", ("yes",))
    row.choice("cell", {"may be": 1})
    assert len(table.findings) == 4
    assert "did you mean may be?" in str(table.findings[3])


def test_good_cells_leave_no_finding(tmp_path: Path) -> None:
    table, row = _row(tmp_path, "12")
    assert (row.number("cell"), row.integer("cell"), row.integers("cell"), row.text("id")) == (12.0, 12, (12,), "a")
    assert (row.number_or_none("absent"), row.integer_or_none("absent"), row.day("absent")) == (None, None, None)
    assert table.findings == []


def test_reading_stops_after_two_hundred_findings(tmp_path: Path) -> None:
    table = read_table(_write(tmp_path, "id,cell\n" + "a,x\n" * 1000), ("id", "cell"))
    for row in table:
        row.number("cell")
    assert len(table.findings) == 200


@pytest.mark.parametrize(
    ("line", "place"),
    [("a,x", (2, 3)), ('"a,b",x', (2, 7)), ('"a""b",x', (2, 8)), ('"a\nb",x', (3, 4)), ("é😀,x", (2, 4))],
)
def test_a_wrong_cell_is_named_by_line_and_column(line: str, place: tuple[int, int], tmp_path: Path) -> None:
    table = read_table(_write(tmp_path, f"id,cell\n{line}\n"), ("id", "cell"))
    next(iter(table)).number("cell")
    assert [(finding.line, finding.column) for finding in table.findings] == [place]


def test_suggestions_are_near_and_in_order() -> None:
    known = ("Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "meta-llama/Llama-3.1-70B-Instruct")
    assert suggest("qwen3-8b", known)[0] == "Qwen/Qwen3-8B"
    assert suggest("Llama-3.1-70B-Instruct", known) == ("meta-llama/Llama-3.1-70B-Instruct",)
    assert suggest("llama", known) == ("meta-llama/Llama-3.1-70B-Instruct",)
    assert did_you_mean("zzz", known) is None
    assert did_you_mean("Qwen3-8", known) == "did you mean Qwen/Qwen3-8B or Qwen/Qwen3-32B?"
