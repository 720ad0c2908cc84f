"""Errors of held-out predictions, summed up by GPU, family, engine, precision and load.

``optimize predict``: a table of configurations in, the same table with predictions out.

Cells that are not understood make that row's ``error``, never a crash; a file that is no table at all is refused.

Tables of scores as text and Markdown.

The packaged measurements as cases, with what each row is worth and why.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optimizer.calibrate.benchmark_results import parse_row
from optimizer.calibrate.forward import MedianEstimate, beyond_slots, predict_cases
from optimizer.calibrate.pool_rows import PoolCase, describes_pools, pool_case, predict_pools
from optimizer.calibrate.rows import MeasuredRow, RowCase, RowError, case_of, degree_defects
from optimizer.catalog import default_root
from optimizer.catalog.types import Catalog
from optimizer.demand import Lengths
from optimizer.errors import CatalogError, InputError, UsageError
from optimizer.files.csv_file import read_open_table
from optimizer.performance import band_source, grade_of, memory_bills
from optimizer.performance.accuracy import Bands, band_in, band_name, model_line, read_bands, usual_source
from optimizer.performance.compatibility import run_refusals
from optimizer.performance.degrees import degree_refusals
from optimizer.performance.parameters import Parameters
from optimizer.performance.types import Band, Grade, ReplicaSpec

TPOT, TTFT, TTFT_UNKNOWN, THROUGHPUT, OFFLINE = "tpot", "ttft", "ttft_unknown_start", "throughput", "offline"
TTFT_P99, TPOT_P99 = "ttft_p99", "tpot_p99"
METRICS = (TPOT, TTFT, TTFT_UNKNOWN, THROUGHPUT, OFFLINE, TTFT_P99, TPOT_P99)


@dataclass(frozen=True, slots=True)
class Error:
    """One predicted figure beside its measurement; ``log`` is ln(predicted / measured)."""

    case: RowCase
    metric: str
    predicted: float
    measured: float
    grade: Grade
    beyond_slots: bool = False  # more requests offered than the replica takes at once
    covered: bool | None = None  # whether the truth lies inside the 90 % band
    source: str = ""  # whose band it has (``usual_source``); blank: that of all engines
    unseen: str = "fold"  # what the fit behind the prediction did not see: its fold, source, gpu, family or engine

    @property
    def engine(self) -> str:
        """Profile of the engine."""
        return self.case.spec.engine.profile

    @property
    def band(self) -> str:
        """Name of the band that the figure has."""
        return band_name(self.metric, beyond_slots=self.beyond_slots)

    @property
    def log(self) -> float:
        """ln(predicted / measured)."""
        return math.log(self.predicted / self.measured)


@dataclass(frozen=True, slots=True)
class Score:
    """Summary of some errors, in percent of the measurement."""

    key: str
    metric: str
    rows: int
    groups: int
    median_error: float
    mean_error: float
    bias: float  # signed median
    coverage: float  # percent of truths inside the 90 % band; nan without bands


def pairs_of(case: RowCase, p: MedianEstimate) -> Iterable[tuple[str, float, float]]:
    """(metric, predicted, measured) of everything a row states: means, else medians; p99 apart."""
    row = case.row
    if is_served(row):
        yield TPOT, *((p.tpot_mean, row.tpot_ms_mean) if row.tpot_by_mean else (p.tpot_p50, row.tpot_ms_p50))
        metric = TTFT_UNKNOWN if row.start == "unknown" else TTFT
        yield metric, *((p.ttft_mean, row.ttft_ms_mean) if row.ttft_by_mean else (p.ttft_p50, row.ttft_ms_p50))
        if not row.stalled:
            yield TTFT_P99, p.ttft_p99, row.ttft_ms_p99
        yield TPOT_P99, p.tpot_p99, row.tpot_ms_p99
        yield THROUGHPUT, *throughputs(case, p)
    elif row.load == "offline":
        yield OFFLINE, p.output_tokens_per_s, row.output_tokens_per_s


def throughputs(case: RowCase, p: MedianEstimate) -> tuple[float, float]:
    """Predicted and measured output tokens per second, of like kind.

    Where a row states it: tokens over the run's duration, ramp and tail included. Else, and where a stall is in that
    duration, both are concurrency x output / (TTFT + TPOT (output - 1)), the rate while all slots are taken.
    """
    row = case.row
    if row.output_tokens_per_s > 0 and not row.stalled:
        return p.output_tokens_per_s, row.output_tokens_per_s

    def rate(ttft_ms: float, tpot_ms: float) -> float:
        return row.concurrency * row.output_tokens / (1e-3 * (ttft_ms + tpot_ms * (row.output_tokens - 1.0)))

    if row.stalled and row.tpot_ms_p50 > 0:
        return rate(p.ttft_p50, p.tpot_p50), rate(row.ttft_ms_p50, row.tpot_ms_p50)
    if row.load != "closed_loop" or not (row.ttft_ms_mean > 0 and row.tpot_ms_mean > 0):
        return math.nan, math.nan
    return rate(p.ttft_mean, p.tpot_mean), rate(row.ttft_ms_mean, row.tpot_ms_mean)


def errors_of(
    cases: Sequence[RowCase], predictions: Sequence[MedianEstimate], grades: Sequence[Grade], params: Parameters
) -> list[Error]:
    """Every figure that is both measured and predicted."""
    return [
        Error(case, metric, predicted, measured, grade, beyond, source=usual_source(case.spec, params))
        for case, prediction, grade, beyond in zip(cases, predictions, grades, beyond_slots(cases), strict=True)
        for metric, predicted, measured in pairs_of(case, prediction)
        if predicted > 0 and measured > 0 and math.isfinite(predicted)
    ]


def summarise(errors: Iterable[Error], key: Callable[[Error], str]) -> list[Score]:
    """Scores per key and metric, in the order of keys."""
    found: dict[tuple[str, str], list[Error]] = {}
    for error in errors:
        found.setdefault((key(error), error.metric), []).append(error)
    order = {metric: position for position, metric in enumerate(METRICS)}
    return [_score(*at, found[at]) for at in sorted(found, key=lambda at: (order[at[1]], at[0]))]


def _score(key: str, metric: str, errors: Sequence[Error]) -> Score:
    logs = np.array([error.log for error in errors])
    sizes = np.abs(np.expm1(logs)) * 100
    covered = [error.covered for error in errors if error.covered is not None]
    return Score(
        key=key,
        metric=metric,
        rows=len(errors),
        groups=len({error.case.row.group for error in errors}),
        median_error=float(np.median(sizes)),
        mean_error=float(np.mean(sizes)),
        bias=float(np.expm1(np.median(logs)) * 100),
        coverage=100.0 * sum(covered) / len(covered) if covered else math.nan,
    )


def rank_correlation(errors: Iterable[Error], least: int = 5) -> tuple[float, int]:
    """Median Spearman correlation of predicted and measured throughput over grids that differ in GPU, TP or precision.

    A grid is one source, engine release, model, load and pair of lengths; returns the median and how many grids have
    ``least`` rows.
    """
    grids: dict[tuple[str | float, ...], list[Error]] = {}
    for error in errors:
        if error.metric in (THROUGHPUT, OFFLINE):
            row = error.case.row
            release = (row.source, row.engine, row.engine_version, row.load)
            grids.setdefault((*release, row.model, row.input_tokens, row.output_tokens), []).append(error)
    found = []
    for grid in grids.values():
        configurations = {(e.case.row.gpu, e.case.row.tp, e.case.spec.weight_quant) for e in grid}
        if len(grid) >= least and len(configurations) > 1:
            found.append(_spearman([e.predicted for e in grid], [e.measured for e in grid]))
    return (float(np.median(found)), len(found)) if found else (math.nan, 0)


def _spearman(first: Sequence[float], second: Sequence[float]) -> float:
    ranks = [np.argsort(np.argsort(values)).astype(float) for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


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
    cases: list[RowCase | PoolCase | None] = []
    errors: list[str] = []
    for cells in rows:
        try:
            cases.append(pool_case(cells, catalog) if describes_pools(cells) else _case(cells, catalog))
            errors.append("")
        except InputError as error:
            cases.append(None)
            errors.append(" ".join(str(error).split()))
    for index, message in _impossible(cases):
        cases[index], errors[index] = None, message
    known = [case for case in cases if isinstance(case, RowCase)]
    predictions = iter(predict_cases(known, params) if known else ())
    beyond = iter(beyond_slots(known))
    kept = [name for name in header if name not in OUTPUT]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*kept, *OUTPUT], lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for cells, case, message in zip(rows, cases, errors, strict=True):
        predicted: dict[str, str] = {}
        if isinstance(case, PoolCase):
            predicted = _pool_cells(case, predict_pools(case, params), (params, bands))
        elif case:
            predicted = _cells(case, next(predictions), (params, bands), beyond=next(beyond))
        writer.writerow({**cells, **predicted, "error": message})
    return text.getvalue(), sum(bool(error) for error in errors)


def _case(cells: Mapping[str, str], catalog: Catalog) -> RowCase:
    """The case of a row; raises InputError with what is wrong with it or cannot run."""
    case = case_of(parse_row(cells), catalog)
    stated = bool((cells.get("gpu_count") or "").strip())
    defects = list(degree_defects(case.row, case.spec.model, gpu_count_stated=stated))
    defects += [found for found in degree_refusals(case.spec) if found not in defects]
    defects += [("gpu", reason) for reason in run_refusals(case.spec)]
    if defects:
        raise RowError(defects)
    return case


def _impossible(cases: Sequence[RowCase | PoolCase | None]) -> Iterator[tuple[int, str]]:
    """Rows whose weights exceed the memory of their GPUs so far that no mislabelled precision explains it."""
    asked = [(index, spec) for index, case in enumerate(cases) for spec in _specs(case)]
    bills = memory_bills([spec for _, spec in asked], Lengths(1, 1, 2)) if asked else []
    for (index, spec), bill in zip(asked, bills, strict=True):
        memory = bill.usable / spec.gpu_memory_utilization
        if bill.weights > _BEYOND_DOUBT * memory:
            weights, room = f"{bill.weights / 1e9:,.0f} GB of weights", f"a GPU of {memory / 1e9:,.0f} GB"
            yield index, f"does not fit: {spec.model.id} in {spec.weight_quant} puts {weights} on {room}"


def _specs(case: RowCase | PoolCase | None) -> tuple[ReplicaSpec, ...]:
    if isinstance(case, PoolCase):
        return (case.prefill, case.decode)
    return (case.spec,) if case else ()


def case_grade(case: RowCase, params: Parameters) -> Grade:
    """Grade of a case: an engine the catalog does not know is C."""
    if case.unknown_engine:
        return Grade.C
    return grade_of(case.spec, params)[0]


def _cells(case: RowCase, p: MedianEstimate, known: tuple[Parameters, Bands], *, beyond: bool) -> dict[str, str]:
    params, bands = known
    grade = case_grade(case, params)
    engine = (usual_source if case.unknown_engine else band_source)(case.spec, params)

    def limits(figure: str) -> Band:
        return band_in(bands, band_name(figure, beyond_slots=beyond), grade, engine)

    row = case.row
    unknown = row.load == "closed_loop" and row.start == "unknown"
    flow = limits(THROUGHPUT) if is_served(row) else band_in(bands, OFFLINE, grade, engine)
    return _written(p, limits(TTFT_UNKNOWN if unknown else TTFT), limits(TPOT), flow, grade)


def _pool_cells(case: PoolCase, p: MedianEstimate, known: tuple[Parameters, Bands]) -> dict[str, str]:
    """Pools have bands of their own; beyond the slots of the decode pool a first token waits as long as the run lasts,
    which is what the bands of replicas beyond their slots say."""
    params, bands = known
    grade = pool_grade(case, params)
    ttft, tpot, flow = (band_in(bands, pools_band(figure), grade, "") for figure in (TTFT, TPOT, THROUGHPUT))
    if case.beyond_slots:
        ttft, flow = (band_in(bands, band_name(figure, beyond_slots=True), grade, "") for figure in (TTFT, THROUGHPUT))
    return _written(p, ttft, tpot, flow, grade)


def pools_band(figure: str) -> str:
    """Name of the band of a figure of disaggregated serving."""
    return f"{figure}_pools"


def pool_grade(case: PoolCase, params: Parameters) -> Grade:
    """The worse grade of both pools; an engine the catalog does not know is C. Layouts count that were measured as
    pools."""
    grades = [grade_of(spec, params.of_pools)[0] for spec in (case.prefill, case.decode)]
    return Grade.C if case.unknown_engine else max(grades)


def _written(p: MedianEstimate, ttft: Band, tpot: Band, flow: Band, grade: Grade) -> dict[str, str]:
    """The cells of a prediction and its bands."""
    speed = p.output_tokens_per_s
    values = (
        p.ttft_mean, p.ttft_p50, p.ttft_p95, p.ttft_p99, p.tpot_mean, p.tpot_p50, p.tpot_p95, p.tpot_p99, speed,
        p.ttft_mean * ttft.low, p.ttft_mean * ttft.high, p.tpot_mean * tpot.low, p.tpot_mean * tpot.high,
        speed * flow.low, speed * flow.high,
    )  # fmt: skip
    shown = ["" if math.isnan(value) else f"{value:.6g}" for value in values]
    return {**dict(zip(OUTPUT, shown, strict=False)), "grade": grade.value}


HEADER = ("", "figure", "rows", "groups", "median %", "mean %", "bias %", "in band %")

DATA_CENTRE = ("a100", "a800", "h100", "h200", "h20", "gh200", "b200", "b300", "gb200", "gb300")


def kind_of(error: Error) -> str:
    """Dense or mixture of experts, on data-centre NVIDIA or elsewhere."""
    spec = error.case.spec
    where = "data-centre NVIDIA" if spec.gpu.id.startswith(DATA_CENTRE) else "other cards"
    return f"{'MoE' if spec.model.is_moe else 'dense'}, {where}"


def load_of(row: MeasuredRow) -> str:
    """Kind of load and, in a closed loop, how much of it."""
    if row.load != "closed_loop":
        return row.load
    for limit in (8, 32, 128):
        if row.concurrency <= limit:
            return f"closed loop, up to {limit} in flight"
    return "closed loop, more than 128 in flight"


CUTS: tuple[tuple[str, Callable[[Error], str]], ...] = (
    ("All rows", lambda error: "all"),
    ("Kind of model and card", kind_of),
    ("Source", lambda error: error.case.row.source),
    ("GPU", lambda error: error.case.row.gpu),
    ("Model family", lambda error: model_line(error.case.spec.model)),
    ("Engine", lambda error: error.case.row.engine),
    ("Precision", lambda error: error.case.spec.weight_quant),
    ("Load", lambda error: load_of(error.case.row)),
    ("Grade", lambda error: error.grade.value),
)


def cells_of(score: Score) -> tuple[str, ...]:
    """One line of a table."""
    covered = "" if math.isnan(score.coverage) else f"{score.coverage:.0f}"
    numbers = (f"{score.median_error:.1f}", f"{score.mean_error:.1f}", f"{score.bias:+.1f}", covered)
    return (score.key, score.metric, str(score.rows), str(score.groups), *numbers)


def text_table(
    scores: Sequence[Score], say: Callable[[str], str] = str, columns_of: Callable[[str], int] = len
) -> list[str]:
    """Aligned columns, in the reader's language; ``columns_of`` says how wide a terminal shows a text."""
    lines = [[say(title) for title in HEADER], *([say(key), *cells] for key, *cells in map(cells_of, scores))]
    widths = [max(columns_of(line[k]) for line in lines) for k in range(len(HEADER))]

    def aligned(cell: str, column: int) -> str:
        blanks = " " * (widths[column] - columns_of(cell))
        return f"{cell}{blanks}" if column < 2 else f"{blanks}{cell}"

    return ["  ".join(aligned(cell, k) for k, cell in enumerate(line)).rstrip() for line in lines]


