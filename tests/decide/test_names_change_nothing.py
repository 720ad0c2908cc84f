"""The name of a workload is a name: no figure of any answer depends on it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.decide import decide, read_inputs
from optimizer.negotiate.explain import explain
from optimizer.negotiate.frontier import frontier
from optimizer.negotiate.targets import targets
from optimizer.problem import load_problem
from optimizer.report import render

ROOT = Path(__file__).resolve().parents[2]
PROBLEMS = sorted((ROOT / "problems").glob("*.yaml"))
NAMES = ("traffic", "slo", "e2e_s", "ttft_ms", "tokens_per_second_per_user", "quality", "payment", "min_replicas")
RENAMED = """
name: renamed
workloads:
  - name: {name}
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {{concurrency: 20, requests_per_second: 1.0}}
    tokens: {{input: 1024, output: 300, context_max: 4096}}
    slo: {{ttft_ms: 12}}
hardware: {{gpus: [h100_sxm_80, l40s_48]}}
"""
INFEASIBLE = """
workloads:
  - name: {name}
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {{concurrency: 4, min_replicas: 4}}
    tokens: {{input: 500, output: 200, context_max: 4096}}
    slo: {{ttft_ms: 2000, tpot_ms: 60}}
hardware:
  gpus: [l4_24, l40s_48]
  limits: {{max_gpus: 2}}
"""


def _figures(value: Any, names: dict[str, str], key: str = "") -> Any:
    """A document with its workloads' names put back, in paths and where a workload is named; hashes and paths of files
    left out."""
    if isinstance(value, dict):
        left_out = ("sha256", "path", "warnings", "seal")
        return {inner: _figures(one, names, inner) for inner, one in value.items() if inner not in left_out}
    if isinstance(value, list):
        return [_figures(one, names, key) for one in value]
    if isinstance(value, str):
        before = r"^workloads\." if key not in ("workload", "workloads", "name") else "^"
        for new, old in names.items():
            found = re.sub(rf"({before}){re.escape(new)}(?=$|[./])", rf"\g<1>{old}", value)
            if found != value:
                return found
    return value


def _answer(path: Path, sets: list[str], names: dict[str, str]) -> Any:
    inputs = read_inputs(path, sets=["ranking.top=2", *sets])
    return _figures(json.loads(render(decide(inputs, simulate=False), "json")), names)


@pytest.mark.parametrize("path", PROBLEMS, ids=lambda path: path.stem)
def test_the_answer_of_every_shipped_problem(path: Path) -> None:
    count = len(load_problem(path).workloads)
    offset = len(path.stem) % len(NAMES)
    chosen = [NAMES[(offset + number) % len(NAMES)] for number in range(count)]
    stated = {one.name: f"was_{index}" for index, one in enumerate(load_problem(path).workloads)}
    renamed = {name: f"was_{index}" for index, name in enumerate(chosen)}
    sets = [f"workloads.{index}.name={name}" for index, name in enumerate(chosen)]
    assert _answer(path, sets, renamed) == _answer(path, [], stated)


def _ways(path: Path, name: str, text: str) -> list[tuple[str, object, object, int]]:
    path.write_text(text.format(name=name))
    outcome = decide(read_inputs(path), simulate=False)
    return [
        (way.change.replace(f"workloads.{name}.", "workloads.it."), way.before, way.after, way.monthly_cents)
        for way in outcome.relaxations
    ]


@pytest.mark.cards("h100_sxm_80", "l40s_48", "l4_24")
@pytest.mark.parametrize("text", [RENAMED, INFEASIBLE], ids=["promise", "copies"])
def test_ways_out(tmp_path: Path, text: str) -> None:
    expected = _ways(tmp_path / "problem.yaml", "chat", text)
    assert expected
    for name in ("traffic", "slo", "min_replicas"):
        assert _ways(tmp_path / "problem.yaml", name, text) == expected


@pytest.mark.cards("h100_sxm_80", "l40s_48", "l4_24")
def test_copies_are_a_way_out(tmp_path: Path) -> None:
    ways = _ways(tmp_path / "problem.yaml", "chat", INFEASIBLE)
    told = [(before, after, round(cents / 100)) for path, before, after, cents in ways if path.endswith("min_replicas")]
    assert told == [(4, 1, 514), (4, 2, 1029)]


@pytest.mark.cards("h100_sxm_80", "l40s_48", "l4_24")
def test_a_frontier(tmp_path: Path) -> None:
    found = []
    for name in ("chat", "traffic", "slo"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(RENAMED.format(name=name).replace("ttft_ms: 12", "ttft_ms: 1200"))
        curve = frontier(path, ("concurrency", "10:200:10"), jobs=1, simulate=False).curves[0]
        found.append([(step.first, step.last, step.first_cents, step.last_cents) for step in curve.steps])
    assert found[0] == found[1] == found[2]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12))
def test_any_name_is_taken_or_refused(tmp_path: Path, name: str) -> None:
    """With a dot it would be two steps of a path, so it is refused with that reason."""
    from optimizer.errors import ProblemError

    path = tmp_path / "problem.yaml"
    path.write_text(RENAMED.format(name=json.dumps(name)))
    try:
        problem = load_problem(path)
    except ProblemError as error:
        assert error.findings
        return
    from optimizer.problem import stated_promises

    assert not set(problem.workloads[0].name) & set(".[]=")
    assert [one.figure.key for one in stated_promises(problem)][:3] == ["ttft_ms", "concurrency", "requests_per_second"]


@pytest.mark.cards("h100_sxm_80", "l40s_48", "l4_24")
def test_an_explanation_and_prices_to_ask_for(tmp_path: Path) -> None:
    found = []
    for name in ("chat", "traffic"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(RENAMED.format(name=name).replace("ttft_ms: 12", "ttft_ms: 1200"))
        told = explain(path, simulate=False)
        moved = [
            (one.path.replace(f"workloads.{name}.", ""), *(step and step.value for step in (one.looser, one.tighter)))
            for one in told.moves
        ]
        prices = [(one.gpu, one.provider, one.per_gpu_hour) for one in targets(path, simulate=False).prices]
        found.append((moved, told.reign and told.reign.last, [one.monthly_cents for one in told.stress], prices))
    assert found[0] == found[1]
    assert len(found[0][0]) >= 4
