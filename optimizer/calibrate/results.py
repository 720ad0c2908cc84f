"""Benchmark results that people have, as measured rows.

Understood: vLLM ``bench serve`` JSON, SGLang ``bench_serving`` JSON lines, what both print, GuideLLM JSON, genai-perf
and aiperf JSON, ``trtllm-bench`` reports, and CSV with our own columns. What a file does not say (card, engine,
parallelism, formats) comes from the command line, which also overrides what it says; nothing is taken for granted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from optimizer.calibrate.checkpoint_names import format_in, named
from optimizer.calibrate.parse import parse_row
from optimizer.calibrate.rows import Case, Row, RowError, case_of
from optimizer.calibrate.text_results import TextRecord, text_records
from optimizer.calibrate.tools import Cells, Result, results_of, why_unusable
from optimizer.catalog.types import Catalog
from optimizer.documents.csv_file import read_open_table
from optimizer.documents.json_file import JsonDocument, parse_json
from optimizer.documents.scalars import shown
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
    refusals: tuple[tuple[str, str], ...] = ()


def read_results(path: Path, given: Mapping[str, str]) -> list[Row]:
    """Rows of one results file; ``given`` overrides what the file says. All defects are reported at once."""
    model = given.get("model")
    return _all_of([path], given, lambda cells: parse_row({**cells, "model": model} if model else cells))


def read_cases(
    paths: Sequence[Path], given: Mapping[str, str], catalog: Catalog, *, accept_failures: bool = False
) -> list[Case]:
    """The runs of several files in the terms of the model. Raises ``UsageError`` with everything that is missing.

    ``accept_failures`` takes runs of which some requests failed, or that did not stream, all the same.
    """

    def understood(cells: Cells) -> Case:
        complete = _with_checkpoint(cells, given, catalog)
        try:
            row = parse_row(complete)
        except RowError as error:
            raise RowError([*_missing(complete, catalog), *error.defects]) from None
        missing = _missing(complete, catalog)
        if missing:
            raise RowError(missing)
        return case_of(row, catalog)

    return _all_of(paths, given, understood, refuse=not accept_failures)


_ASKED: Mapping[str, str] = {
    "gpu": "the card is not stated; name it with --gpu",
    "model": "the model is not stated; name it with --model",
    "engine": "the engine is not stated (the client speaks to any server); name it with --engine",
    "weight_quant": "the weight format is not stated; name it with --weight-quant",
    "tp": "the tensor parallel size is not stated; give it with --tp, 1 for one card",
}
"""What decides a prediction and that nobody may guess."""


def _missing(cells: Cells, catalog: Catalog) -> list[tuple[str, str]]:
    """What a run leaves open, and engines that nobody knows."""
    missing = [(name, question) for name, question in _ASKED.items() if not (cells.get(name) or "").strip()]
    engine = cells.get("engine", "")
    if engine and engine not in catalog.engines:
        known = ", ".join(sorted(catalog.engines))
        missing.append(("engine", f"unknown engine {shown(engine)}: one of {known}"))
    return missing


def _with_checkpoint(cells: Cells, given: Mapping[str, str], catalog: Catalog) -> Cells:
    """The catalog's model, and the weight format as far as it is stated: as such, or by the name of what was served.

    The id of a model stands for its weights as published. A name that says nothing leaves the format open, also where
    the command line tells which model it means.
    """
    served = cells.get("model") or given.get("model", "")
    names = [name for name in (given.get("model"), cells.get("model")) if name]
    known = [named(name, catalog) for name in names]
    model = next((one.model for one in known[:1] if one), names[0] if names else "")
    stated = (cells.get("weight_quant"), *(one.weight_quant for one in known if one), *map(format_in, names))
    quant = next((one for one in stated if one), "native" if named(served, catalog) else "")
    return {**cells, "model": model, "weight_quant": quant}


def _all_of(
    paths: Sequence[Path], given: Mapping[str, str], understood: Callable[[Cells], T], *, refuse: bool = False
) -> list[T]:
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
            refusals = one.refusals if refuse else ()
            findings += [replace(one.finding(cell, message), hint=_ANYHOW) for cell, message in refusals]
            try:
                found.append(understood({**one.cells, **{k: v for k, v in flags.items() if k != "model"}}))
            except RowError as error:
                findings += [_finding(one, flags, cell, message) for cell, message in error.defects]
    if findings:
        raise UsageError(tuple(dict.fromkeys(findings)))
    return found


_ANYHOW = "--accept-failures fits to it all the same"


def _finding(stated: _Stated, flags: Mapping[str, str], cell: str, message: str) -> Finding:
    """A defect of an option where the option is to blame, else of the file."""
    if cell in flags:
        return Finding(message, f"--{cell.replace('_', '-')} {flags[cell]}")
    return stated.finding(cell, message)


def _stated(path: Path) -> Iterator[_Stated]:
    """The runs of a file. Raises InputError where it holds none that can be read."""
    any_read = False
    for one in _rows_of_csv(path) if path.suffix.lower() == ".csv" else _runs_of_text(path):
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


def _runs_of_text(path: Path) -> Iterator[_Stated]:
    """The runs of a file that is JSON, JSON lines, or what a client printed."""
    raw = read_bytes(path, _KIND, MAX_BYTES)
    text = raw if isinstance(raw, Finding) else decode_mild(raw, str(path))
    if isinstance(text, Finding):
        raise UsageError([text])
    printed = text_records(text)
    return _runs_of_print(path, printed) if printed else _runs_of_json(path, text)


def _runs_of_print(path: Path, printed: Sequence[TextRecord]) -> Iterator[_Stated]:
    for record in printed:
        runs = results_of(record.values)
        if runs is None:
            raise UsageError([Finding("the table lacks its figures", str(path), record.first_line, 1)])
        for run in runs:

            def finding(cell: str, message: str, record: TextRecord = record, run: Result = run) -> Finding:
                line = record.lines.get(str(run.place(cell)[-1]), record.first_line)
                return Finding(message, str(path), line, 1)

            yield _Stated(run.cells, finding, run.refusals)


def _runs_of_json(path: Path, text: str) -> Iterator[_Stated]:
    for record in _records(path, text):
        items = record.value if isinstance(record.value, list) else [record.value]
        for index, item in enumerate(items):
            inside = (index,) if isinstance(record.value, list) else ()
            runs = results_of(item)
            if runs is None:
                why = why_unusable(item) or "is no benchmark result of a known kind"
                raise UsageError([record.finding(why, inside, _KNOWN)])
            for run in runs:

                def finding(
                    cell: str,
                    message: str,
                    record: JsonDocument = record,
                    inside: tuple[int, ...] = inside,
                    run: Result = run,
                ) -> Finding:
                    return record.finding(message, (*inside, *run.place(cell)))

                yield _Stated(run.cells, finding, run.refusals)


_KNOWN = "known: vLLM bench serve, SGLang bench_serving, GuideLLM, genai-perf, aiperf, trtllm-bench; or a .csv"


def _records(path: Path, text: str) -> list[JsonDocument]:
    """The document of a JSON file, or one for each line of a file of JSON lines."""
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
