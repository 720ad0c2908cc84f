"""The benchmarks of accuracy: bars, engine dates, savings of measurements, and what another tool is asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bars import Bar
from benchmarks.confirmed import Curve, of_setups, packaged
from benchmarks.disaggregated import in_band, read_left_out
from benchmarks.engine_age import PRIOR, Trend, month, pace, trend
from benchmarks.mixtures import draft_bars, pool_bars
from benchmarks.peers.__main__ import WAYS, asked, question
from benchmarks.speculative import Compared, share_of_signs, signs
from optimizer.calibrate.benchmark_results import parse_row
from optimizer.calibrate.rows import RowCase, case_of
from optimizer.catalog import default_root, load_catalog

CATALOG = load_catalog()
CELLS = {
    "gpu": "h200_sxm_141", "engine": "vllm", "model": "meta-llama/Llama-3.1-70B-Instruct", "weight_quant": "fp8",
    "tp": "4", "input_tokens": "1024", "output_tokens": "300", "interconnect": "nvlink", "load": "closed_loop",
    "concurrency": "32", "tpot_ms_mean": "20",
}  # fmt: skip


def case(**cells: str) -> RowCase:
    return case_of(parse_row({**CELLS, **cells}), CATALOG)


@pytest.mark.parametrize(
    ("found", "met"), [((10.9,), True), ((11.04,), True), ((11.06,), False), ((5.0, 12.0), False), ((2.0,), False)]
)
def test_a_bar_is_met_by_every_value_as_printed(found: tuple[float, ...], met: bool) -> None:
    bar = Bar("error", found, most=11.0, least=3.0)
    assert bar.met is met and bar.line.endswith("| yes |" if met else "| no |")


def test_dates_without_a_month_say_nothing_of_age() -> None:
    assert month("2026-03-12") == month("2026-03") == 12 * 2026 + 3
    assert month("2024-09/2024-11") == 12 * 2024 + 9
    assert month("2026") is None and month("") is None


def test_a_pace_is_found_again_within_groups_and_is_the_prior_without_them() -> None:
    groups = [trend([0, 6, 12, 24], [level - 0.03 * at for at in (0, 6, 12, 24)]) for level in (0.0, 2.0, -1.0)]
    assert [one.slope for one in groups] == pytest.approx([-0.03] * 3)
    assert pace(groups, -PRIOR[True]) == pytest.approx(-0.03, abs=0.001)
    assert pace([], PRIOR[True]) == pytest.approx(PRIOR[True])
    assert pace([trend([5, 5], [0.0, 1.0])], PRIOR[False]) == pytest.approx(PRIOR[False])  # one month: no pace
    assert Trend().slope == 0.0


CURVE = Curve(np.log([1.0, 4.0, 16.0]), np.log([10.0, 20.0, 40.0]), np.log([100.0, 200.0, 400.0]))


def test_a_bill_is_that_of_the_largest_load_that_keeps_the_limit() -> None:
    assert CURVE.bill(9.9, 1.0) is None
    assert CURVE.bill(10.0, 1.0) == pytest.approx(1 / 100)
    assert CURVE.bill(20.0 * 2**0.5, 1.0) == pytest.approx(1 / (200 * 2**0.5))
    assert CURVE.bill(400.0, 1.0) == pytest.approx(1 / 400)  # beyond the largest measured load nothing is claimed
    assert CURVE.bill(40.0, 2.0) == pytest.approx(1 / 200)
    assert CURVE.bill(40.0, 1.0, slowness=2.0) == pytest.approx(2 / 200)


def test_savings_that_confirm_claims_are_those_of_published_setups() -> None:
    setups = of_setups(packaged(default_root()))
    claimed, realised, kept = (float(np.mean([one[position] for one in setups])) for position in (2, 3, 4))
    assert len(setups) >= 20 and claimed > 0.05
    assert 0.75 <= realised / claimed <= 1.25
    assert kept >= 0.9


def test_another_tool_is_asked_for_what_a_row_says() -> None:
    dense, budget = (question(case(), way) for way in WAYS)
    assert dense is not None and budget is not None
    assert (dense["tp_size"], dense["batch_size"], dense["gemm_quant_mode"]) == (4, 32, "fp8")
    assert dense["ctx_tokens"] is None and budget["ctx_tokens"] == case().spec.max_num_batched_tokens
    ranks = question(case(model="deepseek-ai/DeepSeek-V3", tp="1", attention_dp="8", expert_parallel="8"), WAYS[0])
    assert ranks is not None
    assert (ranks["attention_dp_size"], ranks["moe_ep_size"], ranks["moe_tp_size"]) == (8, 8, 1)
    assert ranks["batch_size"] == 4  # of one rank
    assert question(case(gpu="mi300x_192"), WAYS[0]) is None
    assert question(case(model="google/gemma-2-9b-it"), WAYS[0]) is None


def test_a_tool_that_is_not_there_is_skipped_and_one_that_refuses_is_heard(tmp_path: Path) -> None:
    absent, present = tmp_path / "absent", tmp_path / "present"
    absent.write_text("#!/bin/sh\ncat >/dev/null\nexit 3\n", encoding="utf-8")
    present.write_text(
        '#!/bin/sh\nwhile read -r line || [ -n "$line" ]; do case $line in *bad*) echo \'{"refused": "Error"}\' ;; '
        '*) echo \'{"ttft_ms": 1.5, "tpot_ms": 2.5}\' ;; esac; done\n',
        encoding="utf-8",
    )
    for script in (absent, present):
        script.chmod(0o755)
    asking: list[dict[str, object]] = [{"model": "good"}, {"model": "bad"}, {"model": "good"}]
    assert asked(asking, str(absent)) is None
    good = json.loads('{"ttft_ms": 1.5, "tpot_ms": 2.5}')
    assert asked(asking, str(present)) == [good, {"refused": "Error"}, good]


def test_mixtures_are_judged_by_rows_their_fit_did_not_see() -> None:
    runs = read_left_out(default_root())
    held = in_band(runs, default_root())
    found = {bar.figure: bar for bar in pool_bars(runs, default_root())}
    (of_tpot,) = (bar for name, bar in found.items() if name.startswith("pools, tpot"))
    tpots = [run for run in runs if run.figure == "tpot"]
    assert of_tpot.found == (pytest.approx(100 * np.median([abs(run.relative) for run in tpots])),)
    assert found["pools, 90 % band of tpot, rows in it, %"].found[0] == pytest.approx(
        100 * sum(inside for run, inside in zip(runs, held, strict=True) if run.figure == "tpot") / len(tpots)
    )


def test_a_speed_up_is_right_in_sign_where_both_sides_are_faster_or_both_slower() -> None:
    ups = [Compared("a", "g", measured, predicted) for measured, predicted in ((1.5, 1.2), (0.9, 0.8), (0.9, 1.1))]
    size, sign = list(draft_bars(ups, ups))[1:]
    assert share_of_signs(ups) == pytest.approx(2 / 3) and signs(ups) == "sign right in 2 of 3"
    assert size.found == (pytest.approx(20.0),) and not sign.met
