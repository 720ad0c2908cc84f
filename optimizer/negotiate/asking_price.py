"""The highest price at which a quote for a node would win.

It is found by asking the problem with the quote in it, as a user would who got that quote: the highest price, per
GPU-hour in whole cents of the problem's currency or per bought GPU in whole units of it, at which the best plan stands
on the quoted nodes. A dearer quote makes only plans on it dearer, so once it has lost it has lost for good. What the
best plan at a price leaves of the bill to beat says how far its own price may rise at least (the least bill is concave
in the price), which takes two or three steps; the step after the last that wins is always asked as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.negotiate.ask import Winner
from optimizer.units import CENTS_PER_UNIT
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.decide import Inputs
    from optimizer.decide.case import Case
    from optimizer.plan.types import Plan
    from optimizer.pricing import NodeOption, NodeType

RENTED = (Tier.ON_DEMAND, Tier.RESERVED_1Y, Tier.RESERVED_3Y, Tier.SPOT)
"""Ways to pay by the hour, the one that binds least first."""

_MANY = 100_000
"""A second price of a quote, far from the first, to see what one step of price adds to the bill."""


@dataclass(frozen=True, slots=True)
class TargetPrice:
    """One card of one provider, and the highest price that wins; no price: it wins at none, however low."""

    gpu: str
    provider: str
    gpus_per_node: int
    offer_id: str
    tier: Tier  # how the quote is paid
    cents: int | None  # per GPU-hour; None too where it is bought
    per_gpu_hour: float | None  # in the problem's currency; of bought nodes: all they cost a month over its hours
    purchase_price: int | None  # per GPU, once, in whole units of currency; None where it is rented
    listed: float | None  # lowest price listed for it (per GPU-hour or per GPU), any tier, reference prices included
    listed_note: str  # why the listed price does not compete, empty where it does
    plan: Plan | None  # the winner at that price


@dataclass(frozen=True)
class Shape:
    """A node to ask a quote for."""

    gpu: str
    provider: str
    gpus_per_node: int
    offer_id: str
    node_type: NodeType | None  # None: nobody offers such nodes


class Bar:
    """What a quote has to beat."""

    def __init__(self, case: Case, best: Winner, tier: Tier) -> None:
        assert best.cents is not None
        self._case, self._tier, self._cents = case, tier, best.cents
        self._by_cost = best.result.objective == "minimize_cost"
        self._quotes = [quote.model_dump(mode="json", exclude_none=True) for quote in case.inputs.problem.offers]
        self._served = {
            key: [one for one in case.candidates.candidates if one.node_type.key == key]
            for key in {one.node_type.key for one in case.candidates.candidates}
        }
        lean = case.cheaper_than(best.cents + 1) if self._by_cost else case
        self._rivals = lean.candidates.candidates

    def target(self, shape: Shape) -> TargetPrice | None:
        """The highest winning price of a node; None where no replica on it keeps every promise."""
        if shape.node_type is not None and not self._could_serve(self._served.get(shape.node_type.key, [])):
            return None
        quoted = self._quoted(shape)
        alone = quoted.only(option=lambda option: option.offer.id == shape.offer_id).solve()
        several = len(self._case.inputs.problem.workloads) > 1 or self._case.candidates.rules.mixed
        several = several or _may_serve_a_class(quoted, shape)
        if not alone.solutions and not (several and self._could_serve(quoted.candidates.candidates)):
            return None
        low, high = _monthly(quoted, shape), _node(self._inputs(shape, _MANY), shape).monthly_cents
        slope = (high - low) / (_MANY - 1)
        count = alone.solutions[0].nodes[0].count if alone.solutions else 1
        guess = (self._cents - self._case.candidates.rules.fixed_cents - count * low) // (count * slope)
        won: dict[int, Winner] = {}

        def room(price: int) -> int | None:
            winner = Winner(priced := self._priced(quoted, shape, price), priced.solve())
            nodes = _quoted_nodes(winner, shape.offer_id)
            if not nodes:
                return None
            won[price] = winner
            return int((self._cents - (winner.cents or 0)) // (nodes * slope)) if self._by_cost else 0

        price = highest(room, max(1, int(guess)))
        return self._answer(shape, price, None if price is None else won[price])

    def _answer(self, shape: Shape, price: int | None, winner: Winner | None) -> TargetPrice:
        monthly = None if winner is None else _monthly(winner.case, shape)
        bought, hours = self._tier is Tier.PURCHASE, self._case.inputs.problem.payment.hours_per_month
        listed, note = self._listed(shape)
        hourly = None if price is None else price / CENTS_PER_UNIT
        return TargetPrice(
            gpu=shape.gpu,
            provider=shape.provider,
            gpus_per_node=shape.gpus_per_node,
            offer_id=shape.offer_id,
            tier=self._tier,
            cents=None if bought else price,
            per_gpu_hour=_per_gpu_hour(monthly, hours, shape.gpus_per_node) if bought else hourly,
            purchase_price=price if bought else None,
            listed=listed,
            listed_note=note,
            plan=None if winner is None else winner.plan(),
        )

    def _could_serve(self, candidates: Iterable[Candidate]) -> bool:
        from optimizer.candidates import configuration_allowed, kept_points

        rules = self._case.candidates.rules
        return any(configuration_allowed(one, rules) and kept_points(one, rules) for one in candidates)

    def _inputs(self, shape: Shape, price: int) -> Inputs:
        """The problem with a quote at a price in it."""
        bought = self._tier is Tier.PURCHASE
        amount = price * shape.gpus_per_node / (1 if bought else CENTS_PER_UNIT)
        quote = {
            "id": shape.offer_id,
            "provider": shape.provider,
            "gpu": shape.gpu,
            "gpus_per_node": shape.gpus_per_node,
            "purchase_price" if bought else "price_per_hour": amount,
            "currency": self._case.inputs.problem.payment.currency,
            "tier": str(self._tier),
        }
        others = [one for one in self._quotes if one["id"] != shape.offer_id]
        return self._case.inputs.with_sets([f"offers={json.dumps([*others, quote])}"])

    def _quoted(self, shape: Shape) -> Case:
        """The problem with the quote in it, less what costs more than the best plan anyway."""
        from optimizer.candidates import enumerate_candidates, user_rules

        inputs = self._inputs(shape, 1)
        node = _node(inputs, shape)
        options = (*(option for option in self._case.options if option.offer.id != shape.offer_id), node)
        mine: Iterable[Candidate] = self._served.get(node.node_type.key, ())
        if not mine:
            mine = enumerate_candidates(inputs.problem, inputs.catalog, [node], inputs.params).candidates
        others = (one for one in self._rivals if one.node_type.key != node.node_type.key)
        rules = user_rules(inputs.problem, inputs.catalog, options)
        ordered = tuple(sorted((*others, *mine), key=lambda one: one.key))  # the last of all ties is their order
        candidates = replace(self._case.candidates, candidates=ordered, rules=rules)
        return replace(self._case, inputs=inputs, options=options, candidates=candidates)

    def _priced(self, quoted: Case, shape: Shape, price: int) -> Case:
        """The problem at a price: only the quote itself is priced anew."""
        inputs = self._inputs(shape, price)
        others = [option for option in quoted.options if option.offer.id != shape.offer_id]
        options = tuple(sorted([*others, _node(inputs, shape)], key=lambda option: option.key))
        return replace(quoted, inputs=inputs, options=options)

    def _listed(self, shape: Shape) -> tuple[float | None, str]:
        """The lowest listed price and why it does not compete."""
        bought, rules = self._tier is Tier.PURCHASE, self._case.candidates.rules.options
        ways = (Tier.PURCHASE,) if bought else RENTED
        listed = [option for option in self._of(shape) if option.price is not None and option.tier in ways]
        if not listed:
            return None, "no price"
        ranked = sorted(listed, key=lambda option: (bool(rules.forbidden_by(option)), option.monthly_cents, option.key))
        first = ranked[0]
        note = rules.why_not_rankable(first) or ("" if first.tier in rules.tiers else f"{first.tier} only")
        if bought:
            assert first.price is not None
            return first.price.amount / first.offer.gpus_per_node, note
        hours = self._case.inputs.problem.payment.hours_per_month
        return _per_gpu_hour(first.monthly_cents, hours, first.offer.gpus_per_node), note

    def _of(self, shape: Shape) -> Iterator[NodeOption]:
        pair = (shape.gpu, shape.provider)
        return (option for option in self._case.options if (option.offer.gpu, option.offer.provider) == pair)


def _node(inputs: Inputs, shape: Shape) -> NodeOption:
    """One quoted node."""
    from optimizer.pricing import node_options

    return node_options(inputs.problem, inputs.catalog, only=[shape.offer_id])[0]


def _may_serve_a_class(quoted: Case, shape: Shape) -> bool:
    """Whether there are length classes that the quoted nodes may serve beside nodes of others."""
    rules = quoted.candidates.rules
    split = any(asked.whole is not None for asked in rules.workloads)
    mine = (option for option in quoted.options if option.offer.id == shape.offer_id)
    return split and any(not rules.forbidden_by(option) for option in mine)


def _monthly(case: Case, shape: Shape) -> int:
    """What one quoted node costs a month."""
    return next(option.monthly_cents for option in case.options if option.offer.id == shape.offer_id)


def _per_gpu_hour(monthly_cents: int | None, hours: float, gpus: int) -> float | None:
    return None if monthly_cents is None else monthly_cents / CENTS_PER_UNIT / hours / gpus


def _quoted_nodes(winner: Winner, offer_id: str) -> int:
    """Nodes of the offer in the best plan."""
    if winner.solution is None:
        return 0
    return sum(bought.count for bought in winner.solution.nodes if bought.option.offer.id == offer_id)


def highest(room: Callable[[int], int | None], guess: int) -> int | None:
    """Largest price that wins; None: not even 1 does.

    ``room``: by how much more at least the price may rise (0: not known) or None where it loses.
    """
    low, top, probe, stride = 0, None, guess, 1
    while top is None or top - low > 1:
        left = room(probe)
        if left is None:
            top = probe
            after = probe - 1 if probe == guess else 1 if low == 0 else (low + top) // 2
        else:
            low, after = probe, probe + max(left, stride)
            stride = 1 if left else 4 * stride
        if top is not None and not low < after < top:
            after = (low + top) // 2
        probe = max(1, after)
    return low or None
