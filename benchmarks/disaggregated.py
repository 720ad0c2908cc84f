"""Disaggregated serving against published runs, every group of card, model and engine left out in turn.

    python -m benchmarks.disaggregated        # fits, scores, writes catalogs/performance/pool_left_out.csv and
                                              # pool_bands.csv (some minutes), pool_coverage.csv
    python -m benchmarks.disaggregated -      # prints the tables of what was written

Rows: ``data/disaggregated.csv`` with the repaired degrees. A TTFT counts where no remark of ``data/doubtful_rows.csv``
says that it is a wait for a decode slot or a start-up stall; TPOT and the rate always count. Four shared constants are
chosen on a grid, each time without the group that is then scored: what TensorRT-LLM 1.2 hides of launches on Blackwell
and on Hopper, the hand-over, and what prompts of block-scaled fp8 take longer behind attention DP.
"""

from __future__ import annotations

import csv
import itertools
import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from optimizer.calibrate.own_fit import table_csv
from optimizer.calibrate.pool_rows import PoolCase, pool_case, predict_pools
from optimizer.calibrate.refit import cells_csv
from optimizer.calibrate.scores import THROUGHPUT, TPOT, TTFT, pools_band
from optimizer.catalog import default_root, load_catalog
from optimizer.files.atomic_write import write_atomic
from optimizer.performance import load_parameters
from optimizer.performance.accuracy import band_in, read_bands
from optimizer.performance.parameters import Parameters
from optimizer.performance.types import Grade

V = TypeVar("V", float, tuple[float, float])

DATA = Path(__file__).resolve().parent.parent / "data"
DEGREES = ("tensor_parallel", "attention_dp", "expert_parallel", "moe_tensor_parallel")
FIGURES = (TPOT, TTFT, THROUGHPUT)
MOST_CLIENTS = 600.0
"""Rows of more are predicted, and choose no constant: a run of them takes long."""

BLACKWELL, HOPPER = "launch_share|engine:trtllm@overlapped/blackwell", "launch_share|engine:trtllm@overlapped/hopper"
ULTRA = "launch_share|engine:trtllm@overlapped/blackwell_ultra"
HANDOFF, PROMPTS = "handoff_ms|", "pool_prompt_factor|arch:blackwell/fp8_block"
ULTRA_PROMPTS = "pool_prompt_factor|arch:blackwell_ultra/fp8_block"

GRID: Mapping[str, tuple[float, ...]] = {
    BLACKWELL: (0.5, 0.6, 0.75, 1.0),
    HOPPER: (0.7, 0.8, 1.0),
    HANDOFF: (60.0, 100.0, 140.0),
    PROMPTS: (1.0, 1.3, 1.6, 1.9),
}
"""Values that are tried, the prior among them."""

PRIOR = {BLACKWELL: 1.0, HOPPER: 1.0, HANDOFF: 60.0, PROMPTS: 1.0}


@dataclass(frozen=True, slots=True)
class Published:
    """One published run as a case."""

    row_id: str
    case: PoolCase
    ttft_counts: bool

    @property
    def group(self) -> str:
        """What is left out whole."""
        row = self.case.row
        return f"{row.gpu}|{row.model}|{row.engine}"


@dataclass(frozen=True, slots=True)
class PoolError:
    """One figure of a run that its fit did not see."""

    row_id: str
    group: str
    figure: str
    predicted: float
    measured: float

    @property
    def log(self) -> float:
        """ln(predicted / measured)."""
        return math.log(self.predicted / self.measured)

    @property
    def relative(self) -> float:
        """Predicted over measured less one."""
        return self.predicted / self.measured - 1.0


def published() -> list[Published]:
    """The runs."""
    catalog = load_catalog()
    remarks = [row for row in _rows("doubtful_rows.csv") if row["file"] == "disaggregated.csv"]
    waits = {row["row_id"] for row in remarks if row["why"].startswith("ttft")}
    lengths = {row["row_id"] for row in remarks if row["why"].startswith("length")}
    found = []
    for row in _rows("disaggregated.csv"):
        repaired = {
            f"{pool}_{name}": row[f"repaired_{pool}_{name}"] for pool in ("prefill", "decode") for name in DEGREES
        }
        if row["row_id"] in lengths:  # 15,000 and 500 tokens, no InferenceX run
            repaired |= {"input_tokens": "15000", "output_tokens": "500", "length_low": "1"}
        case = pool_case({**row, **repaired}, catalog)
        found.append(Published(row["row_id"], case, row["row_id"] not in waits))
    return found


