"""Benchmark results that people have, as measured rows.

Understood: vLLM ``bench serve`` JSON, SGLang ``bench_serving`` JSON lines, GuideLLM JSON, genai-perf and aiperf JSON,
and CSV with our own columns. What a file does not say (card, parallelism, formats) comes from the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from optimizer.calibrate.parse import parse_row
from optimizer.calibrate.rows import Case, Row, RowError, case_of
from optimizer.calibrate.tools import Cells, Result, results_of
from optimizer.catalog.types import Catalog
from optimizer.documents.csv_file import read_open_table
from optimizer.documents.json_file import JsonDocument, parse_json
from optimizer.documents.text_file import decode_mild, read_bytes
from optimizer.errors import Finding, InputError, UsageError

T = TypeVar("T")

MAX_BYTES = 256 * 1024 * 1024
"""Largest file read: results may hold every single request."""

_KIND = "benchmark result"


@dataclass(frozen=True, slots=True)
class _Stated:
    """One run as its file states it, and where each of its cells stands."""

    cells: Cells
    finding: Callable[[str, str], Finding]  # (cell, message)


def read_results(path: Path, given: Mapping[str, str]) -> list[Row]:
    """Rows of one results file; ``given`` fills what the file leaves open. All defects are reported at once."""
    return _all_of([path], given, lambda row: row)


def read_cases(paths: Sequence[Path], given: Mapping[str, str], catalog: Catalog) -> list[Case]:
    """The runs of several files in the terms of the model; a model that is given replaces what the files call it."""
    model = given.get("model")
    return _all_of(paths, given, lambda row: case_of(replace(row, model=model) if model else row, catalog))


def _all_of(paths: Sequence[Path], given: Mapping[str, str], understood: Callable[[Row], T]) -> list[T]:
    """Every run of every file; or everything that is wrong with them."""
    flags = {key: value for key, value in given.items() if value}
    found: list[T] = []
    findings: list[Finding] = []
    for path in paths:
        try:
            stated = list(_stated(path))
        except InputError as error:
            findings += error.findings
            continue
        for one in stated:
            try:
                found.append(understood(parse_row({**flags, **one.cells})))
            except RowError as error:
                findings += [_finding(one, flags, cell, message) for cell, message in error.defects]
    if findings:
        raise UsageError(tuple(dict.fromkeys(findings)))
    return found


def _finding(stated: _Stated, flags: Mapping[str, str], cell: str, message: str) -> Finding:
    """A defect of an option where the option is to blame, else of the file."""
    if cell in flags and (cell == "model" or cell not in stated.cells):
        return Finding(message, f"--{cell.replace('_', '-')} {flags[cell]}")
    return stated.finding(cell, message)


def _stated(path: Path) -> Iterator[_Stated]:
    """The runs of a file. Raises InputError where it holds none that can be read."""
    any_read = False
    for one in _rows_of_csv(path) if path.suffix.lower() == ".csv" else _runs_of_json(path):
        any_read = True
        yield one
    if not any_read:
        raise UsageError([Finding("holds no benchmark result", str(path), 1, 1)])


def _rows_of_csv(path: Path) -> Iterator[_Stated]:
    table = read_open_table(path)
    if table.findings:
        raise UsageError(table.findings)
    for line, cells in table.lines:
        named = {name: cells[at] for name, at in table.index.items() if name and cells[at]}

        def finding(cell: str, message: str, line: int = line) -> Finding:
            place = table.place(line, table.index.get(cell, 0))
            return Finding(message, str(path), *place)

        if named:
            yield _Stated(named, finding)


def _runs_of_json(path: Path) -> Iterator[_Stated]:
    for record in _records(path):
        items = record.value if isinstance(record.value, list) else [record.value]
        for index, item in enumerate(items):
            inside = (index,) if isinstance(record.value, list) else ()
            runs = results_of(item)
            if runs is None:
                hint = "known: vLLM bench serve, SGLang bench_serving, GuideLLM, genai-perf, aiperf; or a .csv"
                raise UsageError([record.finding("is no benchmark result of a known kind", inside, hint)])
            for run in runs:

                def finding(
                    cell: str,
                    message: str,
                    record: JsonDocument = record,
                    inside: tuple[int, ...] = inside,
                    run: Result = run,
                ) -> Finding:
                    return record.finding(message, (*inside, *run.place(cell)))

                yield _Stated(run.cells, finding)


def _records(path: Path) -> list[JsonDocument]:
    """The document of a JSON file, or one for each line of a file of JSON lines."""
    raw = read_bytes(path, _KIND, MAX_BYTES)
    text = raw if isinstance(raw, Finding) else decode_mild(raw, str(path))
    if isinstance(text, Finding):
        raise UsageError([text])
    whole = parse_json(text, str(path), strict=False)
    if isinstance(whole, JsonDocument):
        return [whole]
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    parsed = [parse_json(line, str(path), number, strict=False) for number, line in lines]
    documents = [one for one in parsed if isinstance(one, JsonDocument)]
    findings = [one for one in parsed if isinstance(one, Finding)]
    if not documents:
        raise UsageError([whole])  # no line is a record: it was meant as one document
    if findings:
        raise UsageError(findings)
    return documents
