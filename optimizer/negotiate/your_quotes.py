"""Every quote of the problem file with its verdict: it wins, or up to which price it would, or why it never can."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.plan.quotes import NO_PLAN, TIME_UP, MissedPromise, QuoteVerdict, Verdict
from optimizer.pricing import RuleName
from optimizer.pricing.types import Origin
from optimizer.progress import Say, silent
from optimizer.units import CENTS_PER_UNIT
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.plan.types import NodeLine, Outcome
    from optimizer.pricing import NodeOption
    from optimizer.whatif.case import Case, Winner


def with_quotes(outcome: Outcome, case: Case, progress: Say = silent) -> Outcome:
    """The outcome with a verdict on every quote of the problem. ``case`` is the one that the outcome was found in, cut
    to what replays showed."""
    stated = case.inputs.problem.offers
    if not stated:
        return outcome
    quoted = [option for option in case.options if option.origin is Origin.QUOTE]
    by_id = {option.offer.id: option for option in sorted(quoted, key=lambda one: -one.from_nodes)}  # one node's price
    judge = _Judge(outcome, case)
    found = []
    for quote in stated:
        progress(f"judging your quote {quote.id}")
        found.append(judge.verdict(by_id[quote.id]))
    return replace(outcome, quotes=tuple(found))


class _Judge:
    """One outcome, asked about one quote after the other."""

    def __init__(self, outcome: Outcome, case: Case) -> None:
        self._outcome, self._case = outcome, case
        self._best: Winner | None = None
        self._rules = case.candidates.rules

    def verdict(self, option: NodeOption) -> QuoteVerdict:
        """What a quote comes to."""
        bare = _bare(option, self._outcome)
        mine = [one for one in self._case.candidates.candidates if one.node_type.key == option.node_type.key]
        forbidden = self._rules.options.forbidden_by(option)
        rules = tuple(dict.fromkeys(rule.path for rule in forbidden if rule is not RuleName.PRICE))
        able = self._able(replace(bare, verdict=Verdict.LOSES), option, mine)
        if rules:
            return replace(able, verdict=Verdict.BREAKS_RULE, rules=rules)
        expired = self._rules.options.why_not_rankable(option)
        if expired:
            return replace(able, verdict=Verdict.EXPIRED, why=expired)
        if able.verdict is not Verdict.LOSES:
            return able
        return self._ranked(able, option)

    def _able(self, bare: QuoteVerdict, option: NodeOption, mine: list[Candidate]) -> QuoteVerdict:
        """Whether its nodes could serve, whatever they cost."""
        from optimizer.fleet.funnel import configuration_allowed, kept_points
        from optimizer.negotiate.why_not import broken_promises, why_nothing_fits

        if not mine:
            why = why_nothing_fits(self._case.inputs, option.node_type.gpu.id)
            return replace(bare, verdict=Verdict.CANNOT_SERVE, why=why)
        if any(configuration_allowed(one, self._rules) and kept_points(one, self._rules) for one in mine):
            return bare
        rest = self._case.only(candidate=lambda one: one.node_type.key == option.node_type.key)
        broken, setup = broken_promises(rest)
        if broken:
            missed = tuple(MissedPromise(one.path, one.value, one.limit, one.unit, setup) for one in broken)
            return replace(bare, verdict=Verdict.BREAKS_PROMISE, missed=missed)
        return replace(bare, verdict=Verdict.BREAKS_RULE, rules=self._against(mine))

    def _against(self, mine: list[Candidate]) -> tuple[str, ...]:
        """The fewest rules about configurations that stand against every set-up on such nodes."""
        from optimizer.fleet import broken_by

        broken = (broken_by(one, 0, self._rules) for one in mine)
        return tuple(min((len(paths), sorted(paths)) for paths in broken)[1])

    def _ranked(self, able: QuoteVerdict, option: NodeOption) -> QuoteVerdict:
        plans = self._outcome.plans
        rank = next((plan.rank for plan in plans if _stands_on(plan.nodes, option.offer.id)), None)
        if rank == 1:
            return replace(able, verdict=Verdict.WINS, rank=1, monthly_cents=plans[0].monthly_cents)
        if self._case.clock.over:
            return replace(able, rank=rank, why="" if rank else TIME_UP)
        if not plans:
            return replace(able, why=NO_PLAN)
        cents = plans[rank - 1].monthly_cents if rank else self._alone(option)
        below = self._wins_below(option)
        why = self._why_not_alone(option) if cents is None else ""
        return replace(able, rank=rank, monthly_cents=cents, wins_below=below, why=why)

    def _why_not_alone(self, option: NodeOption) -> str:
        """Why there is no plan on the quote and nothing else: what it cannot serve, or how few of it there are."""
        from optimizer.fleet.funnel import configuration_allowed, kept_points

        served = {
            one.workload
            for one in self._case.candidates.candidates
            if one.node_type.key == option.node_type.key
            and configuration_allowed(one, self._rules)
            and kept_points(one, self._rules)
        }
        parts = [part.name for number, part in enumerate(self._rules.workloads) if number not in served]
        missed = ", ".join(dict.fromkeys(parts))
        if missed:
            return f"alone it cannot serve {missed}, and beside other nodes #1 stays first"
        return "its stock and the limits of the file leave no plan on it alone, and beside other nodes #1 stays first"

    def _alone(self, option: NodeOption) -> int | None:
        """The least bill of a plan on nodes of the quote and nothing else."""
        found = self._case.only(option=lambda one: one.key == option.key).solve().solutions
        return found[0].monthly_cents if found else None

    def _wins_below(self, option: NodeOption) -> float | None:
        """The highest price, in whole cents or for a purchase whole units of the problem's currency per card, at which
        the quote wins; only where money is the objective."""
        from optimizer.negotiate.asking_price import PriceToBeat
        from optimizer.negotiate.quote_at_price import NodeShape
        from optimizer.whatif.case import ask

        if self._best is None:
            self._best = ask(self._case)
        if self._best.cents is None or self._best.result.objective != "minimize_cost" or option.price is None:
            return None
        offer = option.offer
        shape = NodeShape(offer.gpu, offer.provider, offer.gpus_per_node, offer.id, option.node_type)
        target = PriceToBeat(self._case, self._best, option.tier).target(shape)
        per_card = None if target is None else target.cents if target.purchase_price is None else target.purchase_price
        if per_card is None:
            return None
        whole = per_card * offer.gpus_per_node / (1 if option.tier is Tier.PURCHASE else CENTS_PER_UNIT)
        own = whole / self._exchange(option.price.currency)
        return math.floor(own * CENTS_PER_UNIT + 1e-6) / CENTS_PER_UNIT

    def _exchange(self, currency: str) -> float:
        from optimizer.pricing import terms_of

        return terms_of(self._case.inputs.problem, self._case.inputs.catalog).exchange.rate(currency)


def _stands_on(nodes: Sequence[NodeLine], offer_id: str) -> bool:
    return any(node.offer_id == offer_id for node in nodes)


def _bare(option: NodeOption, outcome: Outcome) -> QuoteVerdict:
    offer, price = option.offer, option.price
    assert price is not None
    return QuoteVerdict(
        offer_id=offer.id,
        provider=offer.provider,
        gpu=offer.gpu,
        gpus_per_node=offer.gpus_per_node,
        tier=option.tier,
        price=price.amount,
        currency=price.currency,
        verdict=Verdict.LOSES,
        replayed=any(plan.simulated for plan in outcome.plans),
        tax_percent=offer.tax_percent,
        lead_time_weeks=offer.lead_time_weeks,
        quote_ref=offer.quote_ref,
        valid_until=offer.valid_until or "",
    )
