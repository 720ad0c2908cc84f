"""Feasible, but not for sale: nodes that would hold the workloads, and have no price that may be ranked.

Whether a node can serve is physics, whether it can be had is the market: where nothing is priced, the answer is what to
ask a quote for, and below which price it wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.catalog.types import Offer, link_of
from optimizer.errors import OutOfTimeError
from optimizer.plan.types import Unpriced
from optimizer.pricing import NodeOption, NodeType, Origin
from optimizer.units import CENTS_PER_UNIT, to_cents
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog, Gpu
    from optimizer.fleet.types import FleetSolution
    from optimizer.whatif.case import Case

_SIZES = (1, 2, 4, 8)
"""GPUs per node that are asked about, beside those that the catalog knows of the card."""

_PER_GPU = 100
"""Cents that a GPU nobody priced stands in for: so little that each plan has as few of them as it can."""

MOST = 10
"""Cards that are listed."""

LEAST_SHARE = 0.25
"""Share of the lowest price known of the card (of any card, where it has none) that a quote has to be let cost: nobody
sells at less, so a node that wins only below it is none to ask about."""

MOST_TIMES = 8
"""Times the GPUs of the smallest answer beyond which a card is none to ask about."""


def unpriced(case: Case, best_cents: int | None, *, beside_a_plan: bool = False) -> tuple[Unpriced, ...]:
    """What to ask quotes for, the fewest GPUs first.

    Without a plan: every card that the buyer's rules allow. Beside a plan: the cards that ``hardware.gpus`` names and
    nobody prices. ``best_cents`` is what a quote has to beat a month: the best plan, or the budget, or the cheapest
    way out; None: nothing.
    """
    problem, catalog = case.inputs.problem, case.inputs.catalog
    if problem.hardware.only_owned or problem.objective == "maximize_load":
        return ()
    wanted = [option for gpu in _cards(case, beside_a_plan) for option in _nodes(gpu, case)]
    if not wanted:
        return ()
    asked = _with(case, wanted, catalog)
    found: list[Unpriced] = []
    for least, gpu in sorted(_fewest(asked, wanted)):
        if len(found) >= MOST and _size(found[MOST - 1]) < (least, gpu):
            break  # this card and those after it need more than those that are listed
        try:
            one = _least(asked, gpu, best_cents)
        except OutOfTimeError:
            break
        if one is not None and _within_reach(one, case):
            found = sorted([*found, one], key=_size)
    return tuple(one for one in found[:MOST] if _size(one)[0] <= MOST_TIMES * _size(found[0])[0])


def _within_reach(one: Unpriced, case: Case) -> bool:
    """Whether somebody might sell below the price that wins."""
    if one.ask_below_cents is None:
        return True
    known = _lowest(case, one.gpu) or _lowest(case, None)
    return known is None or one.ask_below_cents >= LEAST_SHARE * known * one.gpus_per_node


def _lowest(case: Case, gpu: str | None) -> float | None:
    """Cents a month of a GPU at the lowest price known of it, ranked or not, or of any GPU; None: there is none."""
    from optimizer.pricing import terms_of

    terms = terms_of(case.inputs.problem, case.inputs.catalog)
    hours = case.inputs.problem.payment.hours_per_month
    return min(
        (
            price.amount * terms.exchange.rate(price.currency) * hours * CENTS_PER_UNIT / offer.gpus_per_node
            for offer in case.inputs.catalog.offers.values()
            if gpu in (None, offer.gpu)
            for price in offer.prices
            if price.tier not in (Tier.PURCHASE, Tier.OWNED, Tier.SPOT)
        ),
        default=None,
    )


def _size(one: Unpriced) -> tuple[int, str]:
    return one.gpus_per_node * one.nodes, one.gpu


def _fewest(asked: Case, wanted: Sequence[NodeOption]) -> list[tuple[int, str]]:
    """A lower bound on the GPUs of each card that can be part of a plan; 0 where replicas of several kinds may share a
    workload."""
    from optimizer.planning.least_replicas import fewest_at_best

    rules = asked.candidates.rules
    if rules.mixed:
        return [(0, gpu) for gpu in dict.fromkeys(option.node_type.gpu.id for option in wanted)]
    types = {option.node_type.key for option in wanted}
    mine = [one for one in asked.candidates.candidates if one.node_type.key in types]
    least: dict[str, int] = {}
    for one, replicas in fewest_at_best(asked.inputs, mine, rules, asked.memo):
        gpu, gpus = one.spec.gpu.id, replicas * one.spec.gpus
        least[gpu] = min(least.get(gpu, gpus), gpus)
    return [(gpus, gpu) for gpu, gpus in least.items()]


def _cards(case: Case, beside_a_plan: bool) -> Iterator[Gpu]:
    """Cards the user allows; where the list of them is left open, those that may be had and are known well enough.

    Beside a plan a card with a price, for whatever node, is none to ask about.
    """
    rules, catalog = case.candidates.rules, case.inputs.catalog
    standing = (option for option in case.options if beside_a_plan and not rules.options.forbidden_by(option))
    priced = {option.node_type.gpu.id for option in standing}
    stated = rules.options.gpus
    for key in sorted(catalog.gpus):
        gpu = catalog.gpus[key]
        named = stated is not None and key in stated
        known = gpu.datacenter_licensed and gpu.confidence != "low" and key not in rules.options.restricted
        if rules.gpu_allowed(key) and key not in priced and (named or (stated is None and known)):
            yield gpu


def _nodes(gpu: Gpu, case: Case) -> Iterator[NodeOption]:
    """Nodes of a card that no offer prices within the buyer's rules."""
    rules, catalog = case.candidates.rules, case.inputs.catalog
    mine = [option for option in case.options if option.node_type.gpu.id == gpu.id]
    priced = {option.node_type.gpus_per_node for option in mine if not rules.options.forbidden_by(option)}
    fabric = max((option.node_type.fabric_gbps for option in mine), default=0.0)
    for size in sorted({*_SIZES, *(option.node_type.gpus_per_node for option in mine)} - priced):
        node_type = NodeType(gpu, size, link_of(gpu, size, None), fabric)
        yield _node(node_type, catalog)


