"""Whether an engine's date would make predictions better: how fast engines became, and what a term for it changes.

Three tables. *Dates* of the rows by engine. *Pace*: configurations (one source, card, engine, model, format, degrees,
lengths, load) measured in several months, and by how much a month TPOT fell or throughput rose, each group of source x
card x model x engine counting by the months that its runs span. *Term*: predictions of fits that saw nothing of the
fold, or the source, times exp(-pace x months after the mean date of the rows that were seen); the pace is that of all
other units' residues within their groups, with a prior of 3.9 % a month for mixtures and 1.5 % for dense models (spread
2 %).

    python -m benchmarks.engine_age
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optimizer.calibrate.cross_validation import group_of
from optimizer.calibrate.left_out import FOLDS, read_errors
from optimizer.calibrate.own_fit import read_folds
from optimizer.calibrate.rows import MeasuredRow, RowCase
from optimizer.calibrate.scores import OFFLINE, THROUGHPUT, TPOT, Error, packaged_cases, weighing
from optimizer.catalog import default_root, load_catalog
from optimizer.performance import load_parameters

PRIOR = {True: 0.039, False: 0.015}
"""Pace a month (logarithm) of mixtures of experts and of dense models."""

PRIOR_SD = 0.02
NOISE = 0.10
"""Scatter (logarithm) of a run about its configuration's trend."""

MOST_RUNS = 10
"""A group counts like at most so many of its runs."""

FARTHEST = 0.5
"""Residues beyond this (logarithm) about their group's median count as this."""

_MONTH = re.compile(r"(\d{4})-(\d{2})")

FIGURES = {TPOT: 1.0, THROUGHPUT: -1.0, OFFLINE: -1.0}
"""What the term is tried on, and the sign of predicted over measured that a faster engine gives it."""


def month(date: str) -> int | None:
    """Months since year 0; None where a date states no month."""
    found = _MONTH.match(date)
    return 12 * int(found[1]) + int(found[2]) if found else None


@dataclass(frozen=True, slots=True)
class Trend:
    """Sums of a regression on months within groups: slope = product / square."""

    product: float = 0.0
    square: float = 0.0

    def __add__(self, other: Trend) -> Trend:
        return Trend(self.product + other.product, self.square + other.square)

    @property
    def slope(self) -> float:
        """Logarithm a month."""
        return self.product / self.square if self.square else 0.0


def trend(months: Sequence[float], logs: Sequence[float]) -> Trend:
    """Of one group about its own mean month and median."""
    x = np.array(months, dtype=float) - np.mean(months)
    y = np.clip(np.array(logs) - np.median(logs), -FARTHEST, FARTHEST)
    share = min(len(x), MOST_RUNS) / len(x)
    return Trend(share * float(x @ y), share * float(x @ x))


def pace(groups: Iterable[Trend], prior: float) -> float:
    """The slope of all groups together, with its prior."""
    total = sum(groups, Trend(prior * NOISE**2 / PRIOR_SD**2, NOISE**2 / PRIOR_SD**2))
    return total.slope


def configuration(row: MeasuredRow) -> tuple[object, ...]:
    """What has to be equal for two runs to differ by their date alone."""
    degrees = (row.tp, row.pp, row.dp, row.replicas, row.attention_dp, row.expert_parallel)
    setup = (row.source, row.gpu, row.engine, row.model, row.weight_quant, row.kv_cache, row.interconnect)
    return (*setup, *degrees, row.input_tokens, row.output_tokens, row.load, row.start, row.concurrency,
            row.request_rate)  # fmt: skip


def repeated(cases: Sequence[RowCase], value: Callable[[MeasuredRow], float]) -> dict[str, Trend]:
    """Trends by group (source x card x model, engine) of configurations measured in more than one month."""
    runs: dict[tuple[object, ...], list[MeasuredRow]] = {}
    for case in cases:
        if value(case.row) > 0 and month(case.row.date) is not None:
            runs.setdefault(configuration(case.row), []).append(case.row)
    found: dict[str, Trend] = {}
    for rows in runs.values():
        months = [float(month(row.date) or 0) for row in rows]
        if len(set(months)) > 1:
            group = f"{rows[0].group}|{rows[0].engine}"
            one = trend(months, [float(np.log(value(row))) for row in rows])
            found[group] = found.get(group, Trend()) + one
    return found


@dataclass(frozen=True, slots=True)
class Tried:
    """Errors (logarithm) of one figure of one kind of model, as predicted and with the term."""

    split: str
    figure: str
    mixture: bool
    paces: tuple[float, float]
    groups: tuple[str, ...]
    plain: tuple[float, ...]
    dated: tuple[float, ...]

    def medians(self, logs: Sequence[float]) -> tuple[float, float]:
        """Percent: median of rows, median of groups' medians."""
        sizes: dict[str, list[float]] = {}
        for group, log in zip(self.groups, logs, strict=True):
            sizes.setdefault(group, []).append(100.0 * abs(float(np.expm1(log))))
        return (
            float(np.median([size for group in sizes.values() for size in group])),
            float(np.median([np.median(group) for group in sizes.values()])),
        )


