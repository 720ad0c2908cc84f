"""The highest price at which a quote for a node would win.

It is found by asking the problem with the quote in it, as a user would who got that quote: the highest price, per
GPU-hour in whole cents of the problem's currency or per bought GPU in whole units of it, at which the best plan stands
on the quoted nodes. A dearer quote makes only plans on it dearer, so once it has lost it has lost for good.

Where money is the objective, the least bill of the plans on quoted nodes is concave in the price: the best of them at
one price says up to which price it beats the bill of the best plan without the quote, and one step further it is asked
whether another does. Two or three such questions lead to the highest price; there the whole problem is solved, which
settles ties as the ranking does.

The search for the highest price that still wins.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from optimizer.fleet.requirements import SHARE_PARTS
from optimizer.negotiate.price_floors import FAR, PriceFloors, Rivals, bounds_prices
from optimizer.negotiate.quote_at_price import NodeShape, Quoted, with_quote
from optimizer.pricing.types import Origin
from optimizer.units import CENTS_PER_UNIT
from optimizer.vocabulary import Tier
from optimizer.whatif.case import Winner

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.fleet.types import FleetSolution
    from optimizer.plan.types import Plan
    from optimizer.pricing import NodeOption
    from optimizer.whatif.case import Case


RENTED = (Tier.ON_DEMAND, Tier.RESERVED_1Y, Tier.RESERVED_3Y, Tier.SPOT)
"""Ways to pay by the hour, the one that binds least first."""


@dataclass(frozen=True, eq=False)
class WinnerAtPrice:
    """What wins at a price, worked out when it is first looked at: most answers tell the price alone."""

    solved: Callable[[], Winner]

    @cached_property
    def plan(self) -> Plan | None:
        """The winner in full."""
        return self.solved().plan()


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
    won: WinnerAtPrice | None  # None: no price wins
    at_any_price: bool = False  # the objective prefers it whatever it costs

    @property
    def plan(self) -> Plan | None:
        """The winner at that price, confirmed by the solver-free check."""
        return None if self.won is None else self.won.plan

    @property
    def listed_below(self) -> bool:
        """Whether a price is listed already that would win, were it not for what the remark says."""
        most = self.per_gpu_hour if self.purchase_price is None else float(self.purchase_price)
        return self.listed is not None and most is not None and self.listed <= most

    @property
    def rank(self) -> tuple[float, int, str]:
        """Of several nodes of a pair the one with the highest price is told, of equal ones the largest."""
        return (self.per_gpu_hour or 0.0, self.gpus_per_node, self.offer_id)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was found about quotes for one kind of node, whoever makes them."""

    quoted: Quoted  # the quote that was asked about
    price: int | None  # the highest that is within the bar; None: none, or below ``less_than``
    less_than: int | None = None  # where it was sought from a price on, and there is none
    told: TargetPrice | None = None  # of a price that is below the bar, not at it: wins whoever asks it


