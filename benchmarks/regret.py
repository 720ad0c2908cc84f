"""What trusting the predictions costs: cheapest measured configuration against the one that predictions pick.

A grid is one source, model and pair of lengths, measured on several cards, parallel sizes, precisions or loads. For a
range of TPOT limits, and TTFT limits where the start pattern is known, the cheapest configuration by prediction (every
row predicted by a fit that saw nothing of its group) is compared with the cheapest by measurement. Cost is the price of
the GPUs for an hour over the output tokens they make. The choice among whole configurations is what the solver does
with one workload and a price per GPU.

Grids hold few loads, each about twice the one before, and a plan is free to run between them. So the same questions are
also asked of grids refined between neighbouring loads of one configuration, predictions and measurements interpolated
alike: what is left is the choice of the configuration and of its load, without the step of the grid.

    python -m benchmarks.regret
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

from optimizer.calibrate.cross_validation import held_out_errors
from optimizer.calibrate.left_out import read_errors
from optimizer.calibrate.own_fit import table_csv
from optimizer.calibrate.scores import THROUGHPUT, TPOT, TTFT, Error, packaged_cases, weighing
from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.types import Catalog
from optimizer.demand import Metric
from optimizer.performance import error_factor, load_parameters
from optimizer.performance.types import Grade
from optimizer.vocabulary import Tier

LEAST_ROWS = 8
WIDEST, BETWEEN = 4.0, 7
"""Neighbouring loads that are joined, and the points put between them."""

TPOT_LIMITS_MS = (10, 15, 20, 30, 40, 50, 75, 100)
TTFT_LIMITS_MS = (500, 1000, 2000, 5000)
"""What people ask for. Limits at which the choice of a grid does not depend (all or none keep them) are left out."""


LEVELS = (0.5, 0.8, 0.9)
UNSEEN = ("fold", "source", "gpu", "family", "engine")
HEADER = "| confidence | grids | questions | answered | mean regret | median | 90th percentile | limit broken % |"
BETWEEN_LOADS = "The same, with the loads between two measured ones interpolated, as a plan may run there:"


@dataclass(frozen=True, slots=True)
class Point:
    """One measured configuration: predicted and measured figures, price of its GPUs per hour."""

    kind: tuple[object, ...]  # everything but the load
    load: float  # requests in flight
    source: str  # whose band it has
    price: float
    grade: Grade
    predicted: Mapping[str, float]
    measured: Mapping[str, float]

    def cost(self, figures: Mapping[str, float]) -> float:
        """Per million output tokens."""
        return self.price / (figures[THROUGHPUT] * 3600.0) * 1e6


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question: cost of the pick over the best cost, whether it keeps the limits, its grade."""

    ratio: float
    kept: bool
    grade: Grade


def gpu_prices(catalog: Catalog) -> dict[str, float]:
    """Median on-demand price of a GPU hour in US dollars, from rankable prices, else from any."""
    found: dict[str, list[tuple[bool, float]]] = {}
    for offer in catalog.offers.values():
        for price in offer.prices:
            if price.tier is Tier.ON_DEMAND and price.currency == "USD" and price.amount > 0:
                found.setdefault(offer.gpu, []).append((price.rankable, price.amount / offer.gpus_per_node))
    return {
        gpu: median([amount for good, amount in prices if good] or [amount for _, amount in prices])
        for gpu, prices in found.items()
    }


def grids(errors: Sequence[Error], prices: Mapping[str, float]) -> list[list[Point]]:
    """Grids with enough rows and at least two kinds of configuration."""
    rows: dict[str, list[Error]] = {}
    for error in errors:
        rows.setdefault(error.case.row.row_id, []).append(error)
    found: dict[tuple[object, ...], list[tuple[tuple[object, ...], Point]]] = {}
    for figures in rows.values():
        row, by_name = figures[0].case.row, {error.metric: error for error in figures}
        if row.load == "closed_loop" and {TPOT, THROUGHPUT} <= set(by_name) and row.gpu in prices:
            point = Point(
                kind=(row.gpu, row.engine, row.engine_version, row.weight_quant, row.tp, row.pp, row.dp),
                load=row.concurrency,
                source=figures[0].source,
                price=prices[row.gpu] * row.tp * row.pp * row.dp,
                grade=figures[0].grade,
                predicted={name: error.predicted for name, error in by_name.items()},
                measured={name: error.measured for name, error in by_name.items()},
            )
            kind = (row.gpu, row.tp, row.weight_quant)
            found.setdefault((row.source, row.model, row.input_tokens, row.output_tokens), []).append((kind, point))
    kept = [members for members in found.values() if len(members) >= LEAST_ROWS and len({k for k, _ in members}) > 1]
    return [[point for _, point in members] for members in kept]


def refined(grid: Sequence[Point]) -> list[Point]:
    """The grid with further loads between neighbouring ones of a configuration, log-linear in the load.

    Runs repeated at one load are averaged first; loads further apart than ``WIDEST`` are not joined.
    """
    result = []
    for kind in dict.fromkeys(point.kind for point in grid):
        mine = [point for point in grid if point.kind == kind]
        found = [_mean([p for p in mine if p.load == load]) for load in sorted({point.load for point in mine})]
        result += found
        for low, high in pairwise(found):
            if high.load <= WIDEST * low.load:
                result += [_between(low, high, step / (BETWEEN + 1)) for step in range(1, BETWEEN + 1)]
    return result


def _mean(points: Sequence[Point]) -> Point:
    first = points[0]
    predicted, measured = (
        {name: float(np.exp(np.mean([np.log(getattr(p, side)[name]) for p in points if name in getattr(p, side)])))
         for name in getattr(first, side)}
        for side in ("predicted", "measured")
    )  # fmt: skip
    return replace(first, predicted=predicted, measured=measured)


