"""The price at which a card of a provider would win: what to ask for in a quote.

Each price is found by asking the problem with the quote in it, as a user would who got that quote: the highest price
per GPU-hour, in whole cents of the problem's currency, at which the best plan stands on the quoted nodes. A dearer
quote makes only plans on it dearer, so once it has lost it has lost for good, and bisection is exact.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.negotiate.ask import Winner, ask
from optimizer.plan.types import Target
from optimizer.pricing import RuleName
from optimizer.units import CENTS_PER_UNIT
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.decide import Inputs
    from optimizer.decide.case import Case
    from optimizer.plan.types import Outcome, Plan
    from optimizer.pricing import NodeOption, NodeType

ANY = "any"
"""Provider of a card that nobody in the catalog offers."""

_SIZES = (8, 1)
"""GPUs per node that a card without any offer is asked about."""

_NEGOTIABLE = frozenset({RuleName.PRICE, RuleName.TIERS, RuleName.COMMITMENT})
"""Rules that a quote of its own meets: a dated price, paid in a way the problem allows."""

_RENTED = (Tier.ON_DEMAND, Tier.RESERVED_1Y, Tier.RESERVED_3Y, Tier.SPOT)


@dataclass(frozen=True, slots=True)
class TargetPrice:
    """One card of one provider. ``cents``: the highest price per GPU-hour that wins; None: none does, not even 0.01."""

    gpu: str
    provider: str
    gpus_per_node: int
    offer_id: str
    tier: Tier  # how the quote is paid
    cents: int | None
    listed: float | None  # lowest price per GPU-hour listed for it, any tier, reference prices included
    listed_note: str  # why the listed price does not compete, empty where it does
    plan: Plan | None  # the winner at ``cents``


@dataclass(frozen=True, slots=True)
class Targets:
    """Every card and provider that could serve the problem and does not win."""

    outcome: Outcome
    prices: tuple[TargetPrice, ...]


@dataclass(frozen=True)
class _Shape:
    """A node to ask a quote for."""

    gpu: str
    provider: str
    gpus_per_node: int
    offer_id: str
    node_type: NodeType | None  # None: nobody offers such nodes


def targets(
    path: Path | str,
    *,
    sets: Sequence[str] = (),
    catalogs: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Targets:
    """The price per GPU-hour below which each feasible but dearer or unpriced card and provider would win.

    ``outcome.targets`` of the answer carries the same prices. Raises ``InputError`` for what the user can mend.
    """
    from optimizer.decide import decide, read_inputs
    from optimizer.decide.case import open_case

    progress("solving")
    inputs = read_inputs(path, sets=sets, catalogs=catalogs)
    outcome = decide(inputs, simulate=False)
    case = open_case(inputs)
    best = ask(case)
    found: list[TargetPrice] = []
    tier = next((tier for tier in _RENTED if tier in inputs.problem.payment.tiers), None)
    if best.solution is not None and tier is not None:
        bar = _Bar(case, best, tier)
        for (gpu, provider), shapes in _shapes(case, best).items():
            progress(f"pricing {gpu} at {provider}")
            tried = [bar.target(shape) for shape in shapes]
            able = [one for one in tried if one is not None]
            if able:
                found.append(max(able, key=lambda one: (one.cents or 0, one.gpus_per_node, one.offer_id)))
    prices = tuple(sorted(found, key=lambda one: (-(one.cents or 0), one.gpu, one.provider)))
    stated = tuple(Target(one.gpu, one.provider, one.cents / CENTS_PER_UNIT) for one in prices if one.cents is not None)
    return Targets(replace(outcome, targets=stated), prices)


def _shapes(case: Case, best: Winner) -> dict[tuple[str, str], list[_Shape]]:
    """Nodes to ask about by card and provider: those offered, and whole nodes of cards that nobody offers."""
    assert best.solution is not None
    rules = case.candidates.rules
    winning = {(bought.option.offer.gpu, bought.option.offer.provider) for bought in best.solution.nodes}
    found: dict[tuple[str, str], dict[object, _Shape]] = {}
    sold = (Tier.OWNED, Tier.PURCHASE)
    for option in case.options:
        pair = (option.offer.gpu, option.offer.provider)
        negotiable = set(rules.options.forbidden_by(option)) <= _NEGOTIABLE
        if option.tier in sold or pair in winning or not negotiable:
            continue
        node = option.node_type
        shape = _Shape(*pair, node.gpus_per_node, option.offer.id, node)
        found.setdefault(pair, {}).setdefault(node.key, shape)
    offered = {option.offer.gpu for option in case.options}
    cards = case.inputs.catalog.gpus
    licensed = {gpu for gpu in cards if cards[gpu].datacenter_licensed or not rules.options.licensed_only}
    named = set(rules.options.gpus or ())
    for gpu in sorted(gpu for gpu in (licensed | named) - offered if rules.gpu_allowed(gpu)):
        found[gpu, ANY] = {size: _Shape(gpu, ANY, size, f"quote-{size}x-{gpu}", None) for size in _SIZES}
    return {pair: list(shapes.values()) for pair, shapes in sorted(found.items())}


class _Bar:
    """What a quote has to beat."""

    def __init__(self, case: Case, best: Winner, tier: Tier) -> None:
        assert best.cents is not None
        self._case, self._tier, self._cents = case, tier, best.cents
        self._quotes = [quote.model_dump(mode="json", exclude_none=True) for quote in case.inputs.problem.offers]
        self._served = {
            key: [one for one in case.candidates.candidates if one.node_type.key == key]
            for key in {one.node_type.key for one in case.candidates.candidates}
        }

    def target(self, shape: _Shape) -> TargetPrice | None:
        """The highest winning price of a node; None where no replica on it keeps every promise."""
        if shape.node_type is not None and not self._could_serve(self._served.get(shape.node_type.key, [])):
            return None
        quoted = self._case.with_inputs(self._inputs(shape, CENTS_PER_UNIT))
        alone = quoted.only(option=lambda option: option.offer.id == shape.offer_id).solve()
        several = len(self._case.inputs.problem.workloads) > 1
        if not alone.solutions and not (several and self._could_serve(quoted.candidates.candidates)):
            return None
        guess = self._guess(quoted, shape, alone.solutions[0].nodes[0].count if alone.solutions else 1)
        cents = _highest(lambda price: _stands_on(self._asked(quoted, shape, price), shape.offer_id), guess)
        winner = None if cents is None else self._asked(quoted, shape, cents).plan()
        listed, note = self._listed(shape)
        gpus = shape.gpus_per_node
        return TargetPrice(shape.gpu, shape.provider, gpus, shape.offer_id, self._tier, cents, listed, note, winner)

    def _could_serve(self, candidates: Iterable[Candidate]) -> bool:
        from optimizer.candidates import configuration_allowed, kept_points

        rules = self._case.candidates.rules
        return any(configuration_allowed(one, rules) and kept_points(one, rules) for one in candidates)

    def _inputs(self, shape: _Shape, cents: int) -> Inputs:
        """The problem with a quote at so many cents per GPU-hour in it."""
        quote = {
            "id": shape.offer_id,
            "provider": shape.provider,
            "gpu": shape.gpu,
            "gpus_per_node": shape.gpus_per_node,
            "price_per_hour": cents * shape.gpus_per_node / CENTS_PER_UNIT,
            "currency": self._case.inputs.problem.payment.currency,
            "tier": str(self._tier),
        }
        others = [one for one in self._quotes if one["id"] != shape.offer_id]
        return self._case.inputs.with_sets([f"offers={json.dumps([*others, quote])}"])

    def _asked(self, quoted: Case, shape: _Shape, cents: int) -> Winner:
        """The best plan at a price: only the quote itself is priced anew."""
        from optimizer.pricing import node_options

        inputs = self._inputs(shape, cents)
        fresh = node_options(inputs.problem, inputs.catalog, only=[shape.offer_id])
        others = [option for option in quoted.options if option.offer.id != shape.offer_id]
        options = tuple(sorted([*others, *fresh], key=lambda option: option.key))
        priced = replace(quoted, inputs=inputs, options=options)
        return Winner(priced, priced.solve())

    def _guess(self, quoted: Case, shape: _Shape, nodes: int) -> int:
        """The price at which so many nodes cost as much as the best plan."""
        left = self._cents - self._case.candidates.rules.fixed_cents
        at_one = next(option.monthly_cents for option in quoted.options if option.offer.id == shape.offer_id)
        return max(1, left * CENTS_PER_UNIT // max(1, nodes * at_one))

    def _listed(self, shape: _Shape) -> tuple[float | None, str]:
        """The lowest listed price per GPU-hour and why it does not compete."""
        rules = self._case.candidates.rules.options
        rented = [option for option in self._of(shape) if option.price is not None and option.tier in _RENTED]
        if not rented:
            return None, "no price"
        hours = self._case.inputs.problem.payment.hours_per_month
        ranked = sorted(rented, key=lambda option: (bool(rules.forbidden_by(option)), option.monthly_cents, option.key))
        first = ranked[0]
        note = rules.why_not_rankable(first) or ("" if first.tier in rules.tiers else f"{first.tier} only")
        return first.monthly_cents / CENTS_PER_UNIT / hours / first.offer.gpus_per_node, note

    def _of(self, shape: _Shape) -> Iterator[NodeOption]:
        pair = (shape.gpu, shape.provider)
        return (option for option in self._case.options if (option.offer.gpu, option.offer.provider) == pair)


def _stands_on(winner: Winner, offer_id: str) -> bool:
    return winner.solution is not None and any(n.option.offer.id == offer_id for n in winner.solution.nodes)


def _highest(wins: Callable[[int], bool], guess: int) -> int | None:
    """Largest number of cents that wins: outward from the guess, then by halves; None: not even one cent does."""
    low, high, stride, probe = 0, None, 1, guess
    while high is None or high - low > 1:
        if wins(probe):
            low, after = probe, probe + stride
        else:
            high, after = probe, probe - stride
        stride *= 4
        if high is not None and not low < after < high:
            after = (low + high) // 2
        probe = max(1, after)
    return low or None
