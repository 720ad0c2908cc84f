"""Units never get cheaper by planning for more."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from optimizer.decide import solve_problem

pytestmark = pytest.mark.cards("l40s_48", "h100_sxm_80")

FILE = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 10}
    tokens: {input: 1000, output: 200, context_max: 4096}
    slo: {ttft_ms: {p95: 1000}, tpot_ms: {p95: 50}}
hardware: {gpus: [l40s_48, h100_sxm_80]}
ranking: {top: 1}
"""
PROFILE = "profile: [{name: day, hours_per_month: 230, factor: 1.5}, {name: night, hours_per_month: 500, factor: 0.2}]"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("units") / "chat.yaml"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize(
    "traffic",
    [
        "requests_per_second: 10",
        "output_tokens_per_second: 2000, concurrency: 100",
        "concurrency: 100",
        "users: {active: 500, requests_per_user_per_hour: 60}",
        "users: {active: 900, think_time_s: 40}",
        f"requests_per_second: 10, {PROFILE}",
    ],
)
def test_units_never_get_cheaper_as_headroom_or_peak_grow(file: Path, traffic: str) -> None:
    """They are bought for days that are not average: the bill rises with them, what is expected does not."""

    def units(headroom: float, peak: float) -> list[float]:
        sets = [f"workloads.chat.traffic={{{traffic}, peak_factor: {peak}}}", f"margins.load_headroom={headroom}"]
        costs = solve_problem(file, sets=sets, simulate=False).plans[0].unit_costs
        assert costs is not None
        found = [costs.per_million_output_tokens, costs.per_million_input_tokens, costs.per_request]
        return [cost for cost in (*found, costs.per_user_month) if cost is not None]

    rows = [units(headroom, peak) for headroom, peak in ((0.0, 1.0), (0.1, 1.0), (0.1, 1.3), (0.6, 1.3))]
    for less, more in pairwise(rows):
        assert all(one <= other * (1 + 1e-9) for one, other in zip(less, more, strict=True))
    assert rows[-1][0] > rows[0][0]
