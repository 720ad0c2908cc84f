"""How mixtures of experts are served, each figure beside its bar: anchors, attention ranks and dealt
experts, prefill and decode pools, multi-token prediction, speed-ups of drafts, engine steps behind attention ranks.

Nothing is fitted here: errors are of rows left out of the fit with their whole group (``left_out.csv``,
``pool_left_out.csv``), published anchors were never fitted to.

    python -m benchmarks.mixtures
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.anchors import ANCHORS, predicted
from benchmarks.bars import HIGHEST, LOWEST, Bar, medians, table
from benchmarks.disaggregated import FIGURES, PoolError, in_band, read_left_out
from benchmarks.speculative import Compared, served, share_of_signs, speed_ups
from optimizer.calibrate.engine_steps import StepError, step_cases, step_errors
from optimizer.calibrate.left_out import FOLDS, read_errors
from optimizer.calibrate.scores import THROUGHPUT, TPOT, TTFT, Error, packaged_cases, weighing
from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.types import Catalog
from optimizer.performance import load_parameters
from optimizer.performance.expert_ranks import Layout, layout_of
from optimizer.performance.parameters import Parameters

POOLS = {TPOT: 13.0, TTFT: 35.0, THROUGHPUT: 13.0}
"""Median errors of disaggregated serving, percent at most."""


def anchor_bars(catalog: Catalog, params: Parameters) -> Iterator[Bar]:
    """The largest error of published decode rates and of published prompt rates, in percent."""
    for name, prompts, most in (("decode", False, 20.0), ("prompts", True, 30.0)):
        mine = [anchor for anchor in ANCHORS if (anchor.batch == 0) is prompts]
        off = [100.0 * abs(predicted(anchor, catalog, params) / anchor.published - 1.0) for anchor in mine]
        yield Bar(f"published anchors, {name} ({len(mine)}): largest error, %", (max(off),), most)


def rank_bars(errors: Sequence[Error]) -> Iterator[Bar]:
    """Serving rows with attention ranks or dealt experts, left out with their group; rows and groups."""
    mine = [e for e in errors if e.unseen == FOLDS and layout_of(e.case.spec) is not Layout.TENSOR]
    for name, figure, most in (("TPOT", TPOT, 10.0), ("TTFT, known start", TTFT, 35.0)):
        found = [error for error in mine if error.band == figure]
        yield Bar(f"attention ranks, dealt experts, {name} ({len(found)}): median of rows / groups, %",
                  medians(found), most)  # fmt: skip


def pool_bars(errors: Sequence[PoolError], root: Path) -> Iterator[Bar]:
    """Disaggregated runs, left out with their group: median errors, and how many truths lie in the band."""
    held = in_band(errors, root)
    for figure in FIGURES:
        mine = [index for index, error in enumerate(errors) if error.figure == figure]
        off = statistics.median(100.0 * abs(errors[index].relative) for index in mine)
        yield Bar(f"pools, {figure} ({len(mine)}): median, %", (off,), POOLS[figure])
        inside = 100.0 * sum(held[index] for index in mine) / len(mine)
        yield Bar(f"pools, 90 % band of {figure}, rows in it, %", (inside,), HIGHEST, LOWEST)


def draft_bars(rows: Sequence[Compared], ups: Sequence[Compared]) -> Iterator[Bar]:
    """Rows with multi-token prediction, and speed-ups by drafts: their size and whether there is one."""
    for name, found, most in (("serving rows with MTP, TPOT", rows, 18.0), ("speed-ups by drafts", ups, 20.0)):
        off = statistics.median(100.0 * abs(one.relative) for one in found)
        yield Bar(f"{name} ({len(found)}): median, %", (off,), most)
    yield Bar("speed-ups by drafts: sign right, %", (100.0 * share_of_signs(ups),), least=90.0)


def rank_step_bar(errors: Sequence[StepError]) -> Bar:
    """Single decode steps behind attention ranks."""
    off = [100.0 * abs(error.relative) for error in errors if error.kind == "mixture, attention DP, decode"]
    return Bar(f"engine steps behind attention ranks, decode ({len(off)}): median, %", (statistics.median(off),), 6.0)


def mixture_bars(root: Path) -> Iterator[Bar]:
    """Every figure, of the packaged measurements."""
    catalog, params, weight = load_catalog(), load_parameters(root), weighing(root)
    errors = read_errors(root / "performance" / "left_out.csv", packaged_cases(root, catalog, params), params)
    yield from anchor_bars(catalog, params)
    yield from rank_bars([error for error in errors if weight(error.case.row) > 0])
    yield from pool_bars(read_left_out(root), root)
    yield from draft_bars(served(catalog, params), speed_ups(catalog, params))
    yield rank_step_bar(step_errors(step_cases(root, catalog), params))


if __name__ == "__main__":
    print("\n".join(table([*mixture_bars(default_root())])))