def tried(errors: Sequence[Error], split: str, unit_of: Callable[[Error], str]) -> Iterator[Tried]:
    """The term on every figure of mixtures and of dense models, each unit with the pace of all others."""
    for figure, sign in FIGURES.items():
        for mixture in (True, False):
            mine = [
                error for error in errors
                if (error.unseen, error.band, error.case.spec.model.is_moe) == (split, figure, mixture)
                and month(error.case.row.date) is not None
            ]  # fmt: skip
            paces, plain, dated, groups = [], [], [], []
            for unit in sorted({unit_of(error) for error in mine}):
                others = [error for error in mine if unit_of(error) != unit]
                if not others:
                    continue
                here = sign * pace(_trends(others, sign), PRIOR[mixture])
                middle = float(np.mean([month(error.case.row.date) or 0 for error in others]))
                paces.append(here * sign)
                for error in (error for error in mine if unit_of(error) == unit):
                    groups.append(group_of(error))
                    plain.append(error.log)
                    dated.append(error.log - here * ((month(error.case.row.date) or 0) - middle))
            if plain:
                ends = min(paces), max(paces)
                yield Tried(split, figure, mixture, ends, tuple(groups), tuple(plain), tuple(dated))


def _trends(errors: Sequence[Error], sign: float) -> Iterator[Trend]:
    groups: dict[str, list[Error]] = {}
    for error in errors:
        groups.setdefault(group_of(error), []).append(error)
    for mine in groups.values():
        yield trend([float(month(e.case.row.date) or 0) for e in mine], [sign * e.log for e in mine])


def pace_lines(cases: Sequence[RowCase]) -> list[str]:
    """How much faster repeated configurations became."""
    lines = [
        "| models | figure | groups | faster a month, all % | median of groups % |",
        "| --- | --- |" + " ---: |" * 3,
    ]
    values: Mapping[str, tuple[Callable[[MeasuredRow], float], float]] = {
        "TPOT": (lambda row: row.tpot_ms_mean if row.tpot_ms_mean > 0 else row.tpot_ms_p50, -1.0),
        "output tokens per second": (lambda row: row.output_tokens_per_s, 1.0),
    }
    for mixture in (True, False):
        mine = [case for case in cases if case.spec.model.is_moe == mixture]
        for name, (value, sign) in values.items():
            if groups := repeated(mine, value):
                everything = sign * sum(groups.values(), Trend()).slope
                middle = sign * float(np.median([one.slope for one in groups.values()]))
                kind = "mixtures" if mixture else "dense"
                lines.append(f"| {kind} | {name} | {len(groups)} | {100 * everything:.1f} | {100 * middle:.1f} |")
    return lines


def term_lines(found: Iterable[Tried]) -> list[str]:
    """Errors without and with the term."""
    lines = [
        "| left out | models | figure | rows | pace % a month | rows % | with the term | groups % | with the term |",
        "| --- | --- | --- |" + " ---: |" * 6,
    ]
    for one in found:
        (rows, groups), (rows_dated, groups_dated) = one.medians(one.plain), one.medians(one.dated)
        ends = " to ".join(f"{100 * end:.1f}" for end in one.paces)
        numbers = f"{rows:.1f} | {rows_dated:.1f} | {groups:.1f} | {groups_dated:.1f}"
        kind = "mixtures" if one.mixture else "dense"
        lines.append(f"| {one.split} | {kind} | {one.figure} | {len(one.plain)} | {ends} | {numbers} |")
    return lines


def date_lines(cases: Sequence[RowCase]) -> list[str]:
    """Which engines predictions speak of: the months of the rows behind each."""
    lines = ["| engine | rows with a month | first | median | last |", "| --- | ---: | --- | --- | --- |"]
    months: dict[str, list[int]] = {}
    for case in cases:
        if (at := month(case.row.date)) is not None:
            months.setdefault(case.spec.engine.profile, []).append(at)
    for engine, found in sorted(months.items()):
        ends = (min(found), round(float(np.median(found))), max(found))
        lines.append(f"| {engine} | {len(found)} | {' | '.join(map(_written, ends))} |")
    return lines


def _written(at: int) -> str:
    return f"{(at - 1) // 12}-{(at - 1) % 12 + 1:02d}"


def tables(root: Path) -> list[str]:
    """All three tables, of the packaged measurements."""
    params, weight, folds = load_parameters(root), weighing(root), read_folds(root)
    cases = [case for case in packaged_cases(root, load_catalog(), params) if weight(case.row) > 0]
    errors = read_errors(root / "performance" / "left_out.csv", cases, params)
    units: Mapping[str, Callable[[Error], str]] = {
        FOLDS: lambda error: str(folds.get(error.case.row.group, "")),
        "source": lambda error: error.case.row.source,
    }
    found = [one for split, unit_of in units.items() for one in tried(errors, split, unit_of)]
    return [*date_lines(cases), "", *pace_lines(cases), "", *term_lines(found)]


if __name__ == "__main__":
    print("\n".join(tables(default_root())))
