"""The JSON report against a strict mirror of the contract: exact keys, exact nesting, closed words."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from optimizer.plan.quotes import MissedPromise, QuoteVerdict, Verdict
from optimizer.plan.types import OtherWinner, OtherWinners, Outcome, Target
from optimizer.report import render
from optimizer.vocabulary import Tier

KEYS_IN_ORDER = [
    "schema_version", "tool_version", "problem", "understood", "status", "load", "demand", "warnings", "proof",
    "funnel", "plans", "api", "quotes", "at_list_prices", "best_by_grade", "best_as_published",
    "best_surviving_node", "in_stock", "expires", "winner_after_expiry", "relaxations", "unpriced", "targets",
]  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Number = float | int
MaybeNumber = Number | None


class _Problem(_Strict):
    name: str
    path: str
    sha256: str = Field(min_length=64, max_length=64)


class _Load(_Strict):
    workload: str
    requests_per_second: Number
    output_tokens_per_second: Number
    inflight: Number
    decided_by: str


class _Figures(_Strict):
    requests_per_second: MaybeNumber
    output_tokens_per_second: MaybeNumber
    inflight: MaybeNumber
    users: MaybeNumber


class _Demand(_Strict):
    workload: str
    stated: _Figures
    peak: _Figures
    planned: _Figures


class _UnitCosts(_Strict):
    per_million_output_tokens: MaybeNumber
    per_million_input_tokens: MaybeNumber
    per_request: MaybeNumber
    per_user_month: MaybeNumber
    expected_output_tokens_per_month: Number
    expected_input_tokens_per_month: Number
    expected_requests_per_month: Number


class _Objective(_Strict):
    name: str
    value: MaybeNumber
    bound: MaybeNumber
    unit: str


class _Replayed(_Strict):
    configurations_replayed: int | None
    configurations_bounded: int | None


class _Proof(_Strict):
    objective: _Objective
    gap: MaybeNumber
    candidates_enumerated: int
    candidates_feasible: int
    candidates_screened: int
    replay_rejected: int
    replay: _Replayed
    prices_from: str | None
    prices_to: str | None
    performance_model: str


class _Step(_Strict):
    rule: str
    remaining: int
    cheapest_removed_monthly: MaybeNumber


class _Node(_Strict):
    offer_id: str
    provider: str
    instance_type: str
    region: str
    gpu: str
    gpus_per_node: int
    link: Literal["nvswitch", "nvlink_pair", "xgmi", "hccs", "pcie", "unverified"]
    count: int
    idle_gpus: int
    tier: Literal["on_demand", "spot", "reserved_1y", "reserved_3y", "purchase", "owned"]
    commitment_months: int
    monthly_cost: Number
    price_date: str | None
    price_source: str
    price_evidence: Literal["quote", "list", "indicative"] | None
    price_ranks_until: str | None
    price_remarks: str
    stock_note: str
    host_memory_gib: MaybeNumber
    network_gbps: MaybeNumber
    original_currency: str


class _Memory(_Strict):
    weights: Number
    kv_cache: Number
    activations: Number
    overhead: Number
    total: Number
    usable: Number


class _Drafts(_Strict):
    method: Literal["mtp", "eagle3"]
    tokens: int
    acceptance: float
    head: str
    source: str


class _Tier(_Strict):
    tier: Literal["host"]
    gib_per_node: Number


class _Group(_Strict):
    workload: str
    role: Literal["serve", "prefill", "decode"]
    share: Number
    model: str
    gpu: str
    offer_id: str
    weight_quant: str
    kv_cache: str
    checkpoint: Literal["published", "quantize_yourself"]
    tensor_parallel: int
    pipeline_parallel: int
    attention_dp: int
    expert_parallel: int
    speculative: _Drafts | None
    kv_tier: _Tier | None
    replicas: int
    interconnect: Literal["nvlink", "pcie", "none"]
    max_num_seqs: int
    max_model_len: int
    memory_gib_per_gpu: _Memory


class _Latency(_Strict):
    mean: MaybeNumber
    p50: MaybeNumber
    p90: MaybeNumber
    p95: MaybeNumber
    p99: MaybeNumber


class _Capacity(_Strict):
    concurrency: Number
    output_tokens_per_second: Number
    requests_per_second: Number


class _Interval(_Strict):
    ttft_ms: dict[str, list[MaybeNumber]]
    tpot_ms: dict[str, list[MaybeNumber]]


class _Expected(_Strict):
    promise: str | None
    metric: Literal["ttft", "tpot", "e2e"]
    percentile: Number
    estimate: MaybeNumber
    interval: list[MaybeNumber] = Field(min_length=2, max_length=2)
    limit: MaybeNumber


class _HitRate(_Strict):
    hbm: MaybeNumber
    host: MaybeNumber
    remote: MaybeNumber


class _Prediction(_Strict):
    workload: str
    ttft_ms: _Latency
    tpot_ms: _Latency
    e2e_s: _Latency
    concurrency: Number
    output_tokens_per_second: Number
    requests_per_second: Number
    capacity: _Capacity
    interval: _Interval
    prefix_hit_rate: _HitRate
    grade: Literal["A", "B", "C"]
    upper_bound: bool
    promises: list[_Expected]


class _Binding(_Strict):
    promise: str
    workload: str | None
    value: MaybeNumber
    limit: MaybeNumber
    unit: str
    slack: MaybeNumber


class _CostLine(_Strict):
    name: str
    quantity: Number
    unit: str
    unit_price: Number
    monthly: Number


class _Stress(_Strict):
    what: str
    reached: MaybeNumber = None
    limit: MaybeNumber = None
    load_factor: Number | None = None
    holds: bool
    monthly_cost: MaybeNumber


class _Elsewhere(_Strict):
    provider: str
    tier: str
    monthly_cost: Number


class _SpareNodes(_Strict):
    offer_id: str
    provider: str
    tier: str
    count: int
    monthly_cost: Number


class _Reserve(_Strict):
    nodes: list[_SpareNodes]
    monthly_cost: Number


class _Plan(_Strict):
    rank: int
    proven: bool
    monthly_cost: Number
    currency: str
    price_evidence: Literal["quote", "list", "indicative"] | None
    cost_per_million_output_tokens: MaybeNumber
    unit_costs: _UnitCosts | None
    gpus: int
    load_factor: Number
    grade: Literal["A", "B", "C"]
    tie_with: int | None
    nodes: list[_Node]
    groups: list[_Group]
    predicted: list[_Prediction]
    reserve: _Reserve
    binding: list[_Binding]
    cost_lines: list[_CostLine]
    excludes: list[str]
    also: list[_Elsewhere]
    spare_node_costs: Number
    stress: list[_Stress]
    owed: _Owed
    long_run: _LongRun | None


class _Owed(_Strict):
    now: float
    by_month: list[float]


class _Total(_Strict):
    years: int
    cost: Number


class _Way(_Strict):
    offer_id: str
    tier: str


class _RentOrBuy(_Strict):
    bought: list[_Way]
    rented: list[_Way]
    purchase_price: Number
    running_monthly: Number
    rent_monthly: Number
    break_even_months: int | None


class _Api(_Strict):
    monthly_cost: MaybeNumber
    break_even_load_share: MaybeNumber
    low_monthly: MaybeNumber
    high_monthly: MaybeNumber


class _Seller(_Strict):
    workload: str
    provider: str
    sold_as: str
    monthly_cost: Number
    price_date: str
    source: str
    notes: str


class _ByTheToken(_Strict):
    plan_monthly: Number
    low_monthly: MaybeNumber
    high_monthly: MaybeNumber
    own_price_monthly: MaybeNumber
    expected_load_share: Number
    break_even_load: MaybeNumber
    carried_load: Number
    never_even_full: bool
    sellers: list[_Seller]
    not_sold: list[str]


class _Missed(_Strict):
    promise: str
    value: Number
    limit: Number
    unit: str
    setup: str


class _Quote(_Strict):
    offer_id: str
    provider: str
    gpu: str
    gpus_per_node: int
    tier: str
    price: Number
    currency: str
    unit: Literal["node_hour", "node_purchase"]
    tax_percent: MaybeNumber
    quote_ref: str | None
    valid_until: str | None
    lead_time_weeks: MaybeNumber
    verdict: Literal["breaks_rule", "expired", "cannot_serve", "breaks_promise", "wins", "loses"]
    rank: int | None
    monthly_cost: MaybeNumber
    wins_below: MaybeNumber
    rules: list[str]
    missed: list[_Missed]
    replayed: bool
    reason: str


class _LongRun(_Strict):
    totals: list[_Total]
    mean_load: Number
    cost_per_million_output_tokens_at_mean_load: MaybeNumber
    rent_or_buy: _RentOrBuy | None
    api: _Api | None


class _Edit(_Strict):
    change: str
    from_: Any = Field(alias="from")
    to: Any


class _Relaxation(_Edit):
    monthly_cost: Number
    also: list[_Edit] | None = None


class _Target(_Strict):
    gpu: str
    provider: str
    wins_below_per_gpu_hour: Number


class _Winner(_Strict):
    """One of rank and plan is null; both where nothing wins."""

    rank: int | None
    plan: _Plan | None
    monthly_cost: MaybeNumber
    in_stock: _Stock | None = None


class _Stock(_Strict):
    notes: list[str]
    without: _Winner | None


class _Unpriced(_Strict):
    gpu: str
    gpus_per_node: int
    nodes: int
    workloads: list[str]
    ask_below_per_node_month: float | None


class _Best(_Strict):
    rank: int | None
    plan: _Plan | None


class _BestOfGrade(_Best):
    grade: Literal["A", "B", "C"]


class _Report(_Strict):
    schema_version: int
    tool_version: str
    problem: _Problem
    understood: dict[str, Any]
    status: Literal["optimal", "feasible", "infeasible", "unknown"]
    load: list[_Load]
    demand: list[_Demand]
    warnings: list[str]
    proof: _Proof
    funnel: list[_Step]
    plans: list[_Plan]
    api: _ByTheToken | None
    quotes: list[_Quote]
    at_list_prices: _Winner | None
    best_by_grade: list[_BestOfGrade]
    best_as_published: _Best | None
    best_surviving_node: _Best | None
    in_stock: _Stock | None
    expires: str | None
    winner_after_expiry: _Winner | None
    relaxations: list[_Relaxation]
    unpriced: list[_Unpriced]
    targets: list[_Target]


@pytest.fixture(params=["optimal", "feasible", "infeasible", "no_way_out", "unknown", "two_workloads", "owned", "cny"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_report_obeys_the_contract(name: str, outcomes: dict[str, Outcome]) -> None:
    printed = json.loads(render(outcomes[name], "json"))
    _Report.model_validate(printed)
    assert list(printed) == KEYS_IN_ORDER


def test_quotes_obey_the_contract(outcomes: dict[str, Outcome]) -> None:
    shared = ("q1", "dealer", "l20_48", 8, Tier.PURCHASE, 350_000.0, "CNY")
    missed = MissedPromise("workloads.chat.slo.ttft_ms.p95", 4100.0, 2000.0, "ms", "l20_48 fp8, KV fp8, TP2")
    quotes = (
        QuoteVerdict(*shared, Verdict.BREAKS_PROMISE, missed=(missed,)),
        QuoteVerdict(*shared, Verdict.LOSES, rank=2, monthly_cents=900_000, wins_below=300_000.0, quote_ref="Q"),
        QuoteVerdict(*shared, Verdict.BREAKS_RULE, rules=("hardware.regions",), valid_until="2026-12-31"),
    )
    outcome = replace(outcomes["optimal"], quotes=quotes)
    printed = json.loads(render(outcome, "json"))
    _Report.model_validate(printed)
    assert printed["quotes"][0]["reason"].startswith("loses because TTFT p95 4.1 s of 2 s on 8x L20 48GB")
    assert printed["quotes"][1]["wins_below"] == 300_000
    text = render(outcome, "text")
    assert "wins up to CNY 300,000 once (-14 %)" in " ".join(text.split())


def test_winners_under_a_stricter_view_of_prices(outcomes: dict[str, Outcome]) -> None:
    ranked = outcomes["optimal"]
    first, other = ranked.plans[0], replace(ranked.plans[0], monthly_cents=2_000_000)
    note = "aws p5: often sold out"
    others = OtherWinners(
        at_list=OtherWinner(other, None, (note,), OtherWinner(first, 1)),
        first=OtherWinner(first, 1),
        expires="2027-02-18",
        after_expiry=OtherWinner(None),
    )
    printed = json.loads(render(replace(ranked, others=others), "json"))
    _Report.model_validate(printed)
    assert printed["at_list_prices"]["plan"]["monthly_cost"] == printed["at_list_prices"]["monthly_cost"] == 20000
    assert printed["at_list_prices"]["in_stock"]["notes"] == [note]
    assert printed["at_list_prices"]["in_stock"]["without"]["rank"] == 1
    assert printed["at_list_prices"]["in_stock"]["without"]["plan"] is None
    assert (printed["in_stock"], printed["expires"]) == (None, "2027-02-18")
    assert printed["winner_after_expiry"] == {"rank": None, "plan": None, "monthly_cost": None}


def test_the_best_of_each_grade_and_as_published_is_a_rank_or_a_plan(outcomes: dict[str, Outcome]) -> None:
    ranked = outcomes["optimal"]
    first, other = ranked.plans[0], replace(ranked.plans[0], monthly_cents=2_000_000)
    others = OtherWinners(
        by_grade=(("A", OtherWinner(other)), ("B", OtherWinner(first, 1))), as_published=OtherWinner(other)
    )
    printed = json.loads(render(replace(ranked, others=others), "json"))
    _Report.model_validate(printed)
    assert [(one["grade"], one["rank"], one["plan"] is None) for one in printed["best_by_grade"]] == [
        ("A", None, False),
        ("B", 1, True),
    ]
    assert printed["best_as_published"]["plan"]["monthly_cost"] == 20000
    nothing = replace(ranked, others=OtherWinners(as_published=OtherWinner(None), surviving=OtherWinner(first, 1)))
    assert json.loads(render(nothing, "json"))["best_surviving_node"] == {"rank": 1, "plan": None}
    assert json.loads(render(nothing, "json"))["best_as_published"] == {"rank": None, "plan": None}


def test_status_words(outcomes: dict[str, Outcome]) -> None:
    for name in ("optimal", "feasible", "infeasible", "unknown"):
        assert json.loads(render(outcomes[name], "json"))["status"] == name


def test_money_prints_two_decimals(name: str, outcomes: dict[str, Outcome]) -> None:
    printed = render(outcomes[name], "json")
    keys = "monthly_cost|monthly|cheapest_removed_monthly|cost_per_million_output_tokens|spare_node_costs|"
    keys += "per_million_output_tokens|per_million_input_tokens|per_user_month"
    amounts = re.findall(rf'"(?:{keys})": (.*?),?\n', printed)
    assert amounts
    assert all(amount == "null" or re.fullmatch(r"-?\d+\.\d\d", amount) for amount in amounts)


def test_without_a_plan_there_are_no_plans_and_no_proof_numbers(outcomes: dict[str, Outcome]) -> None:
    printed = json.loads(render(outcomes["infeasible"], "json"))
    assert printed["plans"] == []
    assert printed["proof"]["gap"] is None
    assert printed["proof"]["objective"]["value"] is None
    assert printed["proof"]["objective"]["bound"] is None


def test_infinite_and_undefined_figures_are_null(outcomes: dict[str, Outcome]) -> None:
    text = render(outcomes["two_workloads"], "json")
    assert "Infinity" not in text and "NaN" not in text
    assert json.loads(text)["plans"][0]["predicted"][1]["ttft_ms"]["p95"] is None


def test_same_outcome_same_bytes(name: str, outcomes: dict[str, Outcome]) -> None:
    assert render(outcomes[name], "json") == render(replace(outcomes[name]), "json")


def test_price_targets_print_as_money(outcomes: dict[str, Outcome]) -> None:
    outcome = replace(outcomes["optimal"], targets=(Target("h200_sxm_141", "nebius", 2.345),))
    assert '"wins_below_per_gpu_hour": 2.35' in render(outcome, "json")


def test_relaxation_values_keep_their_types(outcomes: dict[str, Outcome]) -> None:
    first = json.loads(render(outcomes["infeasible"], "json"))["relaxations"][0]
    assert first == {"change": "workloads.chat.slo.ttft_ms.p95", "from": 100, "to": 240, "monthly_cost": 9300.0}
