"""The registry of rules, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from optimizer.verify import (
    api,
    contracts,
    drafts,
    hardware,
    legality,
    lengths,
    money,
    periods,
    pools,
    prefixes,
    printed,
    replays,
    service,
    survival,
    tiers,
)
from optimizer.verify.case import CheckedCase, Mismatch, case_of, references
from optimizer.verify.printed import RANKING_RULES
from optimizer.verify.service import GroupAtLoad, serve
from optimizer.vocabulary import Survive

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.performance import Parameters
    from optimizer.plan.types import Plan
    from optimizer.problem import Problem

StaticRule = Callable[[CheckedCase], Iterator[Mismatch]]
ServiceRule = Callable[[CheckedCase, tuple[GroupAtLoad, ...]], Iterator[Mismatch]]

STATIC_RULES: tuple[StaticRule, ...] = (
    legality.identity,
    legality.precision,
    legality.parallelism,
    legality.engine_settings,
    legality.sequences,
    legality.quality,
    legality.least_grade,
    legality.memory,
    legality.shares,
    legality.configurations,
    drafts.published_drafts,
    pools.pool_pair,
    pools.pool_site,
    pools.pool_transfer,
    pools.pool_capacity,
    hardware.permitted,
    hardware.nvlink_required,
    hardware.packing,
    hardware.spare_nodes,
    survival.survive,
    hardware.counts,
    hardware.max_gpus,
    hardware.max_nodes,
    hardware.max_power,
    hardware.max_gpu_kinds,
    hardware.stock,
    hardware.quota,
    contracts.residency,
    contracts.valid_quotes,
    contracts.order_sizes,
    contracts.provider_share,
    contracts.owed,
    periods.always_served,
    money.node_lines,
    money.rounding,
    money.ledger,
    money.spare_cost,
    money.unit_costs,
    money.budget,
    money.excludes,
    money.totals,
    money.rent_or_buy,
    money.per_token,
    api.by_the_token,
    lengths.counted_lengths,
    tiers.host_tier,
)
"""Rules about what a plan is."""

SERVICE_RULES: tuple[ServiceRule, ...] = (
    service.poisson,
    service.inflight,
    service.population,
    service.saturation,
    service.kv_cache,
    service.capacity,
    service.load_factor,
    replays.replays,
    replays.minimality,
    pools.pool_replays,
    pools.pool_printed,
    prefixes.prefix_hits,
    printed.grades,
    printed.predictions,
    printed.kept_promises,
    printed.bindings,
    printed.key,
)
"""Rules about what a plan does under load, and what is said of it."""

OF_ALL_REPLICAS: tuple[ServiceRule, ...] = (service.capacity, service.load_factor)
"""Rules about what a plan carries: where something may be gone they hold of what is left, and are asked of that."""

OF_WHAT_IS_LEFT: tuple[ServiceRule, ...] = (
    service.poisson,
    service.inflight,
    service.population,
    service.saturation,
    service.kv_cache,
    *OF_ALL_REPLICAS,
    survival.replayed,
)
"""Rules about service that what is left of a plan keeps when what the problem says may be gone is."""

EACH_PERIOD: tuple[StaticRule, ...] = (
    hardware.packing,
    hardware.losses,
    hardware.max_gpus,
    hardware.max_nodes,
    hardware.max_power,
    hardware.stock,
    hardware.quota,
)
"""Rules about nodes that hold in every period of a day profile by itself."""

IN_PLACE: dict[StaticRule, StaticRule] = {
    hardware.spare_nodes: hardware.printed_spares,
    hardware.counts: periods.period_counts,
}
"""Rules that read otherwise where numbers are the largest of several periods."""

PERIOD_RULES: tuple[StaticRule, ...] = (periods.periods, periods.period_counts, periods.period_bill)
"""Rules about what is printed of the periods."""

PERIOD_SERVICE_RULES: tuple[ServiceRule, ...] = (
    service.poisson,
    service.inflight,
    service.population,
    service.saturation,
    service.kv_cache,
    service.load_factor,
    periods.period_services,
)
"""Rules about what a plan does in every period by itself."""


def verify_plan(problem: Problem, catalog: Catalog, params: Parameters, plan: Plan) -> tuple[Mismatch, ...]:
    """Recompute every promise of a plan; empty: all of them hold."""
    return verify_plans(problem, catalog, params, [plan])[0]


def verify_plans(
    problem: Problem, catalog: Catalog, params: Parameters, plans: Sequence[Plan]
) -> tuple[tuple[Mismatch, ...], ...]:
    """The mismatches of each plan. Checks all plans in a few vectorised calls, so it is far faster than one by one."""
    unresolved = [tuple(references(problem, catalog, plan)) for plan in plans]
    sound = [index for index, found in enumerate(unresolved) if not found]
    cases = [case_of(problem, catalog, params, plans[index]) for index in sound]
    found = dict(enumerate(unresolved))
    for index, case, served in zip(sound, cases, serve(cases, params), strict=True):
        of_plan = [mismatch for rule in _static_rules(case) for mismatch in rule(case)]
        rules = [rule for rule in SERVICE_RULES if not (_may_lose(case) and rule in OF_ALL_REPLICAS)]
        under_load = [mismatch for rule in rules for mismatch in rule(case, served)]
        found[index] = (*of_plan, *under_load)
    parts = [(index, case.in_period(p)) for index, case in zip(sound, cases, strict=True) for p in _periods(case)]
    for (index, case), served in zip(parts, serve([case for _, case in parts], params), strict=True):
        of_plan = [mismatch for rule in EACH_PERIOD for mismatch in rule(case)]
        under_load = [mismatch for rule in PERIOD_SERVICE_RULES for mismatch in rule(case, served)]
        found[index] = (*found[index], *of_plan, *under_load)
    whole = [(index, case) for index, case in zip(sound, cases, strict=True) if not case.plan.periods]
    left = [(index, rest) for index, case in (*whole, *parts) if (rest := survival.without(case)) is not None]
    for (index, case), served in zip(left, serve([case for _, case in left], params), strict=True):
        of_plan = list(legality.sequences(case))
        under_load = [mismatch for rule in OF_WHAT_IS_LEFT for mismatch in rule(case, served)]
        found[index] = (*found[index], *of_plan, *under_load)
    return tuple(found[index] for index in range(len(plans)))


def _may_lose(case: CheckedCase) -> bool:
    return case.problem.margins.survive is not Survive.NONE


def _periods(case: CheckedCase) -> range:
    return range(len(case.plan.periods))


def _static_rules(case: CheckedCase) -> Iterator[StaticRule]:
    """All of them; with a day profile those about numbers of nodes are asked of each period instead."""
    if not case.plan.periods:
        yield from STATIC_RULES
        return
    yield from (IN_PLACE.get(rule, rule) for rule in STATIC_RULES if rule not in EACH_PERIOD)
    yield from (rule for rule in PERIOD_RULES if rule not in IN_PLACE.values())


def verify_ranking(problem: Problem, plans: Sequence[Plan]) -> tuple[Mismatch, ...]:
    """Check the list of plans as a whole."""
    return tuple(mismatch for rule in RANKING_RULES for mismatch in rule(problem, plans))