def _rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def figures(run: Published, params: Parameters) -> dict[str, tuple[float, float]]:
    """Predicted and measured TPOT, TTFT and output tokens/s of a run; the rate follows from the latencies of both."""
    row, found = run.case.row, predict_pools(run.case, params)

    def rate(ttft_ms: float, tpot_ms: float) -> float:
        return row.concurrency * row.output_tokens / (1e-3 * (ttft_ms + tpot_ms * (row.output_tokens - 1.0)))

    told = {TPOT: (found.tpot_mean, row.tpot_ms_mean)}
    told[THROUGHPUT] = (rate(found.ttft_mean, found.tpot_mean), rate(row.ttft_ms_mean, row.tpot_ms_mean))
    if run.ttft_counts:
        told[TTFT] = (found.ttft_mean, row.ttft_ms_mean)
    return told


def with_constants(params: Parameters, chosen: Mapping[str, float]) -> Parameters:
    """The parameters with these values; Blackwell Ultra as Blackwell."""
    values = {tuple(name.split("|")): value for name, value in chosen.items()}
    values[tuple(ULTRA.split("|"))] = chosen[BLACKWELL]
    values[tuple(ULTRA_PROMPTS.split("|"))] = chosen[PROMPTS]
    return replace(params, values={**params.values, **values})  # type: ignore[dict-item]


def fitted(runs: Sequence[Published], params: Parameters) -> dict[str, dict[str, float]]:
    """The constants chosen without each group (and without none: blank), by median errors of the groups that remain.

    Launches are chosen by TPOT, then the hand-over and the prompts by TTFT; the prior where no group tells.
    """
    groups = sorted({run.group for run in runs})
    few = [run for run in runs if run.case.row.concurrency <= MOST_CLIENTS]
    trt = [run for run in few if run.case.row.engine == "trtllm" and run.case.prefill.model.is_moe]
    chosen = {group: dict(PRIOR) for group in ("", *groups)}
    for name, arch in ((BLACKWELL, "blackwell"), (HOPPER, "hopper")):
        told = {
            value: _logs([run for run in trt if run.case.decode.gpu.arch == arch], params, {**PRIOR, name: value}, TPOT)
            for value in GRID[name]
        }
        for group, values in chosen.items():
            values[name] = _best(told, group, PRIOR[name])
    sound = [run for run in few if run.ttft_counts]
    told_both = {
        pair: _logs(sound, params, {**chosen[""], HANDOFF: pair[0], PROMPTS: pair[1]}, TTFT)
        for pair in itertools.product(GRID[HANDOFF], GRID[PROMPTS])
    }
    for group, values in chosen.items():
        values[HANDOFF], values[PROMPTS] = _best(told_both, group, (PRIOR[HANDOFF], PRIOR[PROMPTS]))
    return chosen


def _logs(
    runs: Sequence[Published], params: Parameters, chosen: Mapping[str, float], figure: str
) -> dict[str, list[float]]:
    """Errors of a figure by group."""
    found: dict[str, list[float]] = {}
    known = with_constants(params, chosen)
    for run in runs:
        predicted, measured = figures(run, known)[figure]
        found.setdefault(run.group, []).append(math.log(predicted / measured))
    return found


def _best(told: Mapping[V, Mapping[str, Sequence[float]]], left_out: str, prior: V) -> V:
    """The value with the smallest mean error over the groups that remain, each counting like the root of its rows."""

    def cost(value: V) -> float:
        rows = [(group, logs) for group, logs in told[value].items() if group != left_out]
        weights = [math.sqrt(len(logs)) for _, logs in rows]
        errors = [statistics.fmean(abs(log) for log in logs) for _, logs in rows]
        return sum(w * e for w, e in zip(weights, errors, strict=True)) / max(sum(weights), 1e-9)

    seen = any(group != left_out for groups in told.values() for group in groups)
    return min(told, key=lambda value: (cost(value), value != prior)) if seen else prior


def left_out(
    runs: Sequence[Published], params: Parameters, chosen: Mapping[str, Mapping[str, float]]
) -> Iterator[PoolError]:
    """Every figure of every run, by the constants that its group had no part in."""
    for run in runs:
        known = with_constants(params, chosen[run.group])
        for figure, (predicted, measured) in figures(run, known).items():
            yield PoolError(run.row_id, run.group, figure, predicted, measured)