def _node(node_type: NodeType, catalog: Catalog) -> NodeOption:
    from optimizer.pricing.options import node_power_kw

    gpu, size = node_type.gpu, node_type.gpus_per_node
    offer = Offer(
        id=f"unpriced-{size}x-{gpu.id}",
        provider="any",
        provider_class=None,
        country="",
        instance_type=f"{size}x {gpu.id}",
        gpu=gpu.id,
        gpus_per_node=size,
        link=node_type.link,
        region="",
        prices=(),
        network_gbps=node_type.fabric_gbps or None,
    )
    return NodeOption(
        node_type=node_type,
        offer=offer,
        price=None,
        tier=Tier.ON_DEMAND,
        commitment_months=0,
        lines=(),
        monthly_cents=_PER_GPU * size,
        power_kw=node_power_kw(gpu, size),
        max_nodes=None,
        origin=Origin.WANTED,
    )


def _with(case: Case, wanted: Sequence[NodeOption], catalog: Catalog) -> Case:
    """The case with the wanted nodes beside what may be bought, whatever it costs."""
    from optimizer.fleet.candidate_set import enumerate_candidates
    from optimizer.fleet.requirements import user_rules

    inputs = case.inputs
    made = enumerate_candidates(inputs.problem, catalog, wanted, inputs.params, clock=case.clock, memo=case.memo)
    lean = case.allowed()
    options = tuple(sorted((*lean.options, *wanted), key=lambda option: option.key))
    rules = user_rules(inputs.problem, catalog, options)
    rules = replace(rules, objective="minimize_cost", limits=replace(rules.limits, budget_cents=None), top=1)
    there = {one.key for one in lean.candidates.candidates}
    more = (one for one in made.candidates if one.key not in there)
    candidates = tuple(sorted((*lean.candidates.candidates, *more), key=lambda one: one.key))
    return replace(case, options=options, candidates=replace(case.candidates, candidates=candidates, rules=rules))


def _least(case: Case, gpu: str, best_cents: int | None) -> Unpriced | None:
    """The fewest GPUs of one card that make a plan, beside what can be bought already; None where it takes none."""
    rules = case.candidates.rules

    def mine(option: NodeOption) -> bool:
        return option.origin is not Origin.WANTED or option.node_type.gpu.id == gpu

    at_hand = {option.node_type.key for option in case.options if mine(option) and not rules.forbidden_by(option)}
    confined = case.only(candidate=lambda one: one.node_type.key in at_hand, option=mine)
    solutions = confined.solve().solutions
    if not solutions:
        return None
    return _told(case, solutions[0], best_cents)


def _told(case: Case, found: FleetSolution, best_cents: int | None) -> Unpriced | None:
    asked = [bought for bought in found.nodes if bought.option.origin is Origin.WANTED]
    if not asked:
        return None
    # of several sizes of node the one that most are needed of speaks for the card
    chief = max(asked, key=lambda bought: (bought.count * bought.option.node_type.gpus_per_node, bought.option.key))
    key = chief.option.node_type.key
    served = [group.candidate.workload for group in found.groups if group.candidate.node_type.key == key]
    names = tuple(dict.fromkeys(case.candidates.rules.workloads[part].name for part in served))
    rest = sum(bought.cents for bought in found.nodes if bought is not chief) + case.candidates.rules.fixed_cents
    below = None if best_cents is None else (best_cents - rest) // chief.count
    if below is not None and below <= 0:
        return None
    node = chief.option.node_type
    return Unpriced(node.gpu.id, node.gpus_per_node, chief.count, names, below)


def bar_of(case: Case, best_cents: int | None, ways: Sequence[int]) -> int | None:
    """What a quote has to beat: the best plan; without one the budget; without one the cheapest way out."""
    budget = case.inputs.problem.budget.monthly
    if best_cents is not None:
        return best_cents
    return to_cents(budget) if budget is not None else min(ways, default=None)
