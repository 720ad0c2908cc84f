"""Ways out of infeasible problems: each edit is applied as ``--set`` would and solved again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import pytest

from optimizer.catalog import default_root
from optimizer.catalog.types import Catalog
from optimizer.fleet import Edit, FleetResult, FleetStatus, propose_edits, solve_fleet
from optimizer.fleet.candidate_set import enumerate_candidates
from optimizer.fleet.relaxation_edits import _Writer, rounded_down, rounded_up
from optimizer.performance import Parameters, load_parameters
from optimizer.planning.inputs import catalog_of
from optimizer.pricing import node_options
from optimizer.problem import load_of, load_problem

pytestmark = pytest.mark.cards("h100_sxm_80", "l40s_48")

BASE = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {concurrency: 200, requests_per_second: 20}
    tokens: {input: 1024, output: 256, context_max: 8192}
    slo: {ttft_ms: 2000, tpot_ms: 60}
hardware: {gpus: [h100_sxm_80, l40s_48]}
engine: {tensor_parallel: [1, 2], pipeline_parallel: [1]}
ranking: {top: 1}
"""


@lru_cache(maxsize=1)
def parts() -> tuple[Catalog, Parameters]:
    return catalog_of(None)[0], load_parameters(default_root())


def solve(path: Path, sets: Sequence[str]) -> tuple[FleetResult, tuple[Edit, ...]]:
    catalog, params = parts()
    problem = load_problem(path, sets=sets)
    options = node_options(problem, catalog)
    candidates = enumerate_candidates(problem, catalog, options, params)
    loads = [load_of(workload, problem) for workload in problem.workloads]
    result = solve_fleet(problem, candidates, options, loads)
    if result.status is FleetStatus.INFEASIBLE:
        return result, propose_edits(problem, catalog, params, candidates, options)
    return result, ()


@pytest.fixture(name="problem")
def problem_file(tmp_path: Path) -> Path:
    path = tmp_path / "problem.yaml"
    path.write_text(BASE)
    return path


CASES = {
    "ttft": (["workloads.chat.slo.ttft_ms=20"], "workloads.chat.slo.ttft_ms"),
    "tpot": (["workloads.chat.slo.tpot_ms=1"], "workloads.chat.slo.tpot_ms"),
    "budget": (["budget.monthly=100"], "budget.monthly"),
    "max gpus": (["hardware.limits.max_gpus=1", "workloads.chat.traffic.concurrency=2000"],
                 "hardware.limits.max_gpus"),
    "tiers": (["payment.tiers=[purchase]", "hardware.gpus=[l40s_48]"], "payment.tiers"),
    "only owned": (
        ["hardware.only_owned=true", "hardware.owned=[{gpu: l40s_48, gpus_per_node: 1, nodes: 1}]"],
        "hardware.only_owned",
    ),
    "owned nodes": (
        ["hardware.only_owned=true", "hardware.owned=[{gpu: h100_sxm_80, gpus_per_node: 1, nodes: 1}]",
         "workloads.chat.traffic.concurrency=3000"],
        "hardware.owned.0.nodes",
    ),
    "quality": (["workloads.chat.quality.min_recovery=1.0", "engine.weight_quant=[int4]"],
                "workloads.chat.quality.min_recovery"),
    "grade": (["ranking.min_grade=B", "engine.pipeline_parallel=[2]"], "ranking.min_grade"),
    "spare": (["margins.spare_nodes=3", "hardware.limits.max_nodes=2"], "margins.spare_nodes"),
    "spare or nodes": (["margins.spare_nodes=3", "hardware.limits.max_nodes=2"], "hardware.limits.max_nodes"),
    "licence": (["hardware.gpus={exclude: [l40s_48]}", "hardware.limits.max_gpu_kinds=1",
                 "workloads.chat.slo.ttft_ms=20"], "workloads.chat.slo.ttft_ms"),
    "load": (["hardware.limits.max_gpus=1", "workloads.chat.traffic.concurrency=2000"],
             "workloads.chat.traffic.concurrency"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_way_out_is_found_and_helps(problem: Path, name: str) -> None:
    sets, path = CASES[name]
    result, edits = solve(problem, sets)
    assert result.status is FleetStatus.INFEASIBLE
    mine = [edit for edit in edits if path in [edit.path, *(other.path for other in edit.also)]]
    assert mine, edits
    edit = mine[0]
    more = [f"{one.path}={json.dumps(one.after)}" for one in (edit, *edit.also)]
    after, _ = solve(problem, [*sets, *more])
    assert after.solutions, edit


@pytest.mark.parametrize(
    "rule",
    [
        "hardware.regions=[nowhere]",
        "hardware.providers=[nobody]",
        "hardware.providers={classes: [marketplace]}",
        "hardware.market=cn",
        "hardware.require={countries: [AQ]}",
        "hardware.require={headquarters: [AQ]}",
        "hardware.require={certificates: [TISAX]}",
    ],
)
def test_from_whom_and_where_to_buy_is_never_given_up(problem: Path, rule: str) -> None:
    result, edits = solve(problem, [rule, "workloads.chat.slo.ttft_ms=20"])
    assert result.status is FleetStatus.INFEASIBLE
    made = [one.path for edit in edits for one in (edit, *edit.also)]
    assert not any(path.startswith(rule.split("=", maxsplit=1)[0]) for path in made)


def test_nothing_helps_where_the_model_fits_nowhere(problem: Path) -> None:
    text = BASE.replace("Llama-3.1-8B-Instruct", "Llama-3.1-405B-Instruct").replace("gpus: [h100_sxm_80, l40s_48]", "")
    problem.write_text(text)
    catalog, params = parts()
    read = load_problem(problem, sets=["engine.name=mindie"])
    options = [option for option in node_options(read, catalog) if option.node_type.gpu.id == "l40s_48"]
    candidates = enumerate_candidates(read, catalog, options, params)
    assert not candidates.candidates
    assert propose_edits(read, catalog, params, candidates, options) == ()


@pytest.mark.parametrize(
    ("path", "stated", "excess", "after"),
    [
        ("hardware.limits.max_power_kw", 0.5, 1234, 1.8),  # 1,734 W, to the next 100
        ("hardware.limits.max_power_kw", 10, 100, 10.1),
        ("hardware.limits.max_power_kw", 10, 101, 10.2),
        ("hardware.limits.max_gpus", 4, 3, 7),
        ("hardware.limits.max_nodes", 1, 2, 3),
    ],
)
def test_a_limit_is_raised_by_what_is_missing(path: str, stated: float, excess: int, after: float) -> None:
    """Excesses of power are watts, the limit is kilowatts."""
    edit = _Writer._limit(SimpleNamespace(_stated=lambda _: stated), path, excess)  # type: ignore[arg-type]
    assert (edit.path, edit.before, edit.after) == (path, stated, after)


@pytest.mark.parametrize(
    ("value", "up", "down"), [(1234.0, 1300, 1200), (0.0321, 0.033, 0.032), (50, 50, 50), (0, 0, 0)]
)
def test_rounding_to_two_digits(value: float, up: float, down: float) -> None:
    assert rounded_up(value) == up
    assert rounded_down(value) == down
