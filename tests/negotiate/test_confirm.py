"""What a measurement is worth: bills that never fall with slowness, both prices, and commands a shell takes."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.decide import answer as decide
from optimizer.decide import read_inputs
from optimizer.errors import UsageError
from optimizer.negotiate import confirm as asked
from optimizer.negotiate.confirm import PARTS, Confirmation, Measurement, confirm, departures
from optimizer.performance.accuracy import ENOUGH_OWN, OWN, named_band
from optimizer.performance.types import Grade
from optimizer.report.negotiate_confirm import commands, render_confirmation

pytestmark = pytest.mark.cards("h100_sxm_80")

PROBLEM = Path(__file__).parents[2] / "problems" / "chatbot_100users.yaml"
TIGHT = ("hardware.gpus=[h100_sxm_80]", "engine.weight_quant=[fp8]", "ranking.top=1")

MIX = """
name: a large card in short supply, a small one beside it
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 70}
    tokens: {input: 900, output: 120, context_max: 4096}
    slo: {ttft_ms: {p95: 1500}, tpot_ms: {p95: 60}}
hardware: {providers: [mine]}
offers:
  - {id: large, provider: mine, gpu: h100_sxm_80, gpus_per_node: 1, currency: USD, price_per_hour: 3.0, stock: 1}
  - {id: small, provider: mine, gpu: l40s_48, gpus_per_node: 1, currency: USD, price_per_hour: 1.1}
engine: {tensor_parallel: [1], pipeline_parallel: [1], kv_cache: [auto], weight_quant: [fp8]}
ranking: {top: 1, max_configurations_per_workload: 2}
"""


@pytest.fixture(scope="module")
def answer() -> Confirmation:
    return confirm(PROBLEM, sets=TIGHT, simulate=False)


@pytest.mark.parametrize(("grade", "engine"), [(g, e) for g in Grade for e in ("vllm", "sglang", "trtllm", "")])
def test_departures_ascend_about_one_and_stay_inside_the_usual_band(grade: Grade, engine: str) -> None:
    found, usual = departures((grade, engine)), named_band("tpot", grade, engine)
    assert len(found) == PARTS and list(found) == sorted(found)
    assert usual.low < found[0] < 1 < found[-1] < usual.high


def test_nothing_departs_that_was_measured_already() -> None:
    assert departures((Grade.A, OWN)) == pytest.approx([1.0] * PARTS)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=12), st.integers(0, 3))
def test_bills_are_those_of_asking_every_one_and_few_are_asked(steps: list[int], never: int) -> None:
    bills: list[int | None] = [*sorted(steps), *[None] * never]
    seen: list[int] = []

    def bill(number: int) -> int | None:
        seen.append(number)
        return bills[number]

    assert list(asked._rising(len(bills), bill)) == bills
    assert len(seen) == len(set(seen)) <= len(bills)


def test_measuring_never_costs_more_than_what_is_known_today(answer: Confirmation) -> None:
    assert answer.asked_cents is not None and answer.even_cents is not None
    assert answer.even_cents <= answer.asked_cents
    (one,) = [found for found in answer.measurements if found.in_first]
    known = [bill for bill in one.outcomes if bill is not None]
    assert known == sorted(known)
    assert all(saved == max(answer.asked_cents - bill, 0) for saved, bill in zip(one.saved, known, strict=False))
    assert 0 <= one.chance <= 1 and one.expected_cents <= answer.asked_cents


def test_what_was_worked_out_for_the_usual_setup_says_nothing_of_the_measured_one(answer: Confirmation) -> None:
    """A setup found twice as quick takes fewer cards, one found twice as slow more: asked after the question itself."""
    decided = decide(read_inputs(PROBLEM, sets=TIGHT), simulate=False)
    (spec, *_) = [group.candidate.spec for group in decided.result.solutions[0].groups]
    quick, slow = (asked._bill(decided.case, spec, factor, simulate=False) for factor in (0.5, 2.0))
    assert quick is not None and slow is not None and answer.asked_cents is not None
    assert quick < answer.asked_cents < slow


def test_a_setup_is_measured_beside_the_other_kind_of_its_mix(tmp_path: Path) -> None:
    """The other kind of replica still serves its share, on its own card."""
    path = tmp_path / "mix.yaml"
    path.write_text(MIX)
    decided = decide(read_inputs(path), tested=False)
    first = decided.result.solutions[0]
    assert len({group.candidate.spec.gpu.id for group in first.groups}) == 2
    for group in first.groups:
        bill = asked._bill(decided.case, group.candidate.spec, 0.5, simulate=True)
        assert bill is not None and bill < first.monthly_cents


def test_the_report_names_both_prices_the_node_and_what_to_type(answer: Confirmation) -> None:
    text = render_confirmation(answer, "text")
    assert "at confidence 0.9: $" in text and "at confidence 0.5: $" in text
    assert "2 hours on " in text and "optimize calibrate own-*.json" in text
    assert max(map(len, text.splitlines())) <= 80
    (first, *_) = json.loads(render_confirmation(answer, "json"))["confirm"]["measurements"]
    assert first["node"]["hours"] == 2 and len(first["monthly_costs"]) == PARTS


def test_a_shell_takes_the_commands_and_they_measure_enough_loads(answer: Confirmation) -> None:
    for one in answer.measurements:
        asked = answer.outcome.asked[0].stated.lengths
        script = "\n".join(commands(one.group, asked, "a file.yaml"))
        assert f" {asked.input_mean:.0f} " in script and " \\\n      \\" not in script
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        lengths, levels = script.split("for i in ")[1].split("; do for c in ")
        assert len(lengths.split()) * len(levels.split("; do")[0].split()) >= ENOUGH_OWN


def test_what_is_asked_anew_is_what_was_asked(answer: Confirmation) -> None:
    """The edits of the problem, and no promise that weights exist which nobody publishes."""
    last = commands(answer.measurements[0].group, answer.outcome.asked[0].stated.lengths, "a.yaml", answer.sets)[-1]
    assert shlex.split(last.replace("\\\n", " ")) == [
        "optimize", "a.yaml", *(word for one in TIGHT for word in ("--set", one)), "--calibration", "own.csv",
    ]  # fmt: skip
    (one, *_) = answer.measurements
    made = replace(one, group=replace(one.group, weight_quant="nvfp4", checkpoint="quantize_yourself", published_as=""))
    text = " ".join(render_confirmation(replace(answer, measurements=(made,)), "text").split())
    assert "in NVFP4 (no published checkpoint is known: make one first)" in text


def test_where_no_margin_is_asked_nothing_can_be_given_back() -> None:
    text = render_confirmation(confirm(PROBLEM, sets=[*TIGHT, "margins.confidence=0.5"], simulate=False), "text")
    assert "No margin is asked" in text


def test_without_a_plan_a_measurement_may_make_one_possible(answer: Confirmation) -> None:
    (one, *_) = answer.measurements
    none = replace(answer.outcome, plans=())
    maybe: Measurement = replace(one, outcomes=(1000, None), saved=(1, 0), in_first=False)
    text = render_confirmation(replace(answer, outcome=none, measurements=(maybe,)), "text")
    assert "with probability 0.5 it shows that every promise can be kept, from $10 a month" in " ".join(text.split())


def test_only_money_is_weighed() -> None:
    with pytest.raises(UsageError, match="a measurement is valued in money"):
        confirm(PROBLEM, sets=["objective=minimize_gpus"], simulate=False)
