"""``optimize predict``: a table of configurations in, the same table with predictions out.

Cells that are not understood make that row's ``error``, never a crash; a file that is no table at all is refused.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from optimizer.calibrate.evidence import is_served
from optimizer.calibrate.forward import Prediction, beyond_slots, predict_cases
from optimizer.calibrate.parse import parse_row
from optimizer.calibrate.rows import Case, RowError, case_of, degree_defects
from optimizer.calibrate.scores import OFFLINE, THROUGHPUT, TPOT, TTFT, TTFT_UNKNOWN
from optimizer.catalog import default_root
from optimizer.catalog.types import Catalog
from optimizer.documents.csv_file import read_open_table
from optimizer.errors import CatalogError, InputError, UsageError
from optimizer.performance import Parameters, grade_of, memory_bills
from optimizer.performance.bands import Bands, band_in, band_name, read_bands
from optimizer.performance.gates import run_refusals
from optimizer.performance.types import Band, Grade
from optimizer.workload import Lengths

NEEDED = ("gpu", "model", "input_tokens", "output_tokens")

OUTPUT = (
    "pred_ttft_ms_mean", "pred_ttft_ms_p50", "pred_ttft_ms_p95", "pred_ttft_ms_p99",
    "pred_tpot_ms_mean", "pred_tpot_ms_p50", "pred_tpot_ms_p95", "pred_tpot_ms_p99", "pred_output_tokens_per_s",
    "pred_ttft_lo", "pred_ttft_hi", "pred_tpot_lo", "pred_tpot_hi",
    "pred_output_tokens_per_s_lo", "pred_output_tokens_per_s_hi", "grade", "error",
)  # fmt: skip

_BEYOND_DOUBT = 1.5
"""Measured rows with a mislabelled precision reach 1.25 times the memory of their GPUs; those are still predicted."""


def read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Header and rows of a CSV file; raises UsageError where it is not one."""
    try:
        table = read_open_table(path)
    except CatalogError as error:
        raise UsageError(error.findings) from None
    header, problems = table.header, table.findings
    for position, name in enumerate(header):
        if name and name in header[:position]:
            table.error(f"column {name} appears twice", 1, position)
    for name in NEEDED:
        if name not in header:
            table.error(f"column {name} is missing", 1)
    if problems:
        raise UsageError(sorted(problems, key=lambda finding: finding.line or 0))
    rows = [cells for _, cells in table.lines if any(cell.strip() for cell in cells)]
    return list(header), [dict(zip(header, cells, strict=True)) for cells in rows]


def predict_table(
    header: Sequence[str],
    rows: Sequence[dict[str, str]],
    catalog: Catalog,
    params: Parameters,
    bands: Bands | None = None,
) -> tuple[str, int]:
    """The table with prediction columns as CSV text, and how many rows could not be predicted.

    ``bands``: the packaged ones if left out.
    """
    bands = read_bands(default_root()) if bands is None else bands
    cases: list[Case | None] = []
    errors: list[str] = []
    for cells in rows:
        try:
            cases.append(_case(cells, catalog))
            errors.append("")
        except InputError as error:
            cases.append(None)
            errors.append(" ".join(str(error).split()))
    for index, message in _impossible(cases):
        cases[index], errors[index] = None, message
    known = [case for case in cases if case is not None]
    predictions = iter(predict_cases(known, params) if known else ())
    beyond = iter(beyond_slots(known))
    kept = [name for name in header if name not in OUTPUT]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*kept, *OUTPUT], lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for cells, case, message in zip(rows, cases, errors, strict=True):
        predicted = _cells(case, next(predictions), (params, bands), beyond=next(beyond)) if case else {}
        writer.writerow({**cells, **predicted, "error": message})
    return text.getvalue(), sum(bool(error) for error in errors)


def _case(cells: Mapping[str, str], catalog: Catalog) -> Case:
    """The case of a row; raises InputError with what is wrong with it or cannot run."""
    case = case_of(parse_row(cells), catalog)
    stated = bool((cells.get("gpu_count") or "").strip())
    defects = list(degree_defects(case.row, case.spec.model, gpu_count_stated=stated))
    defects += [("gpu", reason) for reason in run_refusals(case.spec)]
    if defects:
        raise RowError(defects)
    return case


def _impossible(cases: Sequence[Case | None]) -> Iterator[tuple[int, str]]:
    """Rows whose weights exceed the memory of their GPUs so far that no mislabelled precision explains it."""
    places = [index for index, case in enumerate(cases) if case is not None]
    specs = [case.spec for case in cases if case is not None]
    bills = memory_bills(specs, Lengths(1, 1, 2)) if specs else []
    for index, spec, bill in zip(places, specs, bills, strict=True):
        memory = bill.usable / spec.gpu_memory_utilization
        if bill.weights > _BEYOND_DOUBT * memory:
            weights, room = f"{bill.weights / 1e9:,.0f} GB of weights", f"a GPU of {memory / 1e9:,.0f} GB"
            yield index, f"does not fit: {spec.model.id} in {spec.weight_quant} puts {weights} on {room}"


def case_grade(case: Case, params: Parameters) -> Grade:
    """Grade of a case: an engine the catalog does not know is C."""
    return Grade.C if case.unknown_engine else grade_of(case.spec, params)[0]


def _cells(case: Case, p: Prediction, known: tuple[Parameters, Bands], *, beyond: bool) -> dict[str, str]:
    params, bands = known
    grade, engine = case_grade(case, params), case.spec.engine.profile

    def limits(figure: str) -> Band:
        return band_in(bands, band_name(figure, beyond_slots=beyond), grade, engine)

    row, speed = case.row, p.output_tokens_per_s
    unknown = row.load == "closed_loop" and row.start == "unknown"
    ttft, tpot = limits(TTFT_UNKNOWN if unknown else TTFT), limits(TPOT)
    flow = limits(THROUGHPUT) if is_served(row) else band_in(bands, OFFLINE, grade, engine)
    values = (
        p.ttft_mean, p.ttft_p50, p.ttft_p95, p.ttft_p99, p.tpot_mean, p.tpot_p50, p.tpot_p95, p.tpot_p99, speed,
        p.ttft_mean * ttft.low, p.ttft_mean * ttft.high, p.tpot_mean * tpot.low, p.tpot_mean * tpot.high,
        speed * flow.low, speed * flow.high,
    )  # fmt: skip
    shown = ["" if math.isnan(value) else f"{value:.6g}" for value in values]
    return {**dict(zip(OUTPUT, shown, strict=False)), "grade": grade.value}
