"""An outcome made by hand on one quoted offer: stable under any change of prices, parameters or solver."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from optimizer.decide import Answer
from optimizer.demand import Lengths, Metric, Promise
from optimizer.negotiate import page_curves, solve
from optimizer.plan.costs import UnitCosts
from optimizer.plan.experiment import Stated
from optimizer.plan.types import (
    Asked,
    Binding,
    Capacity,
    Elsewhere,
    Footage,
    FunnelStep,
    Group,
    Infeasible,
    KeptPromise,
    LatencyMs,
    LoadFloor,
    MemoryGib,
    NodeLine,
    Optimal,
    Outcome,
    Plan,
    PlanKey,
    Prediction,
    Proof,
    Relaxation,
    Replay,
    ReplayedPromise,
    WorkloadLoad,
)
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.pricing import cost_lines, node_options, total_cents
from optimizer.simulate.estimate import PERCENTILES
from optimizer.vocabulary import Link, Tier

sys.path.insert(0, str(Path(__file__).parent))

PROBLEMS = Path(__file__).parents[2] / "problems"
MODEL = "meta-llama/Llama-3.1-70B-Instruct"
HOSTILE = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(1)",
    "-2+3",
    "; rm -rf ~ #",
    "$(touch pwned) `touch pwned` ${HOME} $HOME",
    "quote ' and \" and \\ back",
    "two\nlines\r\nand\ttab",
    "right\u202eto\u2066left\u200f",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</title></style></svg>]]>-->",
    "| a | b |\n# head [link](javascript:alert(1)) ![i](x)",
    "{{ 7*7 }} {% raw %}",
    "\x00\x07bell",
    "\u4e2d\u6587\u540d\u79f0",
    "yes",
    "0123",
    "x" * 400,
)
"""Names that shells, spreadsheets, browsers, YAML, Markdown, templates and Kubernetes stumble over."""

_PROBLEM = """
name: Shop assistant
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-70B-Instruct
    traffic: {concurrency: 100, output_tokens_per_second: 2000}
    tokens: {input: 1024, output: 300, context_max: 8192}
    slo: {ttft_ms: {p95: 1000}, tpot_ms: 50}
offers:
  - {id: quote-rent, provider: acme, gpu: h200_sxm_141, gpus_per_node: 4, nvlink: yes, currency: CNY,
     price_per_hour: 82.5, tier: reserved_1y, tax_percent: 6, stock: 4, quote_ref: R-17, valid_until: 2026-12-31}
  - {id: quote-buy, provider: acme, gpu: l40s_48, gpus_per_node: 8, currency: USD, purchase_price: 98000,
     quote_ref: B-3, valid_until: 2026-12-31, lead_time_weeks: 6}
