"""Plans that draft: where drafts win, where nothing can be drafted, and what is said of either."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.commands import cli
from optimizer.decide import solve_problem
from optimizer.errors import ProblemError
from optimizer.negotiate.check import check
from optimizer.plan.types import Infeasible, Outcome
from optimizer.report import render
from optimizer.report.drafts import without_drafts

NAME = "reasoning_speculative"

HEAD = """
name: a small model with a head
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    task: TASK
    traffic: {concurrency: HELD}
    tokens: {input: 500, output: 300, context_max: 4096}
    slo: {tpot_ms: {p95: TPOT}}
hardware: {gpus: [h100_sxm_80], providers: [supplier]}
engine: {name: ENGINE, speculative: ASKED, weight_quant: [native], kv_cache: [auto], tensor_parallel: [1],
  pipeline_parallel: [1]}
ranking: {top: 1}
offers:
  - {id: node, provider: supplier, gpu: h100_sxm_80, gpus_per_node: 1, price_per_hour: 2.5}
"""


def small(folder: Path, **words: object) -> Path:
    text = HEAD
    for word, value in {"TASK": "chat", "HELD": 4, "TPOT": 6, "ENGINE": "vllm", "ASKED": "any", **words}.items():
        text = text.replace(word, str(value))
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def test_drafts_keep_a_promise_on_half_the_cards(solved) -> None:
    best, plain = solved(NAME).plans[0], solved(NAME, "engine.speculative=off").plans[0]
    assert best.proven
    assert best.groups[0].drafts.method == "mtp"
    assert plain.groups[0].drafts is None
    assert best.monthly_cents < 0.6 * plain.monthly_cents
    assert best.grade == "B"  # drafts are never of grade A
    assert any("speculative decoding" in reason for reason in best.predicted[0].grade_reasons)


def test_report_names_the_drafts(solved) -> None:
    outcome: Outcome = solved(NAME)
    drafts = outcome.plans[0].groups[0].drafts
    assert drafts is not None
    assert f" {drafts.words}" in render(outcome, "text")
    stated = json.loads(render(outcome, "json"))["plans"][0]["groups"][0]["speculative"]
    assert (stated["method"], stated["tokens"]) == (drafts.method, drafts.tokens)


def test_a_head_drafts_where_one_step_a_token_is_too_slow(tmp_path: Path) -> None:
    outcome = solve_problem(small(tmp_path))
    drafts = outcome.plans[0].groups[0].drafts
    assert drafts is not None
    assert drafts.head == "yuhuili/EAGLE3-LLaMA3.1-Instruct-8B"
    assert drafts.acceptance == pytest.approx(0.774)  # low end of the model's own runs on chat
    assert isinstance(solve_problem(small(tmp_path, ASKED="off"), simulate=False), Infeasible)


def test_a_large_batch_drafts_nothing(tmp_path: Path) -> None:
    """Where plain steps keep the promise on as many cards, nothing is drafted."""
    outcome = solve_problem(small(tmp_path, HELD=200, TPOT=60))
    assert outcome.plans[0].groups[0].drafts is None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"ENGINE": "trtllm"}, "the options that make TensorRT-LLM draft were not read"),
        ({"TASK": "null"}, "follows from workloads[].task, which is not stated"),
    ],
)
def test_why_nothing_is_drafted_is_said(tmp_path: Path, words: dict[str, str], why: str) -> None:
    outcome = solve_problem(small(tmp_path, TPOT=60, **words), simulate=False)
    assert any(why in warning for warning in outcome.warnings), outcome.warnings
    assert any(why in line for line in check(small(tmp_path, **words)).remarks)  # before anything is worked out


def test_check_has_nothing_to_say_where_drafts_are_possible(tmp_path: Path) -> None:
    assert not any("leaves drafts out" in line for line in check(small(tmp_path)).remarks)


@pytest.mark.parametrize(
    ("most_load", "words"),
    [
        (False, "without speculation $8,921 a month (+100 %)"),
        (True, "without speculation $8,921 a month for 50 % of the load"),
    ],
)
def test_what_comes_without_drafts_is_told_in_what_is_sought(solved, most_load: bool, words: str) -> None:
    plan = replace(solved(NAME).plans[0], monthly_cents=446_050, load_factor=2.0)
    other = replace(plan, monthly_cents=892_100, load_factor=1.0)
    assert without_drafts(plan, other, most_load=most_load) == words
    assert without_drafts(plan, None, most_load=most_load) == "without speculation nothing keeps every promise"


def test_the_benchmark_says_what_its_random_tokens_do_not_show(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["launch", f"problems/{NAME}.yaml", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    (script,) = (tmp_path / "out").rglob("*-benchmark.sh")
    assert "of drafted tokens are accepted, as of real text. Random tokens say nothing of that" in script.read_text()


def test_required_without_a_task_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="the task of chat is not stated"):
        solve_problem(small(tmp_path, ASKED="required", TASK="null"))


def test_required_leaves_nothing_plain(tmp_path: Path) -> None:
    outcome = solve_problem(small(tmp_path, ASKED="required", TPOT=60), simulate=False)
    assert outcome.plans[0].groups[0].drafts is not None
    assert "a published draft (engine.speculative)" in [step.rule for step in outcome.funnel]