def bands(errors: Sequence[PoolError], root: Path) -> list[tuple[str, ...]]:
    """Quantiles of truth / prediction, each group of n rows counting like sqrt(n).

    Grades A and B alike: these errors are of cards and models that were measured, and of groups that were not. C: the
    wider of these and of what replicas of grade C have.
    """
    rows = []
    for figure in FIGURES:
        mine = [error for error in errors if error.figure == figure]
        counts = {error.group: sum(other.group == error.group for other in mine) for error in mine}
        ratios = np.array([error.measured / error.predicted for error in mine])
        weights = np.array([1.0 / math.sqrt(counts[error.group]) for error in mine])
        order = np.argsort(ratios)
        below = (np.cumsum(weights[order]) - 0.5 * weights[order]) / weights.sum()
        low, near_low, near_high, high = (float(np.interp(q, below, ratios[order])) for q in (0.05, 0.1, 0.9, 0.95))
        wide = band_in(read_bands(root), figure, Grade.C, "")
        for grade in Grade:
            edges = (low, near_low, near_high, high)
            if grade is Grade.C:
                near = (wide.near_low or wide.low, wide.near_high or wide.high)
                edges = (min(low, wide.low), min(near_low, near[0]), max(near_high, near[1]), max(high, wide.high))
            rows.append((pools_band(figure), "", grade.value, *(f"{edge:.4f}" for edge in edges)))
    return rows


def read_left_out(root: Path) -> list[PoolError]:
    """The errors as written."""
    with (root / "performance" / "pool_left_out.csv").open(newline="", encoding="utf-8") as stream:
        return [
            PoolError(row["row_id"], row["group"], row["figure"], float(row["predicted"]), float(row["measured"]))
            for row in csv.DictReader(stream)
        ]


def in_band(errors: Sequence[PoolError], root: Path) -> list[bool]:
    """Whether each truth lies in the 90 % band of its figure."""
    known = read_bands(root)
    bands_of = {figure: band_in(known, pools_band(figure), Grade.B, "") for figure in FIGURES}
    return [bands_of[e.figure].low <= e.measured / e.predicted <= bands_of[e.figure].high for e in errors]


def tables(errors: Sequence[PoolError], root: Path) -> list[str]:
    """Errors by group and figure in percent, and how many truths lie in the band."""
    lines = [
        "| group left out | figure | rows | median % | mean % | bias % | in band % |",
        "| --- | --- |" + " ---: |" * 5,
    ]
    for group in ("all", *sorted({error.group for error in errors})):
        for figure in FIGURES:
            mine = [error for error in errors if error.figure == figure and group in ("all", error.group)]
            if not mine:
                continue
            sizes = [100 * error.relative for error in mine]
            inside = in_band(mine, root)
            median, mean = statistics.median(map(abs, sizes)), statistics.fmean(map(abs, sizes))
            covered = f"{100 * sum(inside) / len(inside):.0f}"
            bias, label = statistics.median(sizes), " ".join(group.split("|"))
            lines.append(f"| {label} | {figure} | {len(mine)} | {median:.1f} | {mean:.1f} | {bias:+.1f} | {covered} |")
    return lines


def coverage(runs: Sequence[Published]) -> str:
    """Cells of both pools of every run as CSV text."""
    return cells_csv(spec for run in runs for spec in (run.case.prefill, run.case.decode))


def main(*, write: bool) -> None:
    """Fit, score, write; or print what was written."""
    root = default_root()
    if write:
        params, runs = load_parameters(root), published()
        chosen = fitted(runs, params)
        for group, values in chosen.items():
            print(group or "with all groups", values)
        errors = list(left_out(runs, params, chosen))
        header = ("row_id", "group", "figure", "predicted", "measured")
        rows = [(e.row_id, e.group, e.figure, f"{e.predicted:.4g}", f"{e.measured:.6g}") for e in errors]
        write_atomic(root / "performance" / "pool_left_out.csv", table_csv(header, rows), in_place=True)
        write_atomic(root / "performance" / "pool_coverage.csv", coverage(runs), in_place=True)
        columns = ("figure", "engine", "grade", "low", "near_low", "near_high", "high")
        write_atomic(root / "performance" / "pool_bands.csv", table_csv(columns, bands(errors, root)), in_place=True)
    print("\n".join(tables(read_left_out(root), root)))


if __name__ == "__main__":
    main(write=sys.argv[1:] != ["-"])
