"""Each rule three times: kept, broken, and exactly on the edge; and each has a row in the model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from optimizer.demand import Load, Period
from optimizer.fleet import FleetResult, SolveSettings
from optimizer.fleet.cost_floors import CostFloors
from optimizer.fleet.rank import rank_plans
from optimizer.fleet.requirements import CardQuota, PlanLimits, UserRules
from optimizer.fleet.screening import prepare
from optimizer.fleet.solve import build_model
from optimizer.pricing.types import Origin
from optimizer.vocabulary import Evidence, Link, ProviderClass, Tier
from tests.fleet.fleet_cases import (
    MIXTURE,
    CandidateSpec,
    Case,
    OptionSpec,
    any_options,
    make_candidate,
    make_gpu,
    make_option,
    make_rules,
    make_type,
    make_workload,
)

NODE = make_type(make_gpu("h100"), 4)
FOUR_REPLICAS = make_workload(rate=4.0, inflight=0.0)
"""Each replica carries one request per second and fills a node: 4 nodes of 4 GPUs, 10,000 cents each, 4 kW each."""


def one_case(rules: UserRules, spec: CandidateSpec | None = None, option: OptionSpec | None = None) -> Case:
    candidate = make_candidate(NODE, spec or CandidateSpec(tp=4, quant="fp8", kv="fp8", recovery=0.97))
    return Case((candidate,), (make_option(NODE, option or OptionSpec("node", 10_000)),), rules)


def solve(case: Case) -> FleetResult:
    return rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings())


BASE = make_rules(workloads=(FOUR_REPLICAS,))
DEALT = CandidateSpec(dp=4, ep=4, model=MIXTURE)
"""The same four GPUs as attention ranks over dealt experts."""


@dataclass(frozen=True)
class Rule:
    """A rule with values that keep it, break it and sit on its edge."""

    row: str
    kept: UserRules
    broken: UserRules
    edge: UserRules
    edge_holds: bool = True
    spec: CandidateSpec | None = None


def _limits(**changes: object) -> UserRules:
    return replace(BASE, limits=PlanLimits(**changes))  # type: ignore[arg-type]


def _options(**changes: object) -> UserRules:
    return replace(BASE, options=any_options(**changes))


def _workload(**changes: object) -> UserRules:
    return replace(BASE, workloads=(replace(FOUR_REPLICAS, **changes),))  # type: ignore[arg-type]


def _slo(ttft: float, tpot: float) -> UserRules:
    first, second = FOUR_REPLICAS.slo.promises
    slo = replace(FOUR_REPLICAS.slo, promises=(replace(first, limit_s=ttft), replace(second, limit_s=tpot)))
    return _workload(slo=slo)


def _kept_running(least: int) -> UserRules:
    """Little load, so that the replicas to be kept running fill the nodes."""
    rules = _workload(load=Load(0.5, 0.0, "x", min_replicas=least))
    return replace(rules, limits=PlanLimits(nodes=4))


def _night(**limits: object) -> UserRules:
    """Four replicas by day, three by night."""
    load = Load(4.0, 0.0, "x", factors=(1.0, 0.75))
    periods = (Period("day", 240, 30), Period("night", 490, 30))
    return replace(_workload(load=load), periods=periods, limits=PlanLimits(**limits))  # type: ignore[arg-type]


def _load(rate: float, inflight: float) -> UserRules:
    rules = _workload(load=Load(rate, inflight, "x"))
    return replace(rules, limits=PlanLimits(nodes=4))


RULES = {
    "gpus": Rule("rule:hardware.limits.max_gpus", _limits(gpus=20), _limits(gpus=15), _limits(gpus=16)),
    "nodes": Rule("rule:hardware.limits.max_nodes", _limits(nodes=9), _limits(nodes=3), _limits(nodes=4)),
    "power": Rule("rule:hardware.limits.max_power_kw", _limits(power_w=20000), _limits(power_w=15999),
                  _limits(power_w=16000)),
    "budget": Rule("rule:budget.monthly", _limits(budget_cents=50_000), _limits(budget_cents=39_999),
                   _limits(budget_cents=40_000)),
    "quota": Rule("rule:hardware.quota.0.max_gpus", _limits(quotas=(CardQuota("aws", "h100", 20),)),
                  _limits(quotas=(CardQuota("aws", None, 15),)), _limits(quotas=(CardQuota("aws", "h100", 16),))),
    "allowed gpus": Rule("rule:hardware.gpus", _options(gpus=("h100", "a100")), _options(gpus=("a100",)),
                         _options(gpus=("h100",))),
    "excluded gpus": Rule("rule:hardware.gpus", _options(excluded_gpus=("a100",)),
                          _options(excluded_gpus=("h100",)), _options(excluded_gpus=("a100", "l40s"))),
    "providers": Rule("rule:hardware.providers:providers", _options(providers=("aws", "gcp")),
                      _options(providers=("gcp",)), _options(providers=("aws",))),
    "classes": Rule("rule:hardware.providers.classes:provider classes", _options(),
                    _options(classes=(ProviderClass.NEOCLOUD,)), _options(classes=(ProviderClass.HYPERSCALER,))),
    "regions": Rule("rule:hardware.regions:regions", _options(regions=("eu", "us")), _options(regions=("us",)),
                    _options(regions=("eu",))),
    "tiers": Rule("rule:payment.tiers:payment tiers", _options(), _options(tiers=(Tier.SPOT,)),
                  _options(tiers=(Tier.ON_DEMAND,))),
    "evidence": Rule("rule:payment.price_evidence:price evidence", _options(),
                     _options(evidence=(Evidence.QUOTE,)), _options(evidence=(Evidence.LIST,))),
    "only owned": Rule("rule:hardware.only_owned:only owned", _options(only_owned=False), _options(only_owned=True),
                       _options(only_owned=False)),
    "nvlink": Rule("rule:hardware.nvlink", replace(BASE, nvlink="required"), replace(BASE, nvlink="forbidden"),
                   replace(BASE, nvlink="any")),
    "quants": Rule("rule:engine.weight_quant", _workload(quants=frozenset({"fp8", "bf16"})),
                   _workload(quants=frozenset({"bf16"})), _workload(quants=frozenset({"fp8"}))),
    "kv": Rule("rule:engine.kv_cache", BASE, replace(BASE, kv_caches=frozenset({"auto"})),
               replace(BASE, kv_caches=frozenset({"fp8"}))),
    "tp": Rule("rule:engine.tensor_parallel", BASE, replace(BASE, tensor_parallel=frozenset({1, 2})),
               replace(BASE, tensor_parallel=frozenset({4}))),
    "pp": Rule("rule:engine.pipeline_parallel", BASE, replace(BASE, pipeline_parallel=frozenset({2})),
               replace(BASE, pipeline_parallel=frozenset({1}))),
    "ranks": Rule("rule:engine.attention_dp", BASE, replace(BASE, attention_dp=frozenset({1, 8})),
                  replace(BASE, attention_dp=frozenset({4})), spec=DEALT),
    "no dealt experts": Rule("rule:engine.expert_parallel", BASE, replace(BASE, expert_parallel="off"),
                             replace(BASE, expert_parallel="required"), spec=DEALT),
    "no cut experts": Rule("rule:engine.expert_parallel", BASE, replace(BASE, expert_parallel="required"),
                           replace(BASE, expert_parallel="off"), spec=CandidateSpec(tp=4, model=MIXTURE)),
    "quality": Rule("quality.min_recovery:workloads.w0", _workload(min_recovery=0.9), _workload(min_recovery=0.98),
                    _workload(min_recovery=0.97)),
    "grade": Rule("rule:ranking.min_grade", replace(BASE, min_grade="C"), replace(BASE, min_grade="A"),
                  replace(BASE, min_grade="B")),
    "ttft": Rule("latency:workloads.w0.slo.ttft_ms", _slo(1.0, 0.05), _slo(0.499, 0.05), _slo(0.5, 0.05)),
    "tpot": Rule("latency:workloads.w0.slo.tpot_ms", _slo(1.0, 0.05), _slo(1.0, 0.0299), _slo(1.0, 0.03)),
    "arrivals": Rule("capacity:", _load(3.0, 0.0), _load(4.01, 0.0), _load(4.0, 0.0)),
    "in flight": Rule("capacity:", _load(0.0, 30.0), _load(0.0, 40.1), _load(0.0, 40.0)),
    "min replicas": Rule("rule:workloads.w0.traffic.min_replicas", _kept_running(2), _kept_running(5),
                         _kept_running(4)),
    "gpus by day": Rule("rule:hardware.limits.max_gpus", _night(gpus=20), _night(gpus=15), _night(gpus=16)),
    "nodes by day": Rule("rule:hardware.limits.max_nodes", _night(nodes=9), _night(nodes=3), _night(nodes=4)),
    "power by day": Rule("rule:hardware.limits.max_power_kw", _night(power_w=20000), _night(power_w=15999),
                         _night(power_w=16000)),
    "budget over the day": Rule("rule:budget.monthly", _night(budget_cents=50_000), _night(budget_cents=39_999),
                                _night(budget_cents=40_000)),
    "quota by day": Rule("rule:hardware.quota.0.max_gpus", _night(quotas=(CardQuota("aws", "h100", 20),)),
                         _night(quotas=(CardQuota("aws", "h100", 15),)),
                         _night(quotas=(CardQuota("aws", "h100", 16),))),
    "spare": Rule("packing", replace(BASE, spare_nodes=1, limits=PlanLimits(nodes=6)),
                  replace(BASE, spare_nodes=1, limits=PlanLimits(nodes=4)),
                  replace(BASE, spare_nodes=1, limits=PlanLimits(nodes=5))),
    "spare paid": Rule("rule:budget.monthly", replace(BASE, spare_nodes=1, limits=PlanLimits(budget_cents=60_000)),
                       replace(BASE, spare_nodes=1, limits=PlanLimits(budget_cents=49_999)),
                       replace(BASE, spare_nodes=1, limits=PlanLimits(budget_cents=50_000))),
    "two spares paid": Rule("rule:budget.monthly", replace(BASE, spare_nodes=2, limits=PlanLimits(budget_cents=70_000)),
                            replace(BASE, spare_nodes=2, limits=PlanLimits(budget_cents=59_999)),
                            replace(BASE, spare_nodes=2, limits=PlanLimits(budget_cents=60_000))),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_kept(name: str) -> None:
    assert solve(one_case(RULES[name].kept, RULES[name].spec)).solutions


@pytest.mark.parametrize("name", RULES)
def test_broken(name: str) -> None:
    assert not solve(one_case(RULES[name].broken, RULES[name].spec)).solutions


@pytest.mark.parametrize("name", RULES)
def test_on_the_edge(name: str) -> None:
    assert solve(one_case(RULES[name].edge, RULES[name].spec)).solutions


@pytest.mark.parametrize(("spares", "cents"), [(0, 40_000), (1, 50_000), (2, 60_000)])
def test_a_floor_of_the_cost_counts_each_spare_once(spares: int, cents: int) -> None:
    """Four replicas fill four nodes at 10,000: what they cost at least is what they cost."""
    case = one_case(replace(BASE, spare_nodes=spares))
    (candidate,) = case.candidate_set.candidates
    for alone in (True, False):
        floors = CostFloors(case.candidate_set, case.options, alone=alone)
        assert floors.cents_with(candidate, 4) == floors.cents(candidate) == cents
    assert solve(case).solutions[0].monthly_cents == cents


def row_names(rules: UserRules, spec: CandidateSpec | None, *, screens: bool) -> list[str]:
    case = one_case(rules, spec)
    v = build_model(prepare(case.candidate_set, case.options, screens=screens).instance)
    return [constraint.name for constraint in v.cp.proto.constraints]


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("screens", [True, False])
def test_every_rule_has_a_row(name: str, screens: bool) -> None:
    """Whether or not the screens left out what it forbids."""
    rule = RULES[name]
    names = row_names(rule.broken, rule.spec, screens=screens)
    assert any(row.startswith(rule.row) for row in names)


@pytest.mark.parametrize(
    "rules", [replace(BASE, attention_dp=frozenset({8})), replace(BASE, expert_parallel="required")]
)
def test_rules_about_mixtures_leave_dense_models_alone(rules: UserRules) -> None:
    assert solve(one_case(rules)).solutions


@pytest.mark.parametrize(("kinds", "feasible"), [(2, True), (1, False)])
def test_gpu_kinds(kinds: int, feasible: bool) -> None:
    other = make_type(make_gpu("a100"), 4)
    both = (
        make_candidate(NODE, CandidateSpec(tp=4)),
        make_candidate(other, CandidateSpec(tp=4, workload=1)),
    )
    options = (make_option(NODE, OptionSpec("a", 1)), make_option(other, OptionSpec("b", 1)))
    rules = make_rules(workloads=(make_workload("w0"), make_workload("w1")), limits=PlanLimits(gpu_kinds=kinds))
    assert bool(solve(Case(both, options, rules)).solutions) is feasible


@pytest.mark.parametrize(("stock", "feasible"), [(5, True), (3, False), (4, True)])
@pytest.mark.parametrize("origin", [Origin.OWNED, Origin.QUOTE])
def test_stock_and_owned_nodes(stock: int, feasible: bool, origin: Origin) -> None:
    tier = Tier.OWNED if origin is Origin.OWNED else Tier.ON_DEMAND
    option = OptionSpec("node", 10_000, stock=stock, origin=origin, tier=tier)
    assert bool(solve(one_case(BASE, option=option)).solutions) is feasible


@pytest.mark.parametrize(
    ("licensed", "allowed", "feasible"), [(True, True, True), (False, True, False), (False, False, True)]
)
def test_licence(licensed: bool, allowed: bool, feasible: bool) -> None:
    node = make_type(make_gpu("rtx", datacenter_licensed=licensed), 4)
    case = Case(
        (make_candidate(node, CandidateSpec(tp=4)),),
        (make_option(node, OptionSpec("node", 1)),),
        replace(BASE, options=any_options(licensed_only=allowed)),
    )
    assert bool(solve(case).solutions) is feasible


def test_reference_prices_are_never_ranked() -> None:
    assert not solve(one_case(BASE, option=OptionSpec("node", 1, rankable=False))).solutions


@pytest.mark.parametrize(("tier", "months", "feasible"), [
    (Tier.RESERVED_1Y, 36, True), (Tier.RESERVED_3Y, 35, False), (Tier.RESERVED_3Y, 36, True),
])  # fmt: skip
def test_commitment(tier: Tier, months: int, feasible: bool) -> None:
    rules = _options(max_commitment_months=months)
    assert bool(solve(one_case(rules, option=OptionSpec("node", 1, tier=tier))).solutions) is feasible


def test_low_confidence_cards_are_ranked_where_named_only() -> None:
    node = make_type(make_gpu("rumour", confidence="low"), 4)
    parts = (make_candidate(node, CandidateSpec(tp=4)),), (make_option(node, OptionSpec("node", 1)),)
    assert not solve(Case(*parts, BASE)).solutions
    assert solve(Case(*parts, replace(BASE, options=any_options(gpus=("rumour",))))).solutions


def test_nvlink_pair_joins_two_cards_and_no_more() -> None:
    pair = make_type(make_gpu("a100"), 4, Link.NVLINK_PAIR)
    option = (make_option(pair, OptionSpec("node", 1)),)
    rules = replace(BASE, nvlink="required")
    assert solve(Case((make_candidate(pair, CandidateSpec(tp=2)),), option, rules)).solutions
    assert solve(Case((make_candidate(pair, CandidateSpec(tp=1)),), option, rules)).solutions
    assert not solve(Case((make_candidate(pair, CandidateSpec(tp=2, pp=2)),), option, rules)).solutions


@pytest.mark.parametrize(("twos", "fours", "nodes"), [(1, 1, 1), (2, 1, 2), (2, 2, 2), (5, 2, 3), (3, 0.5, 2)])
def test_packing_of_two_sizes(twos: float, fours: float, nodes: int) -> None:
    """Nodes of 6 GPUs: a replica of 4 leaves two GPUs, which only a replica of 2 can use."""
    node = make_type(make_gpu("h100"), 6)
    candidates = (
        make_candidate(node, CandidateSpec(tp=2, rate=1.0)),
        make_candidate(node, CandidateSpec(tp=4, rate=1.0, workload=1)),
    )
    workloads = (make_workload("w0", twos, 0.0), make_workload("w1", fours, 0.0))
    case = Case(candidates, (make_option(node, OptionSpec("node", 100)),), make_rules(workloads=workloads))
    assert solve(case).solutions[0].nodes[0].count == nodes


def test_replicas_that_fill_nodes_take_them_from_one_offer() -> None:
    node = make_type(make_gpu("h100"), 8, fabric=400.0)
    candidate = make_candidate(node, CandidateSpec(tp=8, pp=2, rate=1.0))
    options = tuple(make_option(node, OptionSpec(name, 100, stock=3)) for name in ("a", "b"))
    rules = make_rules(workloads=(make_workload(rate=2.0, inflight=0.0),))
    plan = solve(Case((candidate,), options, rules)).solutions[0]
    assert [(n.option.offer.id, n.count) for n in plan.nodes] == [("a", 2), ("b", 2)]
    rules = make_rules(workloads=(make_workload(rate=3.0, inflight=0.0),))
    assert not solve(Case((candidate,), options, rules)).solutions
