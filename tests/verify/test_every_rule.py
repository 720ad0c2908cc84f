"""Each rule three times: kept, broken, and exactly on its boundary. A rule without all three fails the last test."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from optimizer.catalog.types import Price
from optimizer.demand import Metric
from optimizer.performance import error_factor
from optimizer.plan.costs import ApiComparison
from optimizer.plan.key import plan_key
from optimizer.plan.replayed import Fewer, LatencyMs, Minimality, Remainder, Replay, ReplayedPromise, StandsAt
from optimizer.plan.types import PlanKey
from optimizer.problem import parts_of
from optimizer.verify import RANKING_RULES, SERVICE_RULES, STATIC_RULES, verify_plan, verify_ranking
from optimizer.verify.case import case_of
from optimizer.verify.service import kv_cache, serve
from optimizer.vocabulary import Survive, Tier

SERVER = {
    "id": "server",
    "provider": "dealer",
    "gpu": "h100_sxm_80",
    "gpus_per_node": 4,
    "tier": "purchase",
    "purchase_price": 120_000.0,
    "currency": "USD",
}
"""The same node as ``acme-4x``, bought."""

ON_PLANS = [Path(__file__).with_name(f"test_{name}_verified.py") for name in ("pools", "drafts")]
"""Where the rules about pools and drafts have their three tests: on a plan that was found, not on one made by hand."""

OWNED = {"gpu": "h100_sxm_80", "gpus_per_node": 4, "nodes": 2}


@dataclass(frozen=True)
class Kit:
    """What a check needs: the world and the words for groups and nodes."""

    world: Any
    has: Callable[..., Any]
    gets: Callable[..., Any]

    def plan(self, problem, groups=None, nodes=None, **more):
        groups = groups or [self.has()]
        nodes = nodes or [self.gets()]
        return self.world.plan(problem, groups, nodes, **more)


CHECKS: list[tuple[str, str, Callable]] = []


def check(rule: str, kind: str):
    """Register a check: it returns a problem and a plan; only a ``broken`` one may break the rule."""

    def register(function):
        CHECKS.append((rule, kind, function))
        return function

    return register


COVERED: list[tuple[str, str]] = []


def covers(rule: str, *kinds: str):
    """Mark a test as covering a rule by itself."""

    def register(function):
        COVERED.extend((rule, kind) for kind in kinds)
        return function

    return register


def edited(plan, part: str, index: int = 0, **changes):
    """A plan with one of its groups, nodes, predictions or bindings changed."""
    items = list(getattr(plan, part))
    items[index] = replace(items[index], **changes)
    return replace(plan, **{part: tuple(items)})


# Rules that compare what is printed with what follows: kept = as it follows, boundary = the smallest honest variation.


def printed(rule: str, part: str | None, honest: Callable[[Kit], tuple] | None = None, **lie):
    """Three checks of a printed figure: a plain plan, the same with a lie, and an honest variation."""

    def base(kit: Kit):
        problem = kit.world.problem()
        return problem, kit.plan(problem)

    def broken(kit: Kit):
        problem, plan = base(kit)
        return problem, (edited(plan, part, **lie) if part else replace(plan, **lie))

    CHECKS.extend([(rule, "kept", base), (rule, "broken", broken), (rule, "boundary", honest or base)])


def two_groups(kit: Kit):
    problem = kit.world.problem()
    return problem, kit.plan(problem, [kit.has(share=1260), kit.has(share=1260)])


def two_configurations(kit: Kit, most: int):
    """Half of it on H100, half on L40S in FP8."""
    problem = kit.world.problem(quality={"min_recovery": 0.9}, ranking={"max_configurations_per_workload": most})
    groups = [kit.has(share=1260), kit.has("acme-4x-pcie", share=1260, replicas=1, tp=4, quant="fp8")]
    return problem, kit.plan(problem, groups, [kit.gets(), kit.gets("acme-4x-pcie")])


@check("configurations", "kept")
def as_many_as_permitted(kit):
    return two_configurations(kit, 2)


@check("configurations", "broken")
def one_more_than_permitted(kit):
    return two_configurations(kit, 1)


def kept_running(kit: Kit, least: int):
    """Two replicas, where so many are to be kept running whatever the load."""
    problem = kit.world.problem(traffic={"requests_per_second": 2.0, "concurrency": 16.0, "min_replicas": least})
    return problem, kit.plan(problem)


for _kind, _least in (("kept", 1), ("boundary", 2), ("broken", 3)):
    CHECKS.append(("always served", _kind, lambda kit, least=_least: kept_running(kit, least)))


@check("configurations", "boundary")
def two_groups_of_one_configuration(kit):
    return two_groups(kit)


def idle_node(kit: Kit):
    problem = kit.world.problem()
    return problem, kit.plan(problem, [kit.has(replicas=4)])


def pairs_beyond_a_pair(kit: Kit):
    problem = kit.world.problem()
    return problem, kit.plan(problem, [kit.has("acme-4x-pairs", replicas=1, tp=4)], [kit.gets("acme-4x-pairs")])


def owned_plan(kit: Kit, **limits):
    problem = kit.world.problem(hardware={"owned": (OWNED,), **limits})
    name = "owned-4x-h100_sxm_80"
    return problem, kit.plan(problem, [kit.has(name)], [kit.gets(name, tier=Tier.OWNED)])


printed("identity", "groups", pairs_beyond_a_pair, interconnect="nvlink")
printed("shares", "groups", two_groups, share=2519)
printed("counts", "nodes", idle_node, idle_gpus=3)
printed("node lines", "nodes", owned_plan, region="eu-1")
printed("ledger", None, owned_plan, monthly_cents=1)
printed("spare cost", None, owned_plan, spare_node_cents=1)
printed("unit costs", None, owned_plan, unit_costs=None)


def long_run_plan(kit: Kit, **lie):
    problem = kit.world.problem(
        payment={"api_price": {"input_per_million": 0.6, "output_per_million": 0.9}}, offers=(SERVER,)
    )
    plan = kit.plan(problem)
    return problem, replace(plan, long_run=replace(plan.long_run, **lie))


@check("totals", "broken")
def a_year_that_costs_nothing(kit: Kit):
    return long_run_plan(kit, totals=((1, 0), (3, 0), (5, 0)))


@check("rent or buy", "broken")
def an_earlier_break_even(kit: Kit):
    _, plan = long_run_plan(kit)
    sooner = replace(plan.long_run.rent_or_buy, months=plan.long_run.rent_or_buy.months - 1)
    return long_run_plan(kit, rent_or_buy=sooner)


@check("per token", "broken")
def tokens_of_half_the_load(kit: Kit):
    return long_run_plan(kit, mean_load=0.5)


@check("by the token", "broken")
def an_api_for_nothing(kit: Kit):
    return long_run_plan(kit, api=ApiComparison(1, (), (), None, None, 1.0, 1.0))


for _rule in ("totals", "rent or buy", "per token", "by the token"):
    CHECKS.extend([(_rule, "kept", long_run_plan), (_rule, "boundary", owned_plan)])

printed("excludes", None, owned_plan, excludes=("storage",))
printed("grades", None, pairs_beyond_a_pair, grade="D")
printed("predictions", "predicted", two_groups, concurrency=1.0)
printed("kept promises", "predicted", two_groups, promises=())
printed("bindings", "binding", two_groups, slack=0.5)
printed("key", None, owned_plan, key=PlanKey(()))


# What a replica is.


def formats(kit: Kit, offer: str, **more):
    problem = kit.world.problem(quality={"min_recovery": 0.9})
    return problem, kit.plan(problem, [kit.has(offer, **more)], [kit.gets(offer)])


@check("precision", "kept")
def native_precision(kit):
    return formats(kit, "acme-4x")


@check("precision", "broken")
def nvfp4_on_hopper(kit):
    return formats(kit, "acme-4x", quant="nvfp4")


@check("precision", "boundary")
def fp8_from_capability_8_9(kit):
    return formats(kit, "acme-4x-pcie", quant="fp8", kv="fp8")


@check("parallelism", "kept")
def inside_a_node(kit):
    return formats(kit, "acme-4x", replicas=1, tp=2, pp=2)


@check("parallelism", "broken")
def stages_over_no_fabric(kit):
    problem = kit.world.problem()
    return problem, kit.plan(problem, [kit.has(replicas=1, tp=4, pp=2)], [kit.gets(count=2)])


@check("parallelism", "boundary")
def stages_over_a_stated_fabric(kit):
    problem = kit.world.problem()
    groups = [kit.has("acme-2x-fabric", replicas=1, tp=2, pp=2)]
    return problem, kit.plan(problem, groups, [kit.gets("acme-2x-fabric", count=2)])


@check("engine settings", "kept")
def settings_allowed(kit):
    engine = {"weight_quant": ("native",), "tensor_parallel": (1,), "max_num_seqs": 64}
    problem = kit.world.problem(engine=engine)
    return problem, kit.plan(problem)


@check("engine settings", "broken")
def a_degree_not_allowed(kit):
    problem = kit.world.problem(engine={"tensor_parallel": (2, 4)})
    return problem, kit.plan(problem)


@check("engine settings", "boundary")
def the_only_degree_allowed(kit):
    problem = kit.world.problem(engine={"tensor_parallel": (2,), "kv_cache": ("fp8",), "gpu_memory_utilization": 0.8})
    return problem, kit.plan(problem, [kit.has(tp=2, kv="fp8")])


def sequences_at(kit, sequences):
    """A plan whose groups run so many sequences at once, their memory as it then is."""
    stated = kit.world.problem(engine={"max_num_seqs": sequences})
    return kit.world.problem(), kit.plan(stated)


check("sequences", "kept")(lambda kit: sequences_at(kit, 64))
check("sequences", "broken")(lambda kit: sequences_at(kit, 1025))  # the engine takes 1,024 by itself on this card
check("sequences", "boundary")(lambda kit: sequences_at(kit, 1024))


def test_a_step_has_a_token_for_each_sequence_and_the_driver_its_room(world, has, gets):
    kit = Kit(world, has, gets)
    for tokens, broken in ((64, False), (63, True)):
        problem = kit.world.problem(engine={"max_num_seqs": 64, "max_num_batched_tokens": tokens})
        assert ("sequences" in world.broken(problem, kit.plan(problem))) is broken
    for share, broken in ((0.99, False), (0.995, True)):
        problem = kit.world.problem(engine={"gpu_memory_utilization": share})
        assert ("memory" in world.broken(problem, kit.plan(problem))) is broken


def quality_at(kit, change):
    plan = kit.plan(kit.world.problem(), [kit.has(quant="fp8")])
    floor = plan.groups[0].recovery + change
    problem = kit.world.problem(quality={"min_recovery": floor})
    return problem, kit.plan(problem, [kit.has(quant="fp8")])


check("quality", "kept")(lambda kit: quality_at(kit, -0.01))
check("quality", "broken")(lambda kit: quality_at(kit, 1e-6))
check("quality", "boundary")(lambda kit: quality_at(kit, 0.0))


def grade_at(kit, least, stages):
    """Pipeline stages are never better than C."""
    problem = kit.world.problem(ranking={"min_grade": least})
    return problem, kit.plan(problem, [kit.has(tp=1, pp=stages)])


check("least grade", "kept")(lambda kit: grade_at(kit, "C", 1))
check("least grade", "broken")(lambda kit: grade_at(kit, "B", 2))
check("least grade", "boundary")(lambda kit: grade_at(kit, "C", 2))


def memory_at(kit, utilization):
    problem = kit.world.problem(engine={"gpu_memory_utilization": utilization}, traffic={"concurrency": 1.0})
    return problem, kit.plan(problem)


def tight_utilization(kit, change):
    """The share of memory that leaves exactly one request of context_max."""
    memory = kit.plan(kit.world.problem()).groups[0].memory
    longest = 131072 * 4096 / 2**30  # 2 x 32 layers x 8 heads x 128 x 2 bytes per token
    needed = memory.weights + memory.activations + memory.overhead + longest
    return needed / (kit.world.catalog.gpus["h100_sxm_80"].total_mib / 1024) * (1 + change)


check("memory", "kept")(lambda kit: memory_at(kit, 0.9))
check("memory", "broken")(lambda kit: memory_at(kit, tight_utilization(kit, -1e-5)))
check("memory", "boundary")(lambda kit: memory_at(kit, tight_utilization(kit, 1e-9)))


# What nodes are used.


def permitted_at(kit, offer="acme-4x", **sections):
    problem = kit.world.problem(**sections)
    return problem, kit.plan(problem, [kit.has(offer)], [kit.gets(offer)])


check("permitted", "kept")(lambda kit: permitted_at(kit, hardware={"providers": ("acme",), "regions": ("us-1",)}))
check("permitted", "broken")(lambda kit: permitted_at(kit, "old-4x"))
check("permitted", "boundary")(lambda kit: permitted_at(kit, "old-4x", payment={"as_of": "2025-06-30"}))  # 180 days


@pytest.mark.parametrize(
    "hardware",
    [
        {"providers": ("beta",)},
        {"providers": {"classes": ("hyperscaler",)}},
        {"regions": ("eu-1",)},
        {"only_owned": True},
        {"gpus": ("l40s_48",)},
        {"nvlink": "forbidden"},
    ],
)
def test_each_rule_about_offers_is_checked(world, hardware):
    problem = world.problem(hardware=hardware)
    assert "permitted" in world.broken(problem, world.plan(problem))


def nvlink_at(kit, offer, tp):
    problem = kit.world.problem(hardware={"nvlink": "required"})
    return problem, kit.plan(problem, [kit.has(offer, replicas=1, tp=tp)], [kit.gets(offer)])


check("nvlink required", "kept")(lambda kit: nvlink_at(kit, "acme-4x", 4))
check("nvlink required", "broken")(lambda kit: nvlink_at(kit, "acme-4x-pairs", 4))
check("nvlink required", "boundary")(lambda kit: nvlink_at(kit, "acme-4x-pairs", 2))


@pytest.mark.parametrize(("tp", "broken"), [(1, False), (2, True)])
def test_one_gpu_needs_no_link(world, has, gets, tp, broken):
    problem = world.problem(hardware={"nvlink": "required"})
    plan = world.plan(problem, [has("acme-4x-pcie", tp=tp)], [gets("acme-4x-pcie")])
    assert ("nvlink required" in world.broken(problem, plan)) is broken


def packing_at(kit, groups, count):
    problem = kit.world.problem(ranking={"max_configurations_per_workload": 2})
    share = 2520 // len(groups)
    return problem, kit.plan(problem, [replace(kit.has(), share=share, **g) for g in groups], [kit.gets(count=count)])


check("packing", "kept")(lambda kit: packing_at(kit, [{"replicas": 2}], 1))
check("packing", "broken")(lambda kit: packing_at(kit, [{"replicas": 2, "tp": 2}, {"replicas": 1}], 1))
check("packing", "boundary")(lambda kit: packing_at(kit, [{"replicas": 1, "tp": 2}, {"replicas": 2}], 1))


def spares_at(kit, replicas, count, spare):
    problem = kit.world.problem(margins={"spare_nodes": 1})
    return problem, kit.plan(problem, [kit.has(replicas=replicas)], [kit.gets(count=count, spare=spare)])


check("spare nodes", "kept")(lambda kit: spares_at(kit, 3, 2, 1))
check("spare nodes", "broken")(lambda kit: spares_at(kit, 5, 2, 1))
check("spare nodes", "boundary")(lambda kit: spares_at(kit, 4, 2, 1))


def left_at(kit, replicas, count, told=None, survive="node", places=()):
    """A node of four takes four replicas of one GPU with it."""
    problem = kit.world.problem(margins={"survive": survive})
    plan = kit.plan(problem, [kit.has(replicas=replicas)], [kit.gets(count=count)])
    lost = min(4, replicas) if told is None else told
    left = [Remainder("chat", Survive(survive), lost, replicas - lost, None, places=places)]
    return problem, replace(plan, remainder=tuple(left))


check("survive", "kept")(lambda kit: left_at(kit, 8, 2))
check("survive", "boundary")(lambda kit: left_at(kit, 5, 2))
check("survive", "broken")(lambda kit: left_at(kit, 4, 1))


@pytest.mark.parametrize(
    ("replicas", "count", "more"),
    [
        (8, 2, {"told": 3}),  # fewer than go with a node
        (8, 2, {"survive": "site", "told": 8}),  # nothing left of the only site
        (8, 2, {"survive": "site", "told": 4, "places": (StandsAt("acme", "", 4), StandsAt("other", "", 4))}),
    ],
)
def test_what_is_left_is_what_the_nodes_leave(world, has, gets, replicas, count, more):
    problem, plan = left_at(Kit(world, has, gets), replicas, count, **more)
    assert "survive" in {one.rule for one in verify_plan(problem, world.catalog, world.params, plan)}


def test_a_plan_that_may_lose_something_says_what_is_left(world, has, gets):
    problem, plan = left_at(Kit(world, has, gets), 8, 2)
    found = verify_plan(problem, world.catalog, world.params, replace(plan, remainder=()))
    assert "survive" in {one.rule for one in found}


def limited(kit, nodes, **limits):
    problem = kit.world.problem(hardware={"limits": limits})
    return problem, kit.plan(problem, [kit.has(replicas=4 * nodes)], [kit.gets(count=nodes)])


NODE_KW = 4 * (0.7 + 0.58)

for name, key, limit, boundary, over in (
    ("max gpus", "max_gpus", 8, 2, 3),
    ("max nodes", "max_nodes", 2, 2, 3),
    ("max power", "max_power_kw", 2 * NODE_KW, 2, 3),
):
    for kind, nodes in (("kept", 1), ("broken", over), ("boundary", boundary)):
        check(name, kind)(lambda kit, nodes=nodes, key=key, limit=limit: limited(kit, nodes, **{key: limit}))


def kinds_at(kit, most, offers):
    problem = kit.world.problem(
        ranking={"max_configurations_per_workload": 2}, hardware={"limits": {"max_gpu_kinds": most}}
    )
    groups = [kit.has(offer, share=2520 // len(offers)) for offer in offers]
    return problem, kit.plan(problem, groups, [kit.gets(offer) for offer in offers])


check("max gpu kinds", "kept")(lambda kit: kinds_at(kit, 2, ["acme-4x"]))
check("max gpu kinds", "broken")(lambda kit: kinds_at(kit, 1, ["acme-4x", "acme-4x-pcie"]))
check("max gpu kinds", "boundary")(lambda kit: kinds_at(kit, 2, ["acme-4x", "acme-4x-pcie"]))


def stock_at(kit, count):
    problem = kit.world.problem()
    return problem, kit.plan(problem, [kit.has(replicas=4 * count)], [kit.gets(count=count)])


check("stock", "kept")(lambda kit: stock_at(kit, 1))
check("stock", "broken")(lambda kit: stock_at(kit, 7))
check("stock", "boundary")(lambda kit: stock_at(kit, 6))


def quota_at(kit, most, gpu="h100_sxm_80"):
    quota = ({"provider": "acme", "gpu": gpu, "max_gpus": most}, {"provider": "beta", "max_gpus": 0})
    problem = kit.world.problem(hardware={"quota": quota})
    return problem, kit.plan(problem)


check("quota", "kept")(lambda kit: quota_at(kit, 16))
check("quota", "broken")(lambda kit: quota_at(kit, 3, None))
check("quota", "boundary")(lambda kit: quota_at(kit, 4))


@pytest.mark.parametrize(
    ("gpu", "most", "broken"),
    [("h100_sxm_80", 4, False), ("h100_sxm_80", 3, True), ("l40s_48", 4, False), ("l40s_48", 3, True),
     (None, 8, False), (None, 7, True)],
)  # fmt: skip
def test_a_quota_counts_its_own_card_alone(world, has, gets, gpu, most, broken):
    """Four of each of two cards at one provider: a quota of one card is not used up by the other."""
    kit = Kit(world, has, gets)
    quota = ({"provider": "acme", "gpu": gpu, "max_gpus": most},)
    problem = world.problem(
        quality={"min_recovery": 0.9}, ranking={"max_configurations_per_workload": 2}, hardware={"quota": quota}
    )
    groups = [kit.has(share=1260), kit.has("acme-4x-pcie", share=1260, replicas=1, tp=4, quant="fp8")]
    plan = kit.plan(problem, groups, [kit.gets(), kit.gets("acme-4x-pcie")])
    assert [node.count * node.gpus_per_node for node in plan.nodes] == [4, 4]
    assert ("quota" in world.broken(problem, plan)) is broken


QUOTE = {
    "id": "mine",
    "provider": "newcloud",
    "gpu": "h100_sxm_80",
    "gpus_per_node": 4,
    "currency": "USD",
    "price_per_hour": 10.0,
}


def quoted_at(kit, quote, count=1, from_nodes=1, **sections):
    problem = kit.world.problem(offers=({**QUOTE, **quote},), **sections)
    return problem, kit.plan(problem, [kit.has("mine")], [kit.gets("mine", count=count, from_nodes=from_nodes)])


def residency_at(kit, **facts):
    require = {"countries": ("DE", "FI"), "headquarters": ("DE",), "certificates": ("ISO 27001",)}
    hardware = {"regions": ("eu-1",), "require": require}
    stated = {"region": "eu-1", "country": "DE", "headquarters": "DE", "certificates": ("ISO 27001", "C5"), **facts}
    return quoted_at(kit, stated, hardware=hardware)


check("residency", "kept")(residency_at)
check("residency", "broken")(lambda kit: residency_at(kit, country="US"))
check("residency", "boundary")(lambda kit: residency_at(kit, country="FI", certificates=("iso27001",)))


@pytest.mark.parametrize("fact", ["region", "country", "headquarters", "certificates"])
def test_a_node_that_does_not_state_what_is_asked_breaks_residency(world, has, gets, fact):
    problem, plan = residency_at(Kit(world, has, gets), **{fact: None})
    assert "residency" in world.broken(problem, plan)


@pytest.mark.parametrize(("country", "broken"), [("CN", False), ("US", True), (None, True)])
def test_a_node_has_to_be_of_the_market(world, has, gets, country, broken):
    problem, plan = quoted_at(Kit(world, has, gets), {"country": country}, hardware={"market": "cn"})
    assert ("residency" in world.broken(problem, plan)) is broken


check("valid quotes", "kept")(lambda kit: quoted_at(kit, {"valid_until": "2026-12-31"}))
check("valid quotes", "broken")(lambda kit: quoted_at(kit, {"valid_until": "2026-06-30"}))
check("valid quotes", "boundary")(lambda kit: quoted_at(kit, {"valid_until": "2026-07-01"}))

BREAKS = ({"from_nodes": 3, "price_per_hour": 9.0}, {"from_nodes": 5, "price_per_hour": 8.0})

check("order sizes", "kept")(lambda kit: quoted_at(kit, {"min_nodes": 2}, 3, 2))
check("order sizes", "broken")(lambda kit: quoted_at(kit, {"min_nodes": 2}, 1, 2))
check("order sizes", "boundary")(lambda kit: quoted_at(kit, {"min_nodes": 2, "price_breaks": BREAKS}, 2, 2))


@pytest.mark.parametrize(
    ("count", "from_nodes", "broken"),
    [
        (2, 1, False),
        (2, 3, True),
        (3, 1, True),
        (3, 3, False),
        (4, 3, False),
        (5, 3, True),
        (5, 5, False),
        (4, 5, True),
    ],
)
def test_the_price_of_the_last_break_reached_holds(world, has, gets, count, from_nodes, broken):
    problem, plan = quoted_at(Kit(world, has, gets), {"price_breaks": BREAKS}, count, from_nodes)
    assert ("order sizes" in world.broken(problem, plan)) is broken


def owed_at(kit, changed=0):
    """Two nodes at 10 dollars for 12 months, a tenth at once, half of the rest on leaving."""
    quote = {"commitment_months": 12, "upfront_percent": 10.0, "early_exit_percent": 50.0}
    problem, plan = quoted_at(kit, quote, 2)
    whole = 730_000 * 2 * 12
    assert (plan.owed.now_cents, plan.owed.upfront_cents) == (whole, whole // 10)
    assert plan.owed.by_month_cents == tuple(whole * 9 * (12 - month) // 240 for month in range(1, 13))
    months = (plan.owed.by_month_cents[0] + changed, *plan.owed.by_month_cents[1:])
    return problem, replace(plan, owed=replace(plan.owed, by_month_cents=months))


check("owed", "kept")(owed_at)
check("owed", "broken")(lambda kit: owed_at(kit, 2))
check("owed", "boundary")(lambda kit: owed_at(kit, 1))


@pytest.mark.parametrize(("quote", "now"), [(SERVER, 120_000_00), ({**QUOTE, "commitment_months": 3}, 730_000 * 3)])
def test_the_price_of_a_bought_node_and_a_commitment_are_owed_on_signing(world, has, gets, quote, now):
    tier = Tier(quote.get("tier", "on_demand"))
    problem = world.problem(offers=(quote,), payment={"tiers": ("purchase", "on_demand")})
    plan = world.plan(problem, [has(quote["id"])], [gets(quote["id"], tier=tier)])
    assert plan.owed.now_cents == now and not world.broken(problem, plan)
    less = replace(plan, owed=replace(plan.owed, now_cents=now - 1))
    assert world.broken(problem, less) == {"owed"}


def share_at(kit, share):
    """11 of 21 dollars an hour go to beta: 0.5238."""
    problem = kit.world.problem(hardware={"limits": {"max_share_per_provider": share}})
    return problem, kit.plan(problem, [kit.has(replicas=5)], [kit.gets(), kit.gets("beta-4x")])


check("provider share", "kept")(lambda kit: share_at(kit, 0.6))
check("provider share", "broken")(lambda kit: share_at(kit, 0.523))
check("provider share", "boundary")(lambda kit: share_at(kit, 0.524))


def budget_at(kit, monthly):
    problem = kit.world.problem(budget={"monthly": monthly}, payment={"extras_monthly": 100.0})
    return problem, kit.plan(problem)


check("budget", "kept")(lambda kit: budget_at(kit, 10_000.0))
check("budget", "broken")(lambda kit: budget_at(kit, 7_399.99))
check("budget", "boundary")(lambda kit: budget_at(kit, 7_400.0))


# Money whose rounding is seen on an awkward price.


def rounding_at(kit, monthly, change=0):
    """Three nodes at a price that makes ``monthly`` a month, the bill off by some cents."""
    price = Price(Tier.ON_DEMAND, monthly / 730, "USD", "2026-07-01", "page", True, "")
    offers = {**kit.world.catalog.offers, "acme-4x": replace(kit.world.catalog.offers["acme-4x"], prices=(price,))}
    world = replace(kit.world, catalog=replace(kit.world.catalog, offers=offers))
    problem = world.problem()
    plan = world.plan(problem, [kit.has()], [kit.gets(count=3)])
    lines = (replace(plan.cost_lines[0], monthly_cents=plan.cost_lines[0].monthly_cents + change),)
    return problem, replace(plan, cost_lines=lines), world


check("rounding", "kept")(lambda kit: rounding_at(kit, 7300.0))
check("rounding", "broken")(lambda kit: rounding_at(kit, 7300.0, change=2))
check("rounding", "boundary")(lambda kit: rounding_at(kit, 735.005))  # half a cent a node


# What users feel.


def latency_at(kit, metric, held, factor):
    """The promise set to ``factor`` times what the plan keeps under one of the two loads."""
    load = {"concurrency": 16.0} if held else {"requests_per_second": 2.0}
    plan = kit.plan(kit.world.problem(traffic=load))
    value = kit.world.margin(kit.world.problem(traffic=load), plan, metric, held=held)
    limit = math.ceil(value * factor * 1000) / 1000  # limits are read in whole microseconds, rounded down
    problem = kit.world.problem(traffic=load, slo={f"{metric}_ms": limit})
    return problem, kit.plan(problem)


for name, held, metric in (("poisson", False, Metric.TTFT), ("inflight", True, Metric.TPOT)):
    for kind, factor in (("kept", 2.0), ("broken", 0.9999), ("boundary", 1.0)):
        check(name, kind)(lambda kit, m=metric, h=held, f=factor: latency_at(kit, m, h, f))


def people_at(kit, limit, users=40.0, **engine):
    """People who think for 5 s: a promise on the whole answer, or on nothing but a slot for each."""
    traffic = {"users": {"active": users, "think_time_s": 5.0}}
    slo = {} if limit is None else {"e2e_s": limit}
    problem = kit.world.problem(traffic=traffic, slo=slo, **({"engine": engine} if engine else {}))
    return problem, kit.plan(problem)


def response_of(kit, percentile):
    """Seconds of an answer to 40 people, margin included."""
    from optimizer.performance import band_source, behaviours, error_factor, grade_of
    from optimizer.problem import lengths_of

    problem, plan = people_at(kit, 1000.0)
    spec, params = kit.world.spec(problem, plan.groups[0]), kit.world.params
    seen = behaviours([spec], lengths_of(problem.workloads[0]), params, users=[20.0], think_s=5.0)[0]
    return seen.e2e.at(percentile) * error_factor(Metric.E2E, grade_of(spec, params)[0], 0.9, band_source(spec, params))


check("population", "kept")(lambda kit: people_at(kit, 2 * response_of(kit, 95)))
check("population", "broken")(lambda kit: people_at(kit, 0.9999 * response_of(kit, 95)))
check("population", "boundary")(lambda kit: people_at(kit, math.ceil(response_of(kit, 95) * 1e6) / 1e6))


def test_people_find_a_slot_and_are_answered_within_twice_the_time_of_one_alone(world, has, gets):
    kit = Kit(world, has, gets)
    for users, seqs in ((4000.0, 1024), (200.0, 16)):
        problem, plan = people_at(kit, None, users, max_num_seqs=seqs)
        assert "population" in world.broken(problem, plan)
    assert not world.broken(*people_at(kit, None, 4.0))


def test_more_in_flight_than_people_is_found(world, has, gets):
    problem, plan = people_at(Kit(world, has, gets), 1000.0)
    crowded = replace(plan.predicted[0], concurrency=40.5)
    assert "population" in world.broken(problem, replace(plan, predicted=(crowded,)))


def saturation_at(kit, factor):
    """Arrivals at ``factor`` times 0.9 of saturation x the throughput's error factor, without a latency promise."""
    from optimizer.performance import band_source, behaviours, grade_of
    from optimizer.performance.accuracy import throughput_factor
    from optimizer.problem import lengths_of

    problem = kit.world.problem(traffic={"requests_per_second": 2.0}, slo={})
    spec = kit.world.spec(problem, kit.plan(problem).groups[0])
    seen = behaviours([spec], lengths_of(problem.workloads[0]), kit.world.params, rates=[1.0])[0]
    grade, source = grade_of(spec, kit.world.params)[0], band_source(spec, kit.world.params)
    top = 0.9 * throughput_factor(grade, 0.9, source) / seen.utilization
    problem = kit.world.problem(traffic={"requests_per_second": 2 * top * factor}, slo={})
    return problem, kit.plan(problem)