payment: {tiers: [reserved_1y, purchase], tax_percent: 13, fx: {CNY: 7.1, date: 2026-08-03}, as_of: 2026-08-20}
"""


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """A problem with a rented and a bought quote."""
    path = tmp_path_factory.mktemp("problem") / "shop.yaml"
    path.write_text(_PROBLEM, encoding="utf-8")
    return read_inputs(path)


def _group(gpu: str, gpus_per_node: int, link: Link, offer: str, tp: int, replicas: int, quant: str) -> Group:
    return Group(
        workload="chat",
        share=2520,
        model=MODEL,
        gpu=gpu,
        gpus_per_node=gpus_per_node,
        link=link,
        offer_id=offer,
        weight_quant=quant,
        kv_cache="auto",
        checkpoint="quantize_yourself",
        tensor_parallel=tp,
        pipeline_parallel=1,
        replicas=replicas,
        interconnect="nvlink" if link is Link.NVSWITCH else "pcie",
        gpu_memory_utilization=0.92,
        max_num_seqs=256,
        max_num_batched_tokens=8192,
        max_model_len=8192,
        crosses_nodes=False,
        memory=MemoryGib(33.8, 90.1, 1.7, 1.0, 126.6, 126.6),
        engine="vllm",
        recovery=0.995,
    )


_PREDICTION = Prediction(
    workload="chat",
    ttft_ms=LatencyMs(312.4, 260.1, 590.2, 738.9, 1204.0),
    tpot_ms=LatencyMs(25.1, 24.6, 29.2, 30.94, 36.0),
    e2e_s=LatencyMs(7.8, 7.6, 9.3, 9.9, 11.2),
    concurrency=100.0,
    output_tokens_per_second=2000.0,
    requests_per_second=6.6666667,
    capacity=Capacity(138.2, 2764.0, 9.2133),
    ttft_interval_ms=(211.0, 465.0),
    tpot_interval_ms=(20.2, 31.4),
    grade="B",
    upper_bound=False,
    grade_reasons=("H200 with 70B dense models measured, fp8 inferred from H100",),
    promises=(
        KeptPromise(Metric.TTFT, 95, 0.7389, 0.50, 1.099, 1.0, "workloads.chat.slo.ttft_ms.p95"),
        KeptPromise(Metric.TPOT, 95, 0.03094, 0.0249, 0.0387, 0.05, "workloads.chat.slo.tpot_ms"),
    ),
)


_FOOTAGE = Footage(
    percentiles=PERCENTILES,
    ttft_s=tuple(0.2 + 0.006 * percentile for percentile in PERCENTILES),
    tpot_s=tuple(0.02 + 0.0001 * percentile for percentile in PERCENTILES),
    seconds=(0.0, 10.0, 20.0),
    waiting=(0.0, 7.0, 1.0),
    running=(60.0, 90.0, 80.0),
    kv_share=(0.3, 0.62, 0.4),
    replicas=2,
    held=False,
)
_REPLAY = Replay(
    workload="chat",
    ttft_ms=LatencyMs(500.0, 500.0, 740.0, 770.0, 794.0),
    tpot_ms=LatencyMs(25.0, 25.0, 29.0, 29.5, 29.9),
    e2e_s=LatencyMs(7.8, 7.6, 9.3, 9.9, 11.2),
    requests=2000,
    router="round_robin",
    promises=(
        ReplayedPromise(Metric.TTFT, 95, "workloads.chat.slo.ttft_ms.p95", 0.7389, 0.77, 0.75, 0.79, True, 0.95, 1.0),
        ReplayedPromise(Metric.TPOT, 95, "workloads.chat.slo.tpot_ms", 0.03094, 0.0295, 0.029, 0.03, True, 0.036, 0.05),
    ),
    footage=_FOOTAGE,
)


def _plan(inputs: Inputs, rank: int, offer: str, count: int, spare: int, group: Group) -> Plan:
    option = next(option for option in node_options(inputs.problem, inputs.catalog, only=[offer]))
    pairs = [(option, count)]
    cents = total_cents(pairs, inputs.problem)
    bill = cents / 100
    node = NodeLine(
        offer_id=offer,
        provider=option.offer.provider,
        instance_type=option.offer.instance_type,
        region=option.offer.region,
        gpu=option.offer.gpu,
        gpus_per_node=option.offer.gpus_per_node,
        link=option.offer.link,
        count=count,
        idle_gpus=0,
        spare=spare,
        tier=option.tier,
        commitment_months=option.commitment_months,
        monthly_cents=option.monthly_cents * count,
        price_date=option.price.date if option.price else None,
        price_source=option.price.source if option.price else "your own",
        original_currency=option.price.currency if option.price else "",
    )
    return Plan(
        rank=rank,
        proven=True,
        key=PlanKey(((offer,),)),
        monthly_cents=cents,
        currency="USD",
        gpus=count * option.offer.gpus_per_node,
        load_factor=1.38,
        grade="B",
        nodes=(node,),
        groups=(group,),
        predicted=(_PREDICTION,),
        binding=(Binding("workloads.chat.slo.tpot_ms", "chat", 46.4, 50.0, "ms", 0.072),),
        cost_lines=cost_lines(pairs, inputs.problem),
        excludes=("storage", "network egress", "load balancer", "staff"),
        spare_node_cents=option.monthly_cents,
        notes=("H200 with 70B dense models measured, fp8 inferred from H100",),
        unit_costs=UnitCosts(bill / 5257.2, bill / 17_945, bill / 17.524e6, None, 5.2572e9, 1.7945e10, 17.524e6),
        also=(Elsewhere("other", Tier.ON_DEMAND, cents * 2),),
        simulated=(_REPLAY,) if rank == 1 else (),
    )


@pytest.fixture(scope="session")
def outcome(inputs: Inputs) -> Outcome:
    """Two ranked plans: rented and bought."""
    rented = _plan(inputs, 1, "quote-rent", 2, 1, _group("h200_sxm_141", 4, Link.NVSWITCH, "quote-rent", 2, 2, "fp8"))
    bought = _plan(inputs, 2, "quote-buy", 1, 0, _group("l40s_48", 8, Link.PCIE, "quote-buy", 4, 2, "fp8"))
    return Optimal(
        problem_name="Shop assistant",
        problem_path="shop.yaml",
        problem_sha256="0" * 64,
        loads=(WorkloadLoad("chat", 6.6666667, 2000.0, 100.0, "workloads.chat.traffic.output_tokens_per_second"),),
        warnings=("users are not requests in flight",),
        proof=Proof(
            "minimize_cost",
            rented.monthly_cents / 100,
            rented.monthly_cents / 100,
            "USD per month",
            0.0,
            1458,
            61,
            40,
            0,
            "2026-06-15",
            "2026-08-19",
            "v1",
        ),
        funnel=(
            FunnelStep("enumerated", 1458, None),
            FunnelStep("memory", 700, 120_000, "a larger card"),
            FunnelStep("margins.confidence", 61, 640_000),
        ),
        plans=(rented, bought),
        relaxations=(),
        asked=(
            Asked(
                workload="chat",
                model=MODEL,
                input_tokens=1024,
                input_p95=None,
                output_tokens=300,
                output_p95=None,
                context_max=8192,
                promises=(
                    Promise(Metric.TTFT, 95, 1.0, "workloads.chat.slo.ttft_ms.p95"),
                    Promise(Metric.TPOT, 95, 0.05, "workloads.chat.slo.tpot_ms"),
                ),
                min_recovery=0.97,
                floors=(
                    LoadFloor("workloads.chat.traffic.output_tokens_per_second", 2000, 6.6666667, None, True),
                    LoadFloor("workloads.chat.traffic.concurrency", 100, None, 100.0, True),
                ),
                stated=Stated(Lengths(1024, 300, 8192), arrives=True, held=100.0),
                hours_per_month=None,
            ),
        ),
        rules=("tiers: reserved_1y, purchase",),
        distinct_by=("gpu", "weight_quant"),
    )


@pytest.fixture(scope="session")
def infeasible(outcome: Outcome) -> Outcome:
    """The same question without an answer."""
    return Infeasible(
        problem_name=outcome.problem_name,
        problem_path=outcome.problem_path,
        problem_sha256=outcome.problem_sha256,
        loads=outcome.loads,
        warnings=(),
        proof=replace(outcome.proof, value=None, bound=None, gap=None),
        funnel=(*outcome.funnel, FunnelStep("budget.monthly", 0, 1_500_000)),
        plans=(),
        relaxations=(Relaxation("budget.monthly", 1000, 15_000, 1_500_000),),
        asked=outcome.asked,
        distinct_by=outcome.distinct_by,
    )


def with_name(outcome: Outcome, name: str) -> Outcome:
    """The outcome with every text of a user replaced by ``name``."""
    plans = tuple(
        replace(
            plan,
            nodes=tuple(
                replace(node, provider=name, instance_type=name, region=name, price_source=name) for node in plan.nodes
            ),
            groups=tuple(replace(group, workload=name, model=name) for group in plan.groups),
            predicted=tuple(replace(one, workload=name, grade_reasons=(name,)) for one in plan.predicted),
            simulated=tuple(replace(one, workload=name) for one in plan.simulated),
            notes=(name,),
            excludes=(name,),
        )
        for plan in outcome.plans
    )
    return replace(
        outcome,
        problem_name=name,
        problem_path=name,
        plans=plans,
        warnings=(name,),
        rules=(name,),
        asked=tuple(replace(asked, workload=name, model=name) for asked in outcome.asked),
        loads=tuple(replace(load, workload=name) for load in outcome.loads),
    )


@pytest.fixture(params=HOSTILE, ids=lambda name: ascii(name)[:24])
def hostile(request: pytest.FixtureRequest, outcome: Outcome) -> Outcome:
    """The outcome under each hostile name."""
    return with_name(outcome, request.param)


@pytest.fixture(scope="session")
def answers() -> dict[tuple[object, ...], Any]:
    """What was solved before, by what the file says and how it is called."""
    return {}


@pytest.fixture
def solved_once(monkeypatch: pytest.MonkeyPatch, answers: dict[tuple[object, ...], Any]) -> None:
    """Several commands asked about one problem solve it once, and the page draws less."""
    real = solve.solved

    def once(file: Path, catalogs: Path | None, *, sets: tuple[str, ...], **how: Any) -> Answer:
        """Only ``optimize FILE``, which has a time limit, replays as it is told to: pages show what it prints."""
        replayed = how["simulate"] and "time_limit" in how
        asked = (file, file.read_bytes(), catalogs, sets, replayed)
        if asked not in answers:
            answers[asked] = real(file, catalogs, sets=sets, **{**how, "simulate": replayed})
        found: Answer = answers[asked]
        return found

    monkeypatch.setattr(solve, "solved", once)
    monkeypatch.setattr(page_curves, "LOADS", (100, 200))
    monkeypatch.setattr(page_curves, "MOST_LOADS", 2)
    monkeypatch.setattr(page_curves, "PROMISE_FACTORS", (2.0,))
    monkeypatch.setattr(page_curves, "CONFIDENCES", ())
