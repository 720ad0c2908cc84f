"""The fluid limit bounds what replays carry: fewer replicas than it allows never keep the promises."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from optimizer.demand import Metric, Promise
from optimizer.fleet.lower_bounds import replicas_needed
from optimizer.performance.fluid import fluid_points, fluid_seconds
from optimizer.performance.types import ReplicaSpec
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.planning.replicas_replayed import Replayer, Trial
from optimizer.problem import parts_of
from optimizer.whatif.case import open_case

PROBLEMS = Path(__file__).parents[2] / "problems"

SHAPES = (
    ["hardware.gpus=[h100_sxm_80, mi300x_192]"],
    ["hardware.gpus=[h100_sxm_80, l40s_48]", "workloads.chat.tokens.input={mean: 2000, p95: 6000}"],
    ["hardware.gpus=[h200_sxm_141]", "workloads.chat.slo.tpot_ms={p50: 30, p99: 60}"],
    ["hardware.gpus=[h100_sxm_80]", "workloads.chat.tokens.output={mean: 200, p95: 700}"],
)


def _kinds(inputs: Inputs) -> list[ReplicaSpec]:
    case = open_case(inputs).allowed()
    specs = {Trial(0, one.spec, 1, 1.0).key: one.spec for one in case.candidates.candidates}
    return [specs[key] for key in sorted(specs, key=str)]


@pytest.mark.parametrize("sets", SHAPES, ids=range(len(SHAPES)))
def test_fewer_replicas_than_the_fluid_limit_allows_miss_a_promise_or_saturate(sets: list[str]) -> None:
    inputs = read_inputs(PROBLEMS / "chatbot_100users.yaml", sets=[*sets, "margins.load_headroom=2"])
    part, rng = parts_of(inputs.problem)[0], random.Random(len(sets))
    specs = rng.sample(kinds := _kinds(inputs), min(5, len(kinds)))
    confidence, replayer = inputs.problem.margins.confidence, Replayer(inputs)
    points = fluid_points(specs, part.lengths, part.slo, part.load, confidence, inputs.params)
    tried = 0
    for spec, point in zip(specs, points, strict=True):
        needed = 20 if point is None else replicas_needed(point, part.load)
        assert needed is not None
        trial = Trial(0, spec, needed - 1, 1.0)
        if needed > 1 and replayer.beyond_saturation(trial) is None:
            tried += 1
            assert not replayer.replay(trial).kept, (spec.gpu.id, spec.weight_quant, spec.tensor_parallel, needed)
    assert specs


def test_what_a_fluid_sees_grows_with_the_load_and_ends_with_the_capacity() -> None:
    inputs = read_inputs(PROBLEMS / "chatbot_100users.yaml", sets=["hardware.gpus=[h100_sxm_80]"])
    part, spec = parts_of(inputs.problem)[0], next(one for one in _kinds(inputs) if one.tensor_parallel == 4)
    rows = [fluid_seconds(spec, part.lengths, part.slo.promises, rate, inputs.params) for rate in (0.0, 1.0, 4.0, 1e6)]
    assert rows[0] <= rows[1] <= rows[2]
    assert rows[3] == [float("inf")] * len(part.slo.promises)
    assert rows[0][1] < rows[2][1]


def test_an_end_to_end_time_is_bounded_by_the_shorter_of_mean_and_percentile() -> None:
    """Of a skewed length the median lies below the mean and a high percentile above it: the bound takes the lower."""
    inputs = read_inputs(PROBLEMS / "chatbot_100users.yaml", sets=["hardware.gpus=[h100_sxm_80]"])
    spec = next(one for one in _kinds(inputs) if one.tensor_parallel == 4)
    lengths = replace(parts_of(inputs.problem)[0].lengths, output_mean=200, output_p95=700)
    asked = [Promise(metric, at, 60.0, "x") for metric in (Metric.TTFT, Metric.TPOT, Metric.E2E) for at in (10, 50, 99)]
    told = dict(zip([(one.metric, one.percentile) for one in asked],
                    fluid_seconds(spec, lengths, asked, 0.0, inputs.params), strict=True))  # fmt: skip
    alone = told[Metric.TPOT, 10]
    steps = {at: (told[Metric.E2E, at] - told[Metric.TTFT, at]) / alone for at in (50, 99)}
    assert steps[99] == pytest.approx(199, rel=0.01)
    assert steps[50] < 0.9 * steps[99]