check("saturation", "kept")(lambda kit: saturation_at(kit, 0.5))
check("saturation", "broken")(lambda kit: saturation_at(kit, 1.0001))
check("saturation", "boundary")(lambda kit: saturation_at(kit, 1.0))


def kv_at(kit, sizing, held):
    tokens = {"input": 1000.0, "output": 200.0, "context_max": 4096, "kv_sizing": sizing}
    problem = kit.world.problem(tokens=tokens, traffic={"concurrency": held}, slo={}, engine={"max_num_seqs": 4096})
    return problem, kit.plan(problem, [kit.has(replicas=1)])


def most_resident(kit):
    """Requests of ``context_max`` that 90 % of the KV blocks hold."""
    _, plan = kv_at(kit, "worst_case", 1.0)
    return 0.9 * plan.groups[0].memory.kv_cache * 2**30 / (131072 * 4096)


check("kv cache", "kept")(lambda kit: kv_at(kit, "worst_case", 1.0))
check("kv cache", "boundary")(lambda kit: kv_at(kit, "worst_case", most_resident(kit) * 0.99))


@covers("kv cache", "broken")
def test_a_replica_that_holds_too_much_is_found(world, has, gets):
    """A load beyond the cache is refused as unstable, so the bill is halved to see this rule alone."""
    problem, plan = kv_at(Kit(world, has, gets), "worst_case", most_resident(Kit(world, has, gets)) * 0.99)
    case = case_of(problem, world.catalog, world.params, plan)
    (served,) = serve([case], world.params)
    bill = served[0].group.bill
    halved = replace(served[0], group=replace(served[0].group, bill=replace(bill, kv_tokens=bill.kv_tokens // 2)))
    assert not list(kv_cache(case, served))
    assert [found.rule for found in kv_cache(case, (halved,))] == ["kv cache"]


def capacity_at(kit, **figures):
    problem = kit.world.problem()
    plan = kit.plan(problem)
    capacity = replace(plan.predicted[0].capacity, **figures)
    tokens = capacity.requests_per_second * 200
    return problem, edited(plan, "predicted", capacity=replace(capacity, output_tokens_per_second=tokens))


check("capacity", "kept")(lambda kit: capacity_at(kit, concurrency=17.0, requests_per_second=2.1))
check("capacity", "broken")(lambda kit: capacity_at(kit, concurrency=15.99))
check("capacity", "boundary")(lambda kit: capacity_at(kit, concurrency=16.0, requests_per_second=2.0))


@pytest.mark.parametrize("figures", [{"concurrency": 1e6}, {"requests_per_second": 1e4}, {"requests_per_second": 1.9}])
def test_a_capacity_too_large_or_too_small_is_found(world, has, gets, figures):
    problem, plan = capacity_at(Kit(world, has, gets), **figures)
    assert "capacity" in world.broken(problem, plan)


def factor_at(kit, factor):
    problem = kit.world.problem()
    return problem, replace(kit.plan(problem), load_factor=factor)


check("load factor", "kept")(lambda kit: factor_at(kit, 1.1))
check("load factor", "broken")(lambda kit: factor_at(kit, 100.0))
check("load factor", "boundary")(lambda kit: factor_at(kit, 1.0))


def replayed_at(kit, reach):
    """A plan whose replay reaches so much of every limit, margin included."""
    problem = kit.world.problem()
    plan, promises = kit.plan(problem), parts_of(problem)[0].slo.promises
    case = case_of(problem, kit.world.catalog, kit.world.params, plan)
    (entry,) = serve([case], kit.world.params)[0]
    seen = []
    for promise in promises:
        margin = error_factor(promise.metric, entry.grade, problem.margins.confidence, entry.engine)
        worst = promise.limit_s * reach
        figures = (worst / margin, worst / margin, worst / margin, worst / margin, True, worst, promise.limit_s)
        seen.append(ReplayedPromise(promise.metric, promise.percentile, promise.path, *figures))
    load, none = parts_of(problem)[0].load, LatencyMs(1.0, 1.0, 1.0, 1.0, 1.0)
    replicas = plan.groups[0].replicas
    sent = (replicas, load.requests_per_second, float(-(-load.inflight // replicas)), load.users)
    replay = Replay(plan.groups[0].workload, none, none, none, 1000, "round_robin", tuple(seen), None, "", *sent)
    limits = {one.path for one in promises}
    bound = tuple(
        replace(one, value=one.limit * reach, slack=1 - reach) if one.promise in limits else one for one in plan.binding
    )
    return problem, replace(plan, simulated=(replay,), binding=bound)


check("replays", "kept")(lambda kit: replayed_at(kit, 0.9))
check("replays", "broken")(lambda kit: replayed_at(kit, 1.01))
check("replays", "boundary")(lambda kit: replayed_at(kit, 1.0))


SESSIONS = {"input": 2000, "output": 100, "context_max": 4096, "shared_prefix": 0.6, "requests_per_prefix": 5}


def earned_at(kit, change=0.0, gap=8.0, **figures):
    """A plan whose replicas find a shared prefix again after a gap, with what is told of that changed a little."""
    traffic = {"requests_per_second": 6.0}
    problem = kit.world.problem(tokens={**SESSIONS, "prefix_gap_s": gap}, traffic=traffic)
    plan = kit.plan(problem)
    (told,) = plan.predicted
    hits = replace(told.prefix, found=told.prefix.found + change, **figures)
    return problem, replace(plan, predicted=(replace(told, prefix=hits),))


check("prefix hits", "kept")(earned_at)
check("prefix hits", "broken")(lambda kit: earned_at(kit, 0.01))
check("prefix hits", "boundary")(lambda kit: earned_at(kit, 1e-8))


IN_MEMORY = {
    "id": "mine",
    "provider": "dealer",
    "gpu": "h100_sxm_80",
    "gpus_per_node": 4,
    "tier": "on_demand",
    "price_per_hour": 10.0,
    "currency": "USD",
    "host_memory_gib": 600.0,
}
"""Three quarters less 64 GiB are 386, of which two cards get 193."""


def in_host_memory(kit, gib, tiers="any", gap=400.0, version=None, **groups):
    tokens = {**SESSIONS, "prefix_gap_s": gap}
    problem = kit.world.problem(
        tokens=tokens,
        traffic={"requests_per_second": 6.0},
        offers=(IN_MEMORY,),
        engine={"kv_tiers": tiers, "version": version},
    )
    has = kit.has("mine", replicas=2, tp=2, host_gib=gib, **groups)
    return problem, kit.plan(problem, [has], [kit.gets("mine")])


check("host tier", "kept")(lambda kit: in_host_memory(kit, 100.0))
check("host tier", "broken")(lambda kit: in_host_memory(kit, 194.0))
check("host tier", "boundary")(lambda kit: in_host_memory(kit, 193.0))
check("host tier", "kept")(lambda kit: in_host_memory(kit, 0.0))
check("host tier", "broken")(lambda kit: in_host_memory(kit, 0.0, "host"))
check("host tier", "broken")(lambda kit: in_host_memory(kit, 100.0, "none"))
check("host tier", "kept")(lambda kit: in_host_memory(kit, 193.0, "host"))
check("host tier", "broken")(lambda kit: in_host_memory(kit, 100.0, version="0.18.1"))


@pytest.mark.parametrize(("change", "most"), [({"found": 0.01}, 0.0), ({"host": 0.01}, 0.0)])
def test_what_is_told_of_a_host_is_what_it_brings(world, has, gets, change, most):
    problem, plan = in_host_memory(Kit(world, has, gets), 193.0)
    (told,) = plan.predicted
    assert told.prefix.host > most
    hits = replace(told.prefix, **{name: getattr(told.prefix, name) + by for name, by in change.items()})
    assert world.broken(problem, replace(plan, predicted=(replace(told, prefix=hits),))) == {"prefix hits"}


def test_hits_that_no_memory_earns_are_found_out(world, has, gets, monkeypatch):
    """The characteristic time, worked out by the verifier alone, tells a retention that forgot who fills the cache."""
    from optimizer.verify import prefixes

    problem, plan = earned_at(Kit(world, has, gets), gap=400.0)
    assert not world.broken(problem, plan)
    monkeypatch.setattr(prefixes, "APART", 0.0)
    assert world.broken(problem, plan) == {"prefix hits"}


COUNTED = (
    {"input": 1000.0, "output": 200.0, "share": 0.9},
    {"input": 400.0, "output": 3000.0, "share": 0.1},
)


@covers("counted lengths", "kept", "broken", "boundary")
@pytest.mark.parametrize("sizing", ["typical", "worst_case"])
@pytest.mark.parametrize("figure", ["resident_seen", "resident"])
def test_lengths_as_counted_are_added_up_again(world, has, gets, monkeypatch, sizing, figure):
    lengths: Any = import_module("optimizer.verify.lengths")

    problem = world.problem(tokens={"histogram": COUNTED, "kv_sizing": sizing}, traffic={"requests_per_second": 2.0})
    plan = Kit(world, has, gets).plan(problem)
    assert not world.broken(problem, plan)
    honest = lengths.moments_of(parts_of(problem)[0].lengths)
    for off, broken in ((1e-9, set()), (1e-3, {"counted lengths"})):
        changed: Any = replace(honest)
        object.__setattr__(changed, figure, getattr(honest, figure) * (1.0 + off))
        monkeypatch.setattr(lengths, "moments_of", lambda _, changed=changed: changed)
        assert world.broken(problem, plan) == broken


AGENTS = {
    "turns": {"mean": 12, "p90": 25},
    "shared_prefix": {"tokens": 600, "groups": 3},
    "first_input": {"mean": 800, "p90": 1600},
    "new_input": {"mean": 200, "p50": 120},
    "output": {"mean": 90, "p90": 180},
    "carry": 0.98,
    "gap": {"p50": 9, "p90": 71},
}


def of_sessions(world, has, gets, **traffic):
    workload = {"sessions": AGENTS, "traffic": traffic, "tokens": {"context_max": 16384}}
    problem = world.problem(**workload)
    return problem, Kit(world, has, gets).plan(problem)


@pytest.mark.parametrize("traffic", [{"requests_per_second": 3.0}, {"sessions_per_second": 0.3}])
def test_sessions_taken_one_by_one_say_the_same(world, has, gets, traffic, monkeypatch):
    """Mean lengths, what could be found, and what is found: each by a way of its own."""
    from optimizer.verify import prefixes, sessions

    problem, plan = of_sessions(world, has, gets, **traffic)
    assert not world.broken(problem, plan)
    monkeypatch.setattr(prefixes, "APART", 0.0)
    assert world.broken(problem, plan) == {"prefix hits"}
    monkeypatch.undo()
    honest = sessions.counted

    def longer_inputs(*asked):
        told = honest(*asked)
        return replace(told, input=replace(told.input, value=told.input.value * 1.1))

    monkeypatch.setattr(sessions, "counted", longer_inputs)
    assert world.broken(problem, plan) == {"prefix hits"}


def test_people_with_sessions_are_counted_like_people_who_think(world, has, gets):
    for traffic in ({"users": {"active": 60}}, {"concurrent_sessions": 60}):
        problem, plan = of_sessions(world, has, gets, **traffic)
        assert not world.broken(problem, plan)
        assert world.broken(problem, edited(plan, "predicted", concurrency=1_000.0)) >= {"population"}


def fewer_at(kit, reach, cheaper=1):
    problem, plan = replayed_at(kit, 0.9)
    promise = parts_of(problem)[0].slo.promises[0]
    path, limit = promise.path, promise.limit_s
    fewer = Fewer(1, plan.monthly_cents - cheaper, path, limit * reach, 1.0, limit, promise.metric, promise.percentile)
    group = plan.groups[0]
    return problem, replace(plan, minimality=(Minimality(group.workload, group.replicas, fewer),))


def nothing_smaller(kit):
    problem, plan = replayed_at(kit, 0.9)
    group = plan.groups[0]
    row = Minimality(group.workload, group.replicas, None, "nothing smaller to buy")
    return problem, replace(plan, minimality=(row,))


check("minimality", "kept")(nothing_smaller)
check("minimality", "broken")(lambda kit: fewer_at(kit, 1.0))
check("minimality", "boundary")(lambda kit: fewer_at(kit, 1.0 + 1e-9))


def test_under_maximize_load_the_factor_multiplies_the_load(world, has, gets):
    limits = {"limits": {"max_gpus": 8}}
    problem = world.problem(objective="maximize_load", hardware=limits)
    for factor, broken in ((2.0, False), (1000.0, True), (0.0, True)):
        if factor:
            plan = world.plan(problem, [has()], [gets()], load_factor=factor)
        else:
            plan = replace(world.plan(problem, [has()], [gets()]), load_factor=0.0)
        assert bool(world.broken(problem, plan)) is broken


# Names that lead nowhere.

check("references", "kept")(permitted_at)
check("references", "boundary")(owned_plan)


@check("references", "broken")
def an_unknown_offer(kit):
    problem = kit.world.problem()
    return problem, edited(kit.plan(problem), "nodes", offer_id="gone")


# The list of plans.


def listed(world, has, gets, counts, **sections):
    """A ranking of plans that differ in their format, with so many nodes each."""
    problem = world.problem(**sections)
    quants = ("bf16", "fp8", "int8", "int4")
    plans = [
        replace(world.plan(problem, [has(quant=quant)], [gets(count=count)]), rank=rank)
        for rank, (quant, count) in enumerate(zip(quants, counts, strict=False), start=1)
    ]
    return problem, plans


def broken_of(problem, plans):
    return {found.rule for found in verify_ranking(problem, plans)}


@covers("ranks", "kept", "broken", "boundary")
def test_ranks_count_from_one_up_to_what_was_asked(world, has, gets):
    problem, plans = listed(world, has, gets, (1, 1, 2), ranking={"top": 3})
    assert not broken_of(problem, plans)
    assert not broken_of(problem, plans[:2])
    assert "ranks" in broken_of(problem, plans[1:])
    problem, plans = listed(world, has, gets, (1, 1, 2), ranking={"top": 2})
    assert broken_of(problem, plans) == {"ranks"}


@covers("order", "kept", "broken", "boundary")
def test_costs_never_decrease(world, has, gets):
    for counts, broken in (((1, 2), False), ((2, 1), True), ((2, 2), False)):
        assert ("order" in broken_of(*listed(world, has, gets, counts))) is broken


@pytest.mark.parametrize(("objective", "broken"), [("minimize_gpus", True), ("maximize_load", True)])
def test_the_order_follows_the_objective(world, has, gets, objective, broken):
    limits = {"limits": {"max_gpus": 64}}
    problem, plans = listed(world, has, gets, (2, 1), objective=objective, hardware=limits)
    assert ("order" in broken_of(problem, plans)) is broken
    better = [replace(plan, load_factor=3.0 - plan.rank) for plan in plans]
    assert ("order" in broken_of(problem, better)) is (objective == "minimize_gpus")


@covers("distinct", "kept", "broken", "boundary")
def test_no_key_is_listed_twice(world, has, gets):
    problem, plans = listed(world, has, gets, (1, 1))
    assert not broken_of(problem, plans)
    assert "distinct" in broken_of(problem, [plans[0], replace(plans[0], rank=2)])
    by_gpu = world.problem(ranking={"distinct_by": ("gpu",)})
    same_card = [replace(plan, key=plan_key(plan.groups, plan.nodes, ("gpu",))) for plan in plans]
    assert broken_of(by_gpu, same_card) == {"distinct"}


@covers("flagged first", "kept", "broken", "boundary")
def test_tp4_over_pcie_comes_first_only_where_the_card_is_named(world, has, gets):
    for gpus, tp, broken in ((None, 4, True), (("l40s_48",), 4, False), (None, 2, False)):
        problem = world.problem(hardware={"gpus": gpus})
        plan = world.plan(problem, [has("acme-4x-pcie", replicas=1, tp=tp)], [gets("acme-4x-pcie")])
        assert ("flagged first" in broken_of(problem, [plan])) is broken


@covers("ties", "kept", "broken", "boundary")
def test_a_tie_is_within_three_percent(world, has, gets):
    problem, (one, two) = listed(world, has, gets, (1, 1))
    for cents, broken in ((751_900, False), (751_901, True), (730_000, False)):
        second = replace(two, monthly_cents=cents, tie_with=1)
        assert ("ties" in broken_of(problem, [one, second])) is broken
    assert "ties" in broken_of(problem, [one, replace(two, tie_with=7)])


# Running them.


@pytest.mark.parametrize(("rule", "kind", "make"), CHECKS, ids=[f"{rule} {kind}" for rule, kind, _ in CHECKS])
def test_rule(world, has, gets, rule, kind, make):
    problem, plan, *changed = make(Kit(world, has, gets))
    world = changed[0] if changed else world
    found = verify_plan(problem, world.catalog, world.params, plan)
    if kind == "broken":
        assert rule in {mismatch.rule for mismatch in found}
    else:
        assert not found, [str(mismatch) for mismatch in found]


def test_the_first_release_that_keeps_caches_in_host_memory_may(world, has, gets):
    problem, plan = in_host_memory(Kit(world, has, gets), 100.0, version="0.19.0")
    found = {mismatch.rule for mismatch in verify_plan(problem, world.catalog, world.params, plan)}
    assert "host tier" not in found  # the memory of this plan is another release's, which other rules see


def test_no_rule_is_without_its_three_tests():
    """Every function of the registries, by its name, is kept, broken and on its boundary once."""
    tested: dict[str, set[str]] = defaultdict(set)
    text = "".join(path.read_text() for path in ON_PLANS)
    found = re.findall(r'^    \("(pool [a-z]+|published drafts)", "([a-z]+)"', text, re.M)
    for rule, kind in [*((rule, kind) for rule, kind, _ in CHECKS), *COVERED, *found]:
        tested[rule].add(kind)
    rules = {rule.__name__.replace("_", " ") for rule in (*STATIC_RULES, *SERVICE_RULES, *RANKING_RULES)}
    assert {*rules, "references"} == set(tested)
    assert all(kinds == {"kept", "broken", "boundary"} for kinds in tested.values())
