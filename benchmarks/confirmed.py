"""What ``optimize confirm`` claims that a measurement saves, against what it saved on published setups.

A setup (source x GPU x model, engine, format) with enough rows stands for a buyer's site. Before: the fit that saw
nothing of its group, at the usual band. After: that fit calibrated to twenty of its rows, at the band of own
measurements, asked about the others. A question is a TPOT limit on one curve (lengths and degrees, several loads); a
plan runs at the largest load that keeps the limit at confidence 0.9, and its bill is one over the output tokens that a
replica then makes. What a question claims is what ``confirm`` would say before anything is measured: the mean over the
departures that it tries, none counted below zero.

    python -m benchmarks.confirmed
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.regret import TPOT_LIMITS_MS
from optimizer.calibrate.left_out import FOLDS, read_errors
from optimizer.calibrate.own_bands import OWN_FILE, setup_of
from optimizer.calibrate.scores import THROUGHPUT, TPOT, Error, packaged_cases
from optimizer.catalog import default_root, load_catalog
from optimizer.demand import Metric
from optimizer.negotiate.confirm import departures
from optimizer.performance import error_factor, load_parameters
from optimizer.performance.accuracy import OWN
from optimizer.performance.types import Grade

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.9
LEAST_LOADS = 3


@dataclass(frozen=True, slots=True)
class Curve:
    """TPOT (ms) and output tokens per second of a setup by load, as one fit predicts them; logarithms."""

    load: Floats
    tpot: Floats
    speed: Floats

    def bill(self, limit_ms: float, factor: float, slowness: float = 1.0) -> float | None:
        """One over the tokens made at the largest load whose TPOT x slowness x factor keeps a limit; None: no load."""
        most = np.log(limit_ms / (factor * slowness))
        rising = np.maximum.accumulate(self.tpot)
        if rising[0] > most:
            return None
        within = int(np.searchsorted(rising, most, side="right")) - 1
        load = self.load[within]
        if within + 1 < len(self.load):
            share = (most - rising[within]) / (rising[within + 1] - rising[within])
            load += share * (self.load[within + 1] - load)
        return slowness / float(np.exp(np.interp(load, self.load, self.speed)))


@dataclass(frozen=True, slots=True)
class Question:
    """One limit on one curve: what was claimed and realised, as shares of the bill before; whether the limit holds."""

    setup: str
    claimed: float
    realised: float
    kept: bool


def curves(errors: Sequence[Error]) -> dict[tuple[object, ...], dict[float, dict[str, Error]]]:
    """By setup, lengths and degrees, then load: the errors of TPOT and throughput."""
    found: dict[tuple[object, ...], dict[float, dict[str, Error]]] = {}
    for error in errors:
        row, spec = error.case.row, error.case.spec
        if error.band in (TPOT, THROUGHPUT) and row.load == "closed_loop":
            shape = (spec.tensor_parallel, spec.attention_dp, spec.expert_parallel, row.engine_version)
            key = (setup_of(error), row.input_tokens, row.output_tokens, *shape)
            found.setdefault(key, {}).setdefault(row.concurrency, {})[error.metric] = error
    return found


def questions(before: Sequence[Error], after: Sequence[Error]) -> Iterator[Question]:
    """Every limit that the plan before keeps at some load."""
    usual, own = curves(before), curves(after)
    narrow = error_factor(Metric.TPOT, Grade.A, CONFIDENCE, OWN)
    for key in usual:
        loads = sorted(
            load
            for load, figures in usual[key].items()
            if {TPOT, THROUGHPUT} <= set(figures) & set(_at(own, key, load))
        )
        if len(loads) < LEAST_LOADS:
            continue
        first = usual[key][loads[0]][TPOT]
        known = first.grade, first.source
        wide, tried = error_factor(Metric.TPOT, first.grade, CONFIDENCE, first.source), departures(known)
        old, new, truth = _curve(usual[key], loads), _curve(own[key], loads), _curve(own[key], loads, measured=True)
        for limit in TPOT_LIMITS_MS:
            if (bill := old.bill(limit, wide)) is None:
                continue
            hoped = [_saved(bill, old.bill(limit, narrow, slowness)) for slowness in tried]
            yield Question(str(key[0]), float(np.mean(hoped)), _saved(bill, new.bill(limit, narrow)),
                           _kept(new, truth, limit, narrow))  # fmt: skip


def _at(
    found: Mapping[tuple[object, ...], Mapping[float, Mapping[str, Error]]], key: tuple[object, ...], load: float
) -> Mapping[str, Error]:
    return found.get(key, {}).get(load, {})


def _curve(at: Mapping[float, Mapping[str, Error]], loads: Sequence[float], *, measured: bool = False) -> Curve:
    def values(figure: str) -> Floats:
        errors = [at[load][figure] for load in loads]
        return np.log([error.measured if measured else error.predicted for error in errors])

    return Curve(np.log(loads), values(TPOT), values(THROUGHPUT))


def _saved(before: float, after: float | None) -> float:
    """Share of the bill; nothing changes where the plan would cost more, or keeps its promise nowhere."""
    return 0.0 if after is None else max(1.0 - after / before, 0.0)


def _kept(new: Curve, truth: Curve, limit_ms: float, factor: float) -> bool:
    """Whether TPOT as measured keeps the limit at the load that the plan after the measurement runs at."""
    most = np.log(limit_ms / factor)
    rising = np.maximum.accumulate(new.tpot)
    if rising[0] > most:
        return True
    load = np.interp(most, rising, new.load)
    return bool(np.interp(load, truth.load, truth.tpot) <= np.log(limit_ms))


def of_setups(found: Sequence[Question]) -> list[tuple[str, int, float, float, float]]:
    """Setup, questions, mean claimed and realised shares of the bill, share of limits kept afterwards."""
    result = []
    for setup, group in groupby(sorted(found, key=lambda one: one.setup), key=lambda one: one.setup):
        mine = [*group]
        shares = ([getattr(one, name) for one in mine] for name in ("claimed", "realised", "kept"))
        result.append((setup, len(mine), *(float(np.mean(share)) for share in shares)))
    return result


def packaged(root: Path) -> list[Question]:
    """The questions of the packaged measurements."""
    params = load_parameters(root)
    cases, folder = packaged_cases(root, load_catalog(), params), root / "performance"
    before = [e for e in read_errors(folder / "left_out.csv", cases, params) if e.unseen == FOLDS]
    return [*questions(before, read_errors(folder / OWN_FILE, cases, params))]


def table(found: Sequence[Question]) -> list[str]:
    """Savings by setup and of all setups, each counting as one, in percent of the bill."""
    setups = of_setups(found)
    lines = ["| setup | questions | claimed % | realised % | limits kept % |", "| --- |" + " ---: |" * 4]
    lines += [f"| {name.replace('|', ' ')} | {count} | {_percents(values)} |" for name, count, *values in setups]
    means = [float(np.mean([one[position] for one in setups])) for position in (2, 3, 4)]
    total = sum(count for _, count, *_ in setups)
    return [*lines, f"| all {len(setups)} setups | {total} | {_percents(means)} |", "",
            f"Realised over claimed: {means[1] / means[0]:.2f}."]  # fmt: skip


def _percents(values: Sequence[float]) -> str:
    return " | ".join(f"{100.0 * value:.1f}" for value in values)


if __name__ == "__main__":
    print("\n".join(table(packaged(default_root()))))