def _between(low: Point, high: Point, share: float) -> Point:
    def mixed(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
        return {name: a[name] ** (1.0 - share) * b[name] ** share for name in a if name in b}

    load = low.load ** (1.0 - share) * high.load**share
    return replace(
        low, load=load, predicted=mixed(low.predicted, high.predicted), measured=mixed(low.measured, high.measured)
    )


def questions(grid: Sequence[Point]) -> Iterator[dict[str, float]]:
    """Limits to ask a grid for: TPOT alone, TPOT and TTFT together; some configurations keep them, some do not."""
    asked: list[dict[str, float]] = [{TPOT: limit} for limit in TPOT_LIMITS_MS]
    if all(TTFT in point.measured for point in grid):
        asked += [{TPOT: tpot, TTFT: ttft} for tpot in TPOT_LIMITS_MS for ttft in TTFT_LIMITS_MS]
    for limits in asked:
        held = sum(all(point.measured[name] <= limit for name, limit in limits.items()) for point in grid)
        if 0 < held < len(grid):
            yield limits


def ask(grid: Sequence[Point], limits: Mapping[str, float], confidence: float) -> Outcome | None:
    """Pick by prediction at a confidence, judge by measurement; None where nothing is picked."""
    metrics = {TPOT: Metric.TPOT, TTFT: Metric.TTFT}

    def promised(point: Point) -> bool:
        factor = {name: error_factor(metrics[name], point.grade, confidence, point.source) for name in limits}
        return all(point.predicted[name] * factor[name] <= limit for name, limit in limits.items())

    def held(point: Point) -> bool:
        return all(point.measured[name] <= limit for name, limit in limits.items())

    allowed, truly = [point for point in grid if promised(point)], [point for point in grid if held(point)]
    if not allowed or not truly:
        return None
    pick = min(allowed, key=lambda point: point.cost(point.predicted))
    best = min(point.cost(point.measured) for point in truly)
    return Outcome(pick.cost(pick.measured) / best, held(pick), pick.grade)


@dataclass(frozen=True, slots=True)
class Summary:
    """Answers to all questions at one confidence; ratios are of picks that keep their limits."""

    confidence: float
    grids: int
    questions: int
    answered: int
    mean: float
    median: float
    ninetieth: float
    broken_percent: float

    @property
    def cells(self) -> list[str]:
        """What a table shows of it."""
        counts = [str(n) for n in (self.grids, self.questions, self.answered)]
        ratios = [f"{ratio:.3f}" for ratio in (self.mean, self.median, self.ninetieth)]
        return [f"{self.confidence:.2f}", *counts, *ratios, f"{self.broken_percent:.1f}"]


def summary(confidence: float, members: Sequence[Sequence[Point]]) -> Summary:
    """How many questions, regret of picks that keep their limits, how often they do not."""
    asked = [ask(grid, limits, confidence) for grid in members for limits in questions(grid)]
    answered = [outcome for outcome in asked if outcome is not None]
    ratios = [outcome.ratio for outcome in answered if outcome.kept] or [float("nan")]
    return Summary(
        confidence, len(members), len(asked), len(answered),
        float(np.mean(ratios)), float(np.median(ratios)), float(np.quantile(ratios, 0.9)),
        100.0 * sum(not outcome.kept for outcome in answered) / max(len(answered), 1),
    )  # fmt: skip


def left_out(root: Path) -> list[tuple[str, Summary]]:
    """``left_out_of`` the packaged errors, at packaged prices."""
    catalog, weight = load_catalog(), weighing(root)
    params = load_parameters(root)
    cases = packaged_cases(root, catalog, params)
    errors = [e for e in read_errors(root / "performance" / "left_out.csv", cases, params) if weight(e.case.row) > 0]
    return left_out_of(errors, gpu_prices(catalog))


def left_out_of(errors: Sequence[Error], prices: Mapping[str, float]) -> list[tuple[str, Summary]]:
    """What was left out of the fit (fold, source, card, family, engine) beside the regret of its predictions."""
    found = {unseen: grids([e for e in errors if e.unseen == unseen], prices) for unseen in UNSEEN}
    return [(unseen, summary(level, members)) for unseen, members in found.items() for level in LEVELS]


def left_out_lines(found: Sequence[tuple[str, Summary]]) -> list[str]:
    """The table of ``left_out`` in Markdown."""
    head = [f"| left out {HEADER}", "| --- " + "| ---: " * 8 + "|"]
    return [*head, *(f"| {unseen} | {' | '.join(one.cells)} |" for unseen, one in found)]


def left_out_csv(found: Sequence[tuple[str, Summary]]) -> str:
    """The same as a file."""
    header = ("left_out", "confidence", "grids", "questions", "answered", "regret_mean", "regret_median",
              "regret_90th_percentile", "limit_broken_percent")  # fmt: skip
    return table_csv(header, [(unseen, *one.cells) for unseen, one in found])


def table() -> list[str]:
    """The regret tables in Markdown."""
    root, catalog = default_root(), load_catalog()
    weight = weighing(root)
    errors = held_out_errors(root, catalog, load_parameters(root))
    members = grids([error for error in errors if weight(error.case.row) > 0], gpu_prices(catalog))
    head, finer = [HEADER, "| ---: " * 8 + "|"], [refined(grid) for grid in members]

    def rows(found: Sequence[Sequence[Point]]) -> list[str]:
        return [f"| {' | '.join(summary(level, found).cells)} |" for level in (*LEVELS, 0.95)]

    return [*head, *rows(members), "", BETWEEN_LOADS, "", *head, *rows(finer)]


if __name__ == "__main__":
    print("\n".join([*table(), "", *left_out_lines(left_out(default_root()))]))
