"""Hand-made outcomes: what a report is rendered from, small enough to check by eye."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from optimizer.decide import answer, read_inputs
from optimizer.demand import Lengths, Metric, Promise
from optimizer.negotiate.your_quotes import with_quotes
from optimizer.plan.costs import ApiComparison, ApiSeller, CostLine, LongRun, RentOrBuy, UnitCosts
from optimizer.plan.experiment import Stated
from optimizer.plan.types import (
    Asked,
    Binding,
    Capacity,
    Elsewhere,
    Feasible,
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
    Stress,
    Unknown,
    WorkloadLoad,
)
from optimizer.vocabulary import Link, Tier
from tests.report.english import names_of_others

MODEL = "meta-llama/Llama-3.1-70B-Instruct"
SHA = "0" * 64

NODE = NodeLine(
    offer_id="nebius-h200-4x-eu-north1",
    provider="nebius",
    instance_type="gpu-h200-sxm",
    region="eu-north1",
    gpu="h200_sxm_141",
    gpus_per_node=4,
    link=Link.NVSWITCH,
    count=1,
    idle_gpus=0,
    spare=0,
    tier=Tier.RESERVED_1Y,
    commitment_months=12,
    monthly_cents=842_000,
    price_date="2026-08-03",
    price_source="nebius price page",
    original_currency="USD",
)
GROUP = Group(
    workload="chat",
    share=2520,
    model=MODEL,
    gpu="h200_sxm_141",
    gpus_per_node=4,
    link=Link.NVSWITCH,
    offer_id=NODE.offer_id,
    weight_quant="fp8",
    kv_cache="auto",
    checkpoint="published",
    tensor_parallel=2,
    pipeline_parallel=1,
    replicas=2,
    interconnect="nvlink",
    gpu_memory_utilization=0.92,
    max_num_seqs=256,
    max_num_batched_tokens=8192,
    max_model_len=8192,
    crosses_nodes=False,
    memory=MemoryGib(33.8, 90.1, 1.7, 1.0, 126.6, 126.6),
    engine="vllm",
    recovery=0.995,
)
TTFT_PATH = "workloads.chat.slo.ttft_ms.p95"
TPOT_PATH = "workloads.chat.slo.tpot_ms"
PREDICTION = Prediction(
    workload="chat",
    ttft_ms=LatencyMs(312.4, 260.1, 590.2, 738.9, 1204.0),
    tpot_ms=LatencyMs(25.1, 24.6, 29.2, 30.94, 36.0),
    e2e_s=LatencyMs(7.8, 7.6, 9.3, 9.9, 11.2),
    concurrency=100.0,
    output_tokens_per_second=2000.0,
    requests_per_second=6.6666667,
    capacity=Capacity(concurrency=138.2, output_tokens_per_second=2764.0, requests_per_second=9.2133),
    ttft_interval_ms=(211.0, 465.0),
    tpot_interval_ms=(20.2, 31.4),
    grade="B",
    upper_bound=False,
    grade_reasons=("H200 with 70B dense models measured, fp8 inferred from H100",),
    promises=(
        KeptPromise(Metric.TTFT, 95, 0.7389, 0.50, 1.099, 1.0, TTFT_PATH),
        KeptPromise(Metric.TPOT, 95, 0.03094, 0.0249, 0.0387, 0.05, TPOT_PATH),
    ),
)
ASKED = Asked(
    workload="chat",
    model=MODEL,
    input_tokens=1024,
    input_p95=None,
    output_tokens=300,
    output_p95=None,
    context_max=8192,
    promises=(Promise(Metric.TTFT, 95, 1.0, TTFT_PATH), Promise(Metric.TPOT, 95, 0.05, TPOT_PATH)),
    min_recovery=0.97,
    floors=(
        LoadFloor("workloads.chat.traffic.output_tokens_per_second", 2000, 6.6666667, None, True),
        LoadFloor("workloads.chat.traffic.requests_per_second", 4, 4.0, None, False),
        LoadFloor("workloads.chat.traffic.concurrency", 100, None, 100.0, True),
    ),
    stated=Stated(Lengths(1024, 300, 8192), arrives=True, held=100.0),
    hours_per_month=None,
)
LOAD = WorkloadLoad("chat", 6.6666667, 2000.0, 100.0, "workloads.chat.traffic.output_tokens_per_second")
PROOF = Proof(
    objective="minimize_cost",
    value=8420.0,
    bound=8420.0,
    unit="USD per month",
    gap=0.0,
    candidates_enumerated=1458,
    candidates_feasible=812,
    candidates_screened=540,
    replay_rejected=0,
    prices_from="2026-02-01",
    prices_to="2026-08-03",
    performance_model="2026-11",
)
PLAN = Plan(
    rank=1,
    proven=True,
    key=PlanKey((("gpu", "h200_sxm_141"), ("weight_quant", "fp8"))),
    monthly_cents=842_000,
    currency="USD",
    gpus=4,
    load_factor=1.382,
    grade="B",
    nodes=(NODE,),
    groups=(GROUP,),
    predicted=(PREDICTION,),
    binding=(
        Binding(TTFT_PATH, "chat", 0.965, 1.0, "s", 0.035),
        Binding(TPOT_PATH, "chat", 0.036, 0.05, "s", 0.28),
    ),
    cost_lines=(
        CostLine("nebius gpu-h200-sxm", 730, "node-hours", 11.5342, 842_000),
        CostLine("extras", 1, "month", 0.0, 0),
    ),
    excludes=("storage", "egress", "load balancer", "staff"),
    spare_node_cents=842_000,
    unit_costs=UnitCosts(1.6016, 0.4692, 0.00048, None, 5.2572e9, 1.7945e10, 17.524e6),
    also=(Elsewhere("lambda", Tier.ON_DEMAND, 875_700), Elsewhere("aws", Tier.ON_DEMAND, 1_355_600)),
    stress=(Stress("TPOT 20 % worse", True, None, 0.0372, 0.05),),
    long_run=LongRun(
        totals=((1, 10_104_000), (3, 30_312_000), (5, 50_520_000)),
        mean_load=1.0,
        rent_or_buy=RentOrBuy(
            (("dealer-4x-h200", "purchase"),), (("nebius-h200", "reserved_1y"),), 16_000_000, 240_000, 842_000, 33
        ),
        api=ApiComparison(
            own_cents=1_200_000,
            sellers=(
                ApiSeller("chat", "tokens-r-us", "llama", 900_000, "2026-07-01", "price page, 2026-07-01", ""),
                ApiSeller("chat", "dear-tokens", "llama", 1_500_000, "2026-07-01", "price page, 2026-07-01", ""),
            ),
            unsold=(),
            low_cents=900_000,
            high_cents=1_500_000,
            break_even_share=0.9356,
            stated_volume=2.0,
        ),
    ),
)
SECOND = replace(
    PLAN,
    rank=2,
    key=PlanKey((("gpu", "h100_sxm_80"), ("weight_quant", "int4"))),
    monthly_cents=858_000,
    grade="C",
    nodes=(
        replace(
            NODE,
            offer_id="vultr-h100-8x",
            provider="vultr",
            instance_type="",
            region="",
            gpu="h100_sxm_80",
            gpus_per_node=8,
            link=Link.UNVERIFIED,
            idle_gpus=4,
            tier=Tier.ON_DEMAND,
            commitment_months=0,
            monthly_cents=858_000,
        ),
    ),
    groups=(
        replace(
            GROUP,
            gpu="h100_sxm_80",
            weight_quant="int4",
            kv_cache="fp8",
            checkpoint="quantize_yourself",
            replicas=1,
            pipeline_parallel=2,
            interconnect="pcie",
        ),
    ),
    load_factor=1.0,
    tie_with=1,
    also=(),
    stress=(),
    long_run=None,
    spare_node_cents=0,
    notes=("links between its GPUs are not stated by the provider; computed as PCIe",),
)
FUNNEL = (
    FunnelStep("physically possible", 1458, None),
    FunnelStep("fits in memory", 1204, 92_000),
    FunnelStep("TTFT p95 at most 1 s", 640, 310_000, "the error margin alone removed 12; measure H200 with fp8"),
)
OPTIMAL = Optimal(
    problem_name="Chatbot, 100 requests in flight",
    problem_path="problems/chatbot_100users.yaml",
    problem_sha256=SHA,
    loads=(LOAD,),
    warnings=(),
    proof=PROOF,
    funnel=FUNNEL,
    plans=(PLAN, SECOND),
    relaxations=(),
    asked=(ASKED,),
    rules=("payment.tiers: [on_demand, reserved_1y]",),
    currency="USD",
    confidence=0.9,
    distinct_by=("gpu", "weight_quant"),
)
FEASIBLE = Feasible(
    **{
        **{name: getattr(OPTIMAL, name) for name in Outcome.__dataclass_fields__},
        "proof": replace(PROOF, bound=8160.0, gap=0.0309),
        "plans": (replace(PLAN, proven=False, tie_with=None),),
        "warnings": ("workloads.chat.traffic.users: users are not requests in flight; state peak_factor",),
    }
)
INFEASIBLE = Infeasible(
    **{
        **{name: getattr(OPTIMAL, name) for name in Outcome.__dataclass_fields__},
        "proof": replace(PROOF, value=None, bound=None, gap=None, candidates_feasible=0, candidates_screened=0),
        "plans": (),
        "funnel": (*FUNNEL[:2], FunnelStep("TTFT p95 at most 1 s", 0, 310_000)),
        "relaxations": (
            Relaxation(TTFT_PATH, 100, 240, 930_000),
            Relaxation("hardware.limits.max_gpus", 2, 4, 842_000, (("budget.monthly", 8000, 8420),)),
            Relaxation("workloads.chat.quality.min_recovery", 0.999, 0.99, 842_000),
        ),
    }
)
UNKNOWN = Unknown(
    **{
        **{name: getattr(OPTIMAL, name) for name in Outcome.__dataclass_fields__},
        "proof": replace(PROOF, value=None, bound=None, gap=None),
        "plans": (),
    }
)


def _two_workloads() -> Outcome:
    """A chat and a batch job on two kinds of node: every list has more than one entry."""
    batch_asked = replace(
        ASKED,
        workload="summaries",
        model="meta-llama/Llama-3.1-8B-Instruct",
        input_tokens=3000,
        input_p95=7000,
        promises=(),
        min_recovery=None,
        floors=(LoadFloor("workloads.summaries.traffic.batch", 100000, 2.7778, None, True),),
        stated=Stated(Lengths(3000, 300, 8192, 7000), arrives=True, held=0.0, batch=True),
        hours_per_month=300.0,
    )
    l40s = replace(
        NODE,
        offer_id="aws-g6e-2xlarge",
        provider="aws",
        instance_type="g6e.2xlarge",
        region="us-east-1",
        gpu="l40s_48",
        gpus_per_node=1,
        link=Link.PCIE,
        count=3,
        spare=1,
        tier=Tier.SPOT,
        commitment_months=0,
        monthly_cents=120_050,
        spare_cents=40_016,
    )
    group = replace(
        GROUP,
        workload="summaries",
        model="meta-llama/Llama-3.1-8B-Instruct",
        gpu="l40s_48",
        offer_id=l40s.offer_id,
        weight_quant="bf16",
        tensor_parallel=1,
        replicas=2,
        interconnect="none",
        engine="sglang",
    )
    prediction = replace(
        PREDICTION,
        workload="summaries",
        requests_per_second=2.7778,
        output_tokens_per_second=833.3,
        concurrency=61.0,
        ttft_ms=LatencyMs(float("inf"), 900.0, 2000.0, float("inf"), float("inf")),
        promises=(KeptPromise(Metric.TTFT, 95, float("inf"), 4.1, float("inf"), None, ""),),
        upper_bound=True,
        grade="C",
    )
    plan = replace(
        PLAN,
        monthly_cents=962_050,
        gpus=7,
        grade="C",
        nodes=(NODE, l40s),
        groups=(GROUP, group),
        predicted=(PREDICTION, prediction),
        cost_lines=(*PLAN.cost_lines, CostLine("aws g6e.2xlarge spot", 900, "node-hours", 1.3339, 120_050)),
    )
    return replace(
        OPTIMAL,
        loads=(LOAD, WorkloadLoad("summaries", 2.7778, 833.3, 61.0, "workloads.summaries.traffic.batch")),
        asked=(ASKED, batch_asked),
        plans=(plan,),
        proof=replace(PROOF, value=9620.5, bound=9620.5),
    )


def _owned() -> Outcome:
    """Own hardware, maximize_load: no price, no load headroom, the capacity is the answer."""
    node = replace(
        NODE,
        offer_id="owned-1",
        provider="own",
        instance_type="",
        region="",
        gpu="a800_sxm_80",
        gpus_per_node=8,
        tier=Tier.OWNED,
        commitment_months=0,
        monthly_cents=103_210,
        price_date=None,
    )
    plan = replace(
        PLAN,
        monthly_cents=103_210,
        gpus=8,
        nodes=(node,),
        groups=(replace(GROUP, gpu="a800_sxm_80", weight_quant="bf16", tensor_parallel=4, engine="trtllm"),),
        load_factor=138.2,
        cost_lines=(CostLine("electricity", 5212.3, "kWh", 0.1, 52_123), CostLine("space", 3.0963, "kW", 165, 51_087)),
        notes=("A800 SXM 80GB inherits the efficiencies of A100 SXM 80GB by name, one grade down",),
        also=(),
        unit_costs=None,
        spare_node_cents=0,
    )
    proof = replace(
        PROOF,
        objective="maximize_load",
        value=138.2,
        bound=138.2,
        unit="times the planned load",
        prices_from=None,
        prices_to=None,
    )
    load = replace(LOAD, requests_per_second=0.0, output_tokens_per_second=0.0, inflight=0.0)
    return replace(
        OPTIMAL,
        plans=(plan,),
        proof=proof,
        loads=(load,),
        asked=(replace(ASKED, floors=(), stated=replace(ASKED.stated, arrives=False, held=1.0)),),
        confidence=0.5,
        rules=("hardware.only_owned: yes",),
        distinct_by=("weight_quant",),
    )


def _cny() -> Outcome:
    """A quote in CNY, bought outright; the name of the problem is not ASCII and starts like a formula."""
    node = replace(
        NODE,
        provider="quote",
        tier=Tier.PURCHASE,
        original_currency="CNY",
        monthly_cents=6_123_456,
        commitment_months=48,
        price_date="2026-07-01",
    )
    plan = replace(
        PLAN,
        currency="CNY",
        monthly_cents=6_123_456,
        nodes=(node,),
        also=(),
        spare_node_cents=6_123_456,
        cost_lines=(CostLine("purchase over 48 months", 1, "node", 61_234.56, 6_123_456),),
        unit_costs=UnitCosts(11.648, 3.412, 0.0035, 122.47, 5.2572e9, 1.7945e10, 17.524e6),
    )
    return replace(
        OPTIMAL,
        problem_name="=智能客服",
        plans=(plan,),
        currency="CNY",
        proof=replace(PROOF, value=61234.56, bound=61234.56, unit="CNY per month"),
    )


@pytest.fixture(scope="session")
def outcomes() -> dict[str, Outcome]:
    """Hand-made outcomes by name."""
    return dict(_OUTCOMES)


_OUTCOMES: tuple[tuple[str, Outcome], ...] = (
    ("optimal", OPTIMAL),
    ("feasible", FEASIBLE),
    ("infeasible", INFEASIBLE),
    ("no_way_out", replace(INFEASIBLE, relaxations=())),
    ("unknown", UNKNOWN),
    ("two_workloads", _two_workloads()),
    ("owned", _owned()),
    ("cny", _cny()),
)


@pytest.fixture(scope="session")
def shipped() -> dict[str, Outcome]:
    """Every shipped problem, answered as the command does, without replays."""
    found = {}
    for path in sorted((Path(__file__).parents[2] / "problems").glob("*.yaml")):
        inputs = read_inputs(path, sets=["ranking.top=4"])  # enough for every kind of row, at half the time
        one = answer(inputs, simulate=False)
        found[path.name] = with_quotes(one.outcome, one.case, lambda _: None)
    return found


@pytest.fixture(scope="session")
def names() -> list[str]:
    """What stands in a text as somebody else wrote it."""
    return names_of_others()
