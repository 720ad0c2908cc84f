"""The price at which a card of a provider would win: what to ask for in a quote, for every card that could serve.

Quotes are rented by the hour where the problem allows that, else bought (``payment.tiers: [purchase]``); where it
allows both, those who only sell are asked for a purchase price.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.negotiate.asking_price import RENTED, PriceToBeat, TargetPrice
from optimizer.negotiate.leverage import Leverage, leverage
from optimizer.negotiate.plan_file import Asked, answer_to, inputs_of, replays
from optimizer.negotiate.quote_at_price import NodeShape
from optimizer.plan.types import Target
from optimizer.pricing import RuleName
from optimizer.progress import Clock, Say, silent
from optimizer.vocabulary import Tier
from optimizer.whatif.case import Winner

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.plan.types import Outcome
    from optimizer.whatif.case import Case

ANY = "any"
"""Provider of a card that nobody in the catalog offers."""

_SIZES = (8, 1)
"""GPUs per node that a card without any offer is asked about."""

_NEGOTIABLE = frozenset({RuleName.PRICE, RuleName.TIERS, RuleName.COMMITMENT})
"""Rules that a quote of its own meets: a dated price, paid in a way the problem allows."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Every card and provider that could serve the problem and does not win."""

    outcome: Outcome
    prices: tuple[TargetPrice, ...]
    only_owned: bool = False  # the problem allows no hardware but the user's own
    named_sellers: bool = False  # the problem names who may sell
    leverage: Leverage | None = None
    replayed: bool = True


def targets(
    problem: Asked,
    catalog: Catalog | Path | str | None = None,
    *,
    sets: Sequence[str] = (),
    progress: Say = silent,
    simulate: bool = True,
    time_limit: float | None = None,
) -> Targets:
    """Find the price per GPU-hour below which each feasible but dearer or unpriced card and provider would win.

    Parameters
    ----------
    problem : Path, str or Problem
        A problem file, or a ``Problem`` of ``load_problem`` or ``parse_problem``, asked as it was read.
    catalog : Catalog, Path, str or None
        Of ``load_catalog``, or a directory that overrides and extends the packaged catalogs; None: the packaged ones.
    sets : sequence of str
        Edits of the problem, each ``PATH=VALUE``, such as ``workloads.chat.slo.ttft_ms=1500``.
    progress : callable
        Takes the name of each step, a ``str``, as it begins.
    simulate : bool
        Whether plans are replayed request by request; False: the closed form alone, and the answer says so.
    time_limit : float or None
        Seconds (wall clock) over everything; None: no limit.

    Returns
    -------
    Targets
        ``prices``: one per card and provider, in integer cents (a GPU and hour, or a GPU bought once); None where no
        price wins. ``outcome.targets`` carries the same prices.

    Raises
    ------
    InputError
        For what the user can mend, with every finding.
    OutOfTimeError
        Where ``time_limit`` seconds do not suffice.

    Source
    ------
    The published prices they are held against: ``catalogs/offers.csv``, publisher and date beside every price.
    """
    clock = Clock.of(time_limit)
    progress("solving")
    inputs, simulate = inputs_of(problem, sets, catalog), replays(problem, simulate=simulate)
    decided = answer_to(problem, inputs, progress=progress, simulate=simulate, clock=clock)
    case, outcome = decided.case, decided.outcome
    best = Winner(case, decided.result)
    found: list[TargetPrice] = []
    for tier, pairs in _ways_to_ask(case, best):
        bar = PriceToBeat(case, best, tier)
        for (gpu, provider), shapes in pairs.items():
            progress(f"pricing {gpu} at {provider}")
            best_of_pair: TargetPrice | None = None
            for shape in shapes:
                one = bar.target(shape, best_of_pair)
                if one is not None and (best_of_pair is None or one.rank > best_of_pair.rank):
                    best_of_pair = one
            found += [] if best_of_pair is None else [best_of_pair]
    ordered = sorted(found, key=lambda one: (not one.listed_below, -(one.per_gpu_hour or 0), one.gpu, one.provider))
    prices = tuple(ordered)
    stated = tuple(Target(one.gpu, one.provider, one.per_gpu_hour) for one in prices if one.per_gpu_hour is not None)
    progress("pricing what comes without its sellers")
    told = leverage(case, best)
    hardware = inputs.problem.hardware
    named = isinstance(hardware.providers, tuple)
    return Targets(replace(outcome, targets=stated), prices, hardware.only_owned, named, told, simulate)


_Pairs = dict[tuple[str, str], list[NodeShape]]


def _ways_to_ask(case: Case, best: Winner) -> Iterator[tuple[Tier, _Pairs]]:
    """How to ask for quotes: by the hour where the problem allows that, else to buy; and of pairs that only sell, to
    buy where it allows both."""
    allowed = case.inputs.problem.payment.tiers
    if best.solution is None:
        return
    rented = next((tier for tier in RENTED if tier in allowed), None)
    by_the_hour = {} if rented is None else _shapes(case, best, rented)
    if rented is not None:
        yield rented, by_the_hour
    if Tier.PURCHASE in allowed:
        sold = _shapes(case, best, Tier.PURCHASE)
        known = {*by_the_hour, *((gpu, provider) for gpu, provider in sold if provider == ANY and rented is not None)}
        yield Tier.PURCHASE, {pair: nodes for pair, nodes in sold.items() if pair not in known}


def _shapes(case: Case, best: Winner, tier: Tier) -> dict[tuple[str, str], list[NodeShape]]:
    """Nodes to ask about by card and provider: those offered that way, and whole nodes of cards that nobody offers."""
    assert best.solution is not None
    rules = case.candidates.rules
    winning = {(bought.option.offer.gpu, bought.option.offer.provider) for bought in best.solution.nodes}
    ways = (Tier.PURCHASE,) if tier is Tier.PURCHASE else RENTED
    sold = [option for option in case.options if option.tier in ways]
    found: dict[tuple[str, str], dict[object, NodeShape]] = {}
    for option in sold:
        pair = (option.offer.gpu, option.offer.provider)
        if pair not in winning and set(rules.options.forbidden_by(option)) <= _NEGOTIABLE:
            node = option.node_type
            shape = NodeShape(*pair, node.gpus_per_node, option.offer.id, node)
            found.setdefault(pair, {}).setdefault(node.key, shape)
    offered = {option.offer.gpu for option in sold} | {gpu for gpu, _ in winning}
    cards = case.inputs.catalog.gpus
    if rules.options.providers is not None and ANY not in rules.options.providers:
        cards = {}  # nobody else may sell
    licensed = {gpu for gpu in cards if cards[gpu].datacenter_licensed or not rules.options.licensed_only}
    named = set(rules.options.gpus or ())
    for gpu in sorted(gpu for gpu in (licensed | named) - offered if rules.gpu_allowed(gpu)):
        found[gpu, ANY] = {size: NodeShape(gpu, ANY, size, f"quote-{size}x-{gpu}", None) for size in _SIZES}
    return {pair: list(shapes.values()) for pair, shapes in sorted(found.items())}