def markdown_table(scores: Sequence[Score]) -> list[str]:
    """A Markdown table."""
    lines = [HEADER, ("---", "---", *("---:",) * 6), *(cells_of(score) for score in scores)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def report(
    errors: Sequence[Error],
    table: Callable[[Sequence[Score]], list[str]],
    title: str,
    say: Callable[[str], str] = str,
) -> list[str]:
    """All cuts, each under a title line made from ``title`` (a format of the name), in the reader's language."""
    lines: list[str] = []
    for name, key in CUTS:
        lines += [title.format(say(name)), "", *table(summarise(errors, key)), ""]
    correlation, grids = rank_correlation(errors)
    lines += [
        title.format(say("Ranking")),
        "",
        say(f"Median Spearman correlation of throughput within {grids} grids that differ"),
    ]
    lines += [say(f"in GPU, tensor parallelism or precision: {correlation:.3f}"), ""]
    lines += [title.format(say("Cards with a signed bias beyond 7 %")), "", *map(say, _biased(errors)), ""]
    return lines


def _biased(errors: Iterable[Error]) -> list[str]:
    scores = summarise(errors, lambda error: error.case.row.gpu)
    found = [
        f"{score.key} {score.metric}: {score.bias:+.1f} % ({score.rows} rows, {score.groups} groups)"
        for score in scores
        if score.rows >= 30 and score.groups >= 3 and abs(score.bias) > 7 and score.metric in ("tpot", "throughput")
    ]
    return found or ["none of those with 30 rows in 3 groups"]


SELECTORS = ("source", "gpu", "model", "engine", "weight_quant", "load", "concurrency")

OLD_GENERATION = "2023"


def read_measurements(root: Path) -> Iterator[MeasuredRow]:
    """The packaged measurements, row by row."""
    for cells in _table(root / "measurements" / "measurements.csv"):
        yield parse_row(cells)


def weighing(root: Path) -> Callable[[MeasuredRow], float]:
    """What a row counts in a fit: its source's weight times every exclusion that matches it."""
    sources = {cells["source"]: float(cells["weight"]) for cells in _table(root / "measurements" / "sources.csv")}
    rules = [
        (tuple((name, cells[name]) for name in SELECTORS if cells[name]), float(cells["weight"]))
        for cells in _table(root / "measurements" / "exclusions.csv")
    ]

    def weight(row: MeasuredRow) -> float:
        result = sources.get(row.source, 1.0)
        for wanted, factor in rules:
            if all(_cell(getattr(row, name)) == value for name, value in wanted):
                result *= factor
        return result

    return weight


def is_current(row: MeasuredRow, params: Parameters) -> bool:
    """Whether the engine is of 2024 or later: by the date of the row, else by its version."""
    if row.date:
        return row.date >= "2024" and params.generation(row.engine, row.engine_version) != OLD_GENERATION
    return params.generation(row.engine, row.engine_version) != OLD_GENERATION


def is_served(row: MeasuredRow) -> bool:
    """Whether requests were served in flight: what latency is scored on."""
    return row.load in ("closed_loop", "open_loop")


def packaged_cases(root: Path, catalog: Catalog, params: Parameters) -> list[RowCase]:
    """Cases of all current rows, in file order."""
    return [case_of(row, catalog) for row in read_measurements(root) if is_current(row, params)]


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _table(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        yield from csv.DictReader(stream)
