"""Tables of scores as text and Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from optimizer.calibrate.rows import Row
from optimizer.calibrate.scores import Error, Score, rank_correlation, summarise
from optimizer.performance.grades import model_line

HEADER = ("", "figure", "rows", "groups", "median %", "mean %", "bias %", "in band %")

DATA_CENTRE = ("a100", "a800", "h100", "h200", "h20", "gh200", "b200", "b300", "gb200", "gb300")


def kind_of(error: Error) -> str:
    """Dense or mixture of experts, on data-centre NVIDIA or elsewhere."""
    spec = error.case.spec
    where = "data-centre NVIDIA" if spec.gpu.id.startswith(DATA_CENTRE) else "other cards"
    return f"{'MoE' if spec.model.is_moe else 'dense'}, {where}"


def load_of(row: Row) -> str:
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


def text_table(scores: Sequence[Score]) -> list[str]:
    """Aligned columns."""
    lines = [HEADER, *(cells_of(score) for score in scores)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(HEADER))]
    return ["  ".join(_aligned(cell, widths[k], k) for k, cell in enumerate(line)).rstrip() for line in lines]


def markdown_table(scores: Sequence[Score]) -> list[str]:
    """A Markdown table."""
    lines = [HEADER, ("---", "---", *("---:",) * 6), *(cells_of(score) for score in scores)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def report(errors: Sequence[Error], table: Callable[[Sequence[Score]], list[str]], title: str) -> list[str]:
    """All cuts, each under a title line made from ``title`` (a format of the name)."""
    lines: list[str] = []
    for name, key in CUTS:
        lines += [title.format(name), "", *table(summarise(errors, key)), ""]
    correlation, grids = rank_correlation(errors)
    lines += [
        title.format("Ranking"),
        "",
        f"Median Spearman correlation of throughput within {grids} grids that differ",
    ]
    lines += [f"in GPU, tensor parallelism or precision: {correlation:.3f}", ""]
    lines += [title.format("Cards with a signed bias beyond 7 %"), "", *_biased(errors), ""]
    return lines


def _biased(errors: Iterable[Error]) -> list[str]:
    scores = summarise(errors, lambda error: error.case.row.gpu)
    found = [
        f"{score.key} {score.metric}: {score.bias:+.1f} % ({score.rows} rows, {score.groups} groups)"
        for score in scores
        if score.rows >= 30 and score.groups >= 3 and abs(score.bias) > 7 and score.metric in ("tpot", "throughput")
    ]
    return found or ["none of those with 30 rows in 3 groups"]


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column < 2 else cell.rjust(width)