class PriceToBeat:
    """What a quote has to beat.

    Quotes for one kind of node differ in who makes them, which no plan asks for unless a rule does: then, and where
    the maker has usable offers of its own, each is asked by itself; else the first answer stands for all.
    """

    def __init__(self, case: Case, best: Winner, tier: Tier) -> None:
        assert best.cents is not None
        self._case, self._tier, self._cents = case, tier, best.cents
        self._by_cost = best.result.objective == "minimize_cost"
        self._served: dict[object, list[Candidate]] = {}
        for one in case.candidates.candidates:
            self._served.setdefault(one.node_type.key, []).append(one)
        lean = case.cheaper_than(best.cents + 1, alone=True) if self._by_cost else case
        self._rivals = lean.candidates.candidates
        self._beside = Rivals(case, self._rivals) if bounds_prices(case) else None
        self._known: dict[object, int] = {}  # the price found last for a node type: a good first guess
        self._asked: dict[object, _Asked] = {}
        self._usable = {o.offer.id for o in case.options if not case.candidates.rules.forbidden_by(o)}
        self._bars: dict[tuple[str, str], int] = {}

    def target(self, shape: NodeShape, best: TargetPrice | None = None) -> TargetPrice | None:
        """The highest winning price of a node; None where it could not serve, or comes after ``best`` anyway."""
        low, known = self._first_price(shape, best), self._of_others(shape)
        if known is not None and known.told is not None and known.price is not None:
            return None if low is not None and known.price < low else self._told_of(known, shape)
        if known is not None and known.less_than is not None and low is not None and known.less_than <= low:
            return None
        return self._sought(shape, best)

    def _sought(self, shape: NodeShape, best: TargetPrice | None) -> TargetPrice | None:
        """The highest winning price of a node, by asking for it."""
        served = self._served.get(shape.node_type.key, []) if shape.node_type is not None else []
        if shape.node_type is not None and not self._could_serve(served):
            return None
        quoted = with_quote(self._case, shape, self._tier, served, self._rivals)
        node = quoted.node(1)
        key = node.node_type.key
        if not self._could_serve(one for one in quoted.case.candidates.candidates if one.node_type.key == key):
            return None
        if not self._by_cost or self._cents > EXACT:
            return self._searched(quoted)
        low, known = self._first_price(shape, best), self._of_others(shape)
        climb = self._climb(quoted)
        if known is not None and known.price is not None:  # it ties: who makes it decides whether it wins there
            price = known.price if low is None or low <= known.price else None
        elif isinstance(climb, Descent):
            price = climb.down_to(low or 1)
        else:
            price = climb.highest(low or self._known.get(key) or self._guess(quoted), only_from=low)
        if price is None and low is not None and (known is None or known.price is None):
            self._note(shape, _Asked(quoted, None, low))
        if price is None and (best is not None or not self._serves(quoted)):
            return None
        if price is not None:
            self._known[key] = price
        return self._settled(quoted, price, climb)

    def _first_price(self, shape: NodeShape, best: TargetPrice | None) -> int | None:
        """The lowest price that comes before what is known of the pair; None: any."""
        if best is None or best.cents is None:
            return None
        ties_first = (shape.gpus_per_node, shape.offer_id) > (best.gpus_per_node, best.offer_id)
        return best.cents + (0 if ties_first else 1)

    def _kind(self, shape: NodeShape) -> object:
        """What of a quote for a node decides up to which price it wins; None: everything may.

        A usable offer that the quote stands for costs more than the quote as long as that wins: where both are of one
        node type no plan beside the quote has a node of it, so it makes no difference that it is set aside.
        """
        from optimizer.pricing import facts_asked_for
        from optimizer.vocabulary import Survive

        rules, stated = self._case.candidates.rules, self._case.inputs.problem.offers
        if shape.node_type is None or not self._by_cost or any(quote.id == shape.offer_id for quote in stated):
            return None
        who_counts = rules.limits.provider_share is not None or rules.limits.quotas or rules.survive is Survive.SITE
        spans_nodes = shape.offer_id in self._usable and shape.node_type.fabric_gbps
        if who_counts or spans_nodes or self._is_set_aside(shape.gpu):
            return None
        facts = facts_asked_for(rules.options, self._case.inputs.catalog.offers.get(shape.offer_id))
        return (shape.node_type.key, json.dumps(facts, sort_keys=True))

    def _is_set_aside(self, gpu: str) -> bool:
        """Whether plans on a card may not come first while nobody names it: a quote does."""
        named = gpu in self._case.candidates.rules.named_gpus
        return not named and any(one.node_type.gpu.id == gpu and one.has_unmeasured_topology for one in self._rivals)

    def _of_others(self, shape: NodeShape) -> _Asked | None:
        """What is known from a quote of another provider for the same node, at the same cost a month."""
        kind = self._kind(shape)
        known = None if kind is None else self._asked.get(kind)
        if known is None:
            return None
        same = known.quoted.by(shape).node(FAR).monthly_cents == known.quoted.node(FAR).monthly_cents
        return known if same else None

    def _note(self, shape: NodeShape, asked: _Asked) -> None:
        kind = self._kind(shape)
        if kind is not None:
            self._asked[kind] = asked

    def _told_of(self, known: _Asked, shape: NodeShape) -> TargetPrice:
        """The answer to the quote of one provider, of another."""
        assert known.told is not None
        return replace(self._answer(known.quoted.by(shape), known.price, None), won=known.told.won)

    def _serves(self, quoted: Quoted) -> bool:
        """Whether some plan on such nodes keeps every promise and limit, beside nodes of others where there may be."""
        rules, mine = quoted.case.candidates.rules, quoted.shape.offer_id
        if quoted.case.only(option=lambda option: option.offer.id == mine).solve().solutions:
            return True
        return rules.mixed or len(rules.workloads) > 1

    def _climb(self, quoted: Quoted) -> Climb:
        """The search for the highest price, by bounds where there are any."""
        bar = self._without(quoted)
        if self._beside is None:
            return Climb(quoted, bar)
        return Descent(quoted, bar, PriceFloors(quoted, self._beside))

    def _settled(self, quoted: Quoted, price: int | None, climb: Climb) -> TargetPrice:
        """What wins at the highest price at which some plan on quoted nodes costs no more than the best without them.
        Where it costs less it wins. Where it costs the same the whole problem is solved, which settles ties as the
        ranking does; the quote may lose there, and wins one step lower."""

        def told(at: int, solved: Callable[[], Winner]) -> TargetPrice:
            return self._answer(quoted, at, WinnerAtPrice(solved))

        if not price:
            return self._answer(quoted, None, None)
        if climb.is_below_bar:
            found = told(price, lambda: climb.winner(price))
            self._note(quoted.shape, _Asked(quoted, price, told=found))
            return found
        self._note(quoted.shape, _Asked(quoted, price))
        tied, below = climb.winner(price), price - 1
        if _quoted_nodes(tied.solution, quoted.shape.offer_id):
            return told(price, lambda: tied)
        return told(below, lambda: climb.winner(below)) if below else self._answer(quoted, None, None)

    def _searched(self, quoted: Quoted) -> TargetPrice | None:
        """The highest price by solving the whole problem at every step."""
        won: dict[int, Winner] = {}
        if not self._serves(quoted):
            return None

        def room(price: int) -> int | None:
            case = quoted.at(price)
            winner = Winner(case, case.solve())
            if not _quoted_nodes(winner.solution, quoted.shape.offer_id):
                return None
            won[price] = winner
            return 0

        if room(NO_END) is not None:  # what counts first is not money, and nothing bounds the bill
            return replace(self._answer(quoted, None, WinnerAtPrice(lambda: won[NO_END])), at_any_price=True)
        price = highest(room, min(NO_END, self._guess(quoted)))
        return self._answer(quoted, price, None if price is None else WinnerAtPrice(lambda: won[price]))

    def _guess(self, quoted: Quoted) -> int:
        """The price at which the smallest number of quoted nodes that carries every workload costs what the best plan
        does, as if the workloads shared none of them."""
        from optimizer.fleet.funnel import kept_points
        from optimizer.fleet.lower_bounds import replicas_needed

        rules = quoted.case.candidates.rules
        key, least = quoted.node(1).node_type.key, dict[int, int]()
        for one in quoted.case.candidates.candidates:
            if one.node_type.key != key:
                continue
            load = rules.workloads[one.workload].load
            needed = [replicas_needed(one.points[point], load) for point in kept_points(one, rules)]
            nodes = min((one.nodes_for(count) for count in needed if count), default=None)
            if nodes is not None:
                least[one.workload] = min(nodes, least.get(one.workload, nodes))
        whole = [least[w] for w, asked in enumerate(rules.workloads) if asked.whole is None and w in least]
        count = max(1, sum(whole))
        low, high = quoted.node(1).monthly_cents, quoted.node(FAR).monthly_cents
        slope = (high - low) / (FAR - 1)
        return max(1, int((self._cents - rules.fixed_cents - count * low) // (count * slope)) + 1)

    def _without(self, quoted: Quoted) -> int:
        """What the best plan without the quote costs. A quote names its card: plans on it that are set aside while the
        user has not named it are in the race then."""
        rules, shape = quoted.case.candidates.rules, quoted.shape
        if not self._is_set_aside(shape.gpu):
            return self._cents
        own = any(o.offer.id == shape.offer_id and not rules.forbidden_by(o) for o in self._case.options)
        key = (shape.gpu, shape.offer_id if own else "")
        if key not in self._bars:
            others = tuple(option for option in self._case.options if option.offer.id != shape.offer_id)
            candidates = replace(self._case.candidates, candidates=self._rivals, rules=rules)
            found = replace(self._case, options=others, candidates=candidates).solve().solutions
            self._bars[key] = found[0].monthly_cents if found else self._cents
        return self._bars[key]

    def _answer(self, quoted: Quoted, price: int | None, won: WinnerAtPrice | None) -> TargetPrice:
        shape, bought = quoted.shape, self._tier is Tier.PURCHASE
        hours = self._case.inputs.problem.payment.hours_per_month
        monthly = None if price is None else quoted.node(price).monthly_cents
        listed, note = self._listed(shape)
        hourly = None if price is None else price / CENTS_PER_UNIT
        paid = _per_gpu_hour(monthly, hours, shape.gpus_per_node)
        if listed is not None and hourly and paid and not bought:
            listed *= hourly / paid  # as a quote states it too: before tax and discounts
        return TargetPrice(
            gpu=shape.gpu,
            provider=shape.provider,
            gpus_per_node=shape.gpus_per_node,
            offer_id=shape.offer_id,
            tier=self._tier,
            cents=None if bought else price,
            per_gpu_hour=paid if bought else hourly,
            purchase_price=price if bought else None,
            listed=listed,
            listed_note=note,
            won=won,
        )

    def _could_serve(self, candidates: Iterable[Candidate]) -> bool:
        from optimizer.fleet.funnel import configuration_allowed, kept_points

        rules = self._case.candidates.rules
        return any(configuration_allowed(one, rules) and kept_points(one, rules) for one in candidates)

    def _listed(self, shape: NodeShape) -> tuple[float | None, str]:
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

    def _of(self, shape: NodeShape) -> Iterator[NodeOption]:
        pair = (shape.gpu, shape.provider)
        return (option for option in self._case.options if (option.offer.gpu, option.offer.provider) == pair)


def _per_gpu_hour(monthly_cents: int | None, hours: float, gpus: int) -> float | None:
    return None if monthly_cents is None else monthly_cents / CENTS_PER_UNIT / hours / gpus


def _quoted_nodes(solution: FleetSolution | None, offer_id: str) -> int:
    """Nodes of the offer in the best plan."""
    if solution is None:
        return 0
    return sum(bought.count for bought in solution.nodes if bought.option.offer.id == offer_id)


NO_END = 10_000_000
"""A quote that wins at this price, 100,000 an hour for one GPU, wins at any."""


EXACT = 2**28
"""Bills up to so many cents are counted in cents by the search, not in whole units of currency."""


FINER, STEPS = 1.15, 20
"""Step between prices that are tried where shares of the money bind, and how many are."""


class Climb:
    """The highest price at which the least bill with quoted nodes is within that of the best plan without them."""

    def __init__(self, quoted: Quoted, bar: int) -> None:
        self._quoted, self.bar = quoted, bar
        self._share = quoted.case.candidates.rules.limits.provider_share
        self.is_below_bar = False  # at the highest price some plan with quoted nodes costs less than that

    def highest(self, guess: int, only_from: int | None = None) -> int | None:
        """The price; None: none from ``only_from`` (else from 1) on is low enough."""
        price = self._up_to(guess)
        if price is None:
            if only_from is not None or guess == 1:
                return None
            price = self._lower_down(guess)
        while price is not None:
            further = self._up_to(price + 1)
            if further is None:
                return price
            price = further
        return None

    def _lower_down(self, guess: int) -> int | None:
        """The same from a lower price on. Where shares of the money bind a quote may be too cheap to win: what is
        spent on it then leaves another provider with too much of the whole."""
        steps = range(1, STEPS + 1 if self._share is not None else 1)
        prices = dict.fromkeys(max(int(guess / FINER**step), 1) for step in steps)
        found = (self._up_to(price) for price in (*prices, 1))
        return next((price for price in found if price is not None), None)

    def _up_to(self, price: int) -> int | None:
        """How far the price may rise with the plan that is best at it; None where even that costs too much.

        What costs more than the best plan without the quote is screened out, so that there may be no plan at all.
        """
        from optimizer.fleet.types import SolveSettings

        case = self._at(price)
        wanted = self._quoted.shape.offer_id
        settings = SolveSettings(must_use=wanted, first_level=True, clock=case.clock, at_most=self.bar)
        found = case.solve(settings=settings).solutions
        if not found or found[0].monthly_cents > self.bar:
            return None
        return self._last_within(price, found[0])

    def winner(self, price: int) -> Winner:
        """The best plan at a price at which one is within the bar, ties settled as the ranking does."""
        from optimizer.fleet.types import SolveSettings

        asked = self._at(price)
        result = asked.solve(settings=SolveSettings(clock=asked.clock, at_most=self.bar))
        return Winner(self._quoted.at(price), result)

    def _at(self, price: int) -> Case:
        return self._quoted.at(price)

    def _last_within(self, price: int, plan: FleetSolution) -> int:
        """The highest price at which a plan costs no more than the best without the quote: doubling, then halving."""
        mine = [bought for bought in plan.nodes if bought.option.offer.id == self._quoted.shape.offer_id]
        rest = plan.monthly_cents - sum(bought.cents for bought in mine)

        def cents(at: int) -> int:
            node = self._quoted.node(at)
            return rest + sum(node.cents_for(bought.running or (bought.count,)) for bought in mine)

        def fits(at: int) -> bool:
            return cents(at) <= self.bar and self._leaves_others(plan, self._quoted.node(at))

        low, high = price, price + 1
        while fits(high):
            low, high = high, high + 2 * (high - price)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        self.is_below_bar = cents(low) < self.bar
        return low

    def _leaves_others(self, plan: FleetSolution, node: NodeOption) -> bool:
        """Whether a plan at a price of the quoted node leaves the other providers what a limit on shares asks for."""
        if self._share is None or node.periods:
            return True
        paid: dict[str, int] = {}
        for bought in plan.nodes:
            option = node if bought.option.offer.id == node.offer.id else bought.option
            seller = "" if option.origin is Origin.OWNED else option.offer.provider
            paid[seller] = paid.get(seller, 0) + option.monthly_cents * bought.count
        return paid.get(node.offer.provider, 0) * SHARE_PARTS <= self._share * sum(paid.values())


class Descent(Climb):
    """The same from above, where bounds say up to which price a plan may be within the bar: each question settles that
    one, or replays what makes the bounds less."""

    def __init__(self, quoted: Quoted, bar: int, floors: PriceFloors) -> None:
        super().__init__(quoted, bar)
        self._floors = floors

    def _at(self, price: int) -> Case:
        return self._floors.case(price, self.bar)

    def down_to(self, lowest: int) -> int | None:
        """The price; None: none from ``lowest`` on is low enough."""
        tried: int | None = None
        while (most := self._floors.may_win(self.bar)) is not None and (tried is None or most < tried):
            if most < lowest:
                return None
            price = self._up_to(most)
            if price is not None:
                return price
            tried = most
        start = lowest if most is not None else max(lowest, self._floors.as_dear_as_others())
        price = self.highest(start, only_from=start)
        return self.highest(lowest, only_from=lowest) if price is None and start > lowest else price


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
