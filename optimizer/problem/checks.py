"""Checks across hardware, offers, engine, payment and objective. One function per rule.

Checks of day profiles. One function per rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.problem.checks_workload import check_workloads
from optimizer.problem.findings import Issue, KeyPath
from optimizer.problem.load import is_split, peak_of, prefix_gap_of
from optimizer.problem.pooling import pools_possible
from optimizer.problem.schema import Exclude, ProblemFile, ProfilePeriod, Quote, Workload
from optimizer.problem.speculating import speculation_possible
from optimizer.vocabulary import KvTiers, Nvlink, Objective, Survive, Tier

COMMITMENT_MONTHS = ((Tier.RESERVED_1Y, 12), (Tier.RESERVED_3Y, 36))
"""Months that a reservation binds for."""


def check(problem: ProblemFile) -> Iterator[Issue]:
    """Every rule that needs more than one key."""
    yield from check_workloads(problem)
    yield from check_profiles(problem)
    yield from _owned_only(problem)
    yield from _limits_against_engine(problem)
    yield from _one_quota_each(problem)
    yield from _offers(problem)
    yield from _commitment(problem)
    yield from _budget(problem)
    yield from _dollar(problem)
    yield from _latency_objective(problem)
    yield from _bounded_load(problem)
    yield from _mixes(problem)
    yield from pools_possible(problem)
    yield from speculation_possible(problem)
    yield from _tiers_of_hits(problem)


def _tiers_of_hits(problem: ProblemFile) -> Iterator[Issue]:
    """The memory of hosts holds what comes again after a time that is stated: some workload has such."""
    if problem.engine.kv_tiers is KvTiers.NONE or any(_earns_hits(workload) for workload in problem.workloads):
        return
    message = f"kv_tiers is {problem.engine.kv_tiers}, but no workload states when a prefix is asked for again"
    hint = "state sessions, or tokens.requests_per_prefix and prefix_gap_s (users: think_time_s)"
    about: tuple[KeyPath, ...] = tuple(("workloads", index) for index in range(len(problem.workloads)))
    yield Issue(("engine", "kv_tiers"), message, hint, about)


def _earns_hits(workload: Workload) -> bool:
    stated = workload.tokens.shared_prefix > 0.0 and prefix_gap_of(workload) is not None
    return workload.sessions is not None or stated


def _owned_only(problem: ProblemFile) -> Iterator[Issue]:
    """``only_owned`` leaves at least one owned node that no other rule forbids."""
    hardware = problem.hardware
    if not hardware.only_owned:
        return
    path: KeyPath = ("hardware", "only_owned")
    about: tuple[KeyPath, ...] = (("hardware", "owned"), ("hardware", "gpus"), ("hardware", "nvlink"))
    if not hardware.owned:
        yield Issue(path, "only_owned is yes, but owned lists no hardware", "list it under hardware.owned", about)
        return
    if hardware.nvlink is Nvlink.FORBIDDEN and all(owned.nvlink for owned in hardware.owned):
        message = "nvlink is forbidden, but all owned hardware has it and only_owned is yes"
        yield Issue(("hardware", "nvlink"), message, "allow NVLink, or other hardware", about)
    cards = {owned.gpu for owned in hardware.owned}
    if isinstance(hardware.gpus, Exclude):
        left = cards - set(hardware.gpus.exclude)
    else:
        left = cards if hardware.gpus is None else cards & set(hardware.gpus)
    if not left:
        message = f"gpus leaves out all owned cards ({', '.join(sorted(cards))}), and only_owned is yes"
        yield Issue(("hardware", "gpus"), message, "name an owned card in gpus", about)


def _limits_against_engine(problem: ProblemFile) -> Iterator[Issue]:
    """The smallest replica that the engine section allows fits into ``max_gpus``."""
    most = problem.hardware.limits.max_gpus
    smallest = min(problem.engine.tensor_parallel) * min(problem.engine.pipeline_parallel)
    if most is not None and smallest > most:
        message = f"max_gpus is {most}, but the smallest replica allowed under engine takes {smallest} GPUs"
        about: tuple[KeyPath, ...] = (("engine", "tensor_parallel"), ("engine", "pipeline_parallel"))
        hint = "raise max_gpus, or allow smaller tensor_parallel and pipeline_parallel"
        yield Issue(("hardware", "limits", "max_gpus"), message, hint, about)


def _one_quota_each(problem: ProblemFile) -> Iterator[Issue]:
    """One quota per provider and card."""
    seen: set[tuple[str, str | None]] = set()
    for index, quota in enumerate(problem.hardware.quota):
        key = (quota.provider, quota.gpu)
        if key in seen:
            what = f"{quota.provider} and {quota.gpu or 'all its cards'}"
            yield Issue(("hardware", "quota", index), f"a second quota for {what}", "keep one of the two")
        seen.add(key)


def _offers(problem: ProblemFile) -> Iterator[Issue]:
    """Ids are unique, each quote has one price, and its tier suits the kind of price."""
    seen: set[str] = set()
    for index, quote in enumerate(problem.offers):
        path: KeyPath = ("offers", index)
        if quote.id in seen:
            yield Issue((*path, "id"), f"the offer id {quote.id!r} is taken", "give each quote its own id")
        seen.add(quote.id)
        yield from _quoted_price(quote, path)
        yield from _breaks(quote, path)


def _quoted_price(quote: Quote, path: KeyPath) -> Iterator[Issue]:
    about = ((*path, "price_per_hour"), (*path, "purchase_price"), (*path, "tier"))
    if quote.price_per_hour is not None and quote.purchase_price is not None:
        hint = "write two quotes with an id each"
        yield Issue(
            (*path, "purchase_price"), f"{quote.id} has both a price per hour and a purchase price", hint, about
        )
    elif quote.price_per_hour is None and quote.purchase_price is None:
        hint = "state price_per_hour (of a node) or purchase_price"
        yield Issue((*path, "id"), f"{quote.id} has no price", hint, about)
    elif (quote.tier is Tier.PURCHASE) != (quote.purchase_price is not None):
        needed = "purchase_price" if quote.tier is Tier.PURCHASE else "price_per_hour"
        yield Issue((*path, "tier"), f"{quote.id}: the tier {quote.tier} needs a {needed}", None, about)


def _breaks(quote: Quote, path: KeyPath) -> Iterator[Issue]:
    """Price breaks lower a price per hour, more from each number of nodes to the next."""
    about = ((*path, "price_breaks"),)
    if quote.price_breaks and quote.price_per_hour is None:
        hint = "leave them out, or state price_per_hour"
        yield Issue((*path, "price_breaks"), f"{quote.id}: price breaks are of a price per hour", hint, about)
        return
    last_from, last = 1, quote.price_per_hour or 0.0
    for number, one in enumerate(quote.price_breaks):
        where = (*path, "price_breaks", number)
        if one.from_nodes <= last_from:
            hint = f"state numbers that grow, above {last_from}"
            yield Issue((*where, "from_nodes"), f"{quote.id}: breaks from {one.from_nodes} nodes on", hint, about)
        if one.price_per_hour >= last:
            message = f"{quote.id}: from {one.from_nodes} nodes on a node costs {one.price_per_hour:g} an hour"
            yield Issue((*where, "price_per_hour"), message, f"a break is lower than what it breaks: {last:g}", about)
        last_from, last = one.from_nodes, one.price_per_hour


def _commitment(problem: ProblemFile) -> Iterator[Issue]:
    """``max_commitment_months`` leaves at least one of the tiers."""
    payment = problem.payment
    most, months = payment.max_commitment_months, dict(COMMITMENT_MONTHS)
    bound = {quote.tier: quote.commitment_months for quote in problem.offers if quote.commitment_months is not None}
    months |= {tier: min(stated, months.get(tier, 0)) for tier, stated in bound.items()}
    if most is not None and all(months.get(tier, 0) > most for tier in payment.tiers):
        message = f"max_commitment_months is {most}, which none of the tiers ({', '.join(payment.tiers)}) keeps"
        hint = "raise it, or add on_demand to payment.tiers"
        yield Issue(("payment", "max_commitment_months"), message, hint, (("payment", "tiers"),))


def _budget(problem: ProblemFile) -> Iterator[Issue]:
    """The fixed extras leave something of the budget."""
    monthly, extras = problem.budget.monthly, problem.payment.extras_monthly
    if monthly is not None and extras >= monthly:
        message = f"budget.monthly of {monthly:,.2f} is used up by payment.extras_monthly of {extras:,.2f}"
        yield Issue(("budget", "monthly"), message, None, (("payment", "extras_monthly"),))


def _dollar(problem: ProblemFile) -> Iterator[Issue]:
    """Rates are per US dollar, so that of the dollar is 1."""
    rate = problem.payment.fx.rates.get("USD", 1.0) if problem.payment.fx else 1.0
    if rate != 1.0:
        path: KeyPath = ("payment", "fx", "USD")
        yield Issue(path, f"fx says {rate:g} dollars per dollar", "rates are units of a currency per US dollar")


def _latency_objective(problem: ProblemFile) -> Iterator[Issue]:
    """A latency can be minimised only where requests are answered online."""
    if problem.objective not in (Objective.MINIMIZE_TTFT, Objective.MINIMIZE_TPOT):
        return
    if all(workload.traffic.batch is not None for workload in problem.workloads):
        message = f"{problem.objective} needs a workload that is not batch work"
        yield Issue(("objective",), message, "use minimize_cost", (("workloads",),))


def _mixes(problem: ProblemFile) -> Iterator[Issue]:
    """Mixes have a share of a stated load; under ``maximize_load`` one configuration serves a workload."""
    if problem.objective is Objective.MAXIMIZE_LOAD and problem.ranking.max_configurations_per_workload > 1:
        path: KeyPath = ("ranking", "max_configurations_per_workload")
        message = "maximize_load looks for one configuration per workload"
        yield Issue(path, message, "state the load and minimise the cost instead", (("objective",),))


def is_bounded(problem: ProblemFile) -> bool:
    """Whether the file states how much hardware there may be at most."""
    return problem.hardware.only_owned or is_purchase_bounded(problem)


def is_purchase_bounded(problem: ProblemFile) -> bool:
    """Whether something ends what may be rented and bought: a budget, a limit, a quota or a stock."""
    hardware, limits = problem.hardware, problem.hardware.limits
    return (
        problem.budget.monthly is not None
        or any(limit is not None for limit in (limits.max_gpus, limits.max_nodes, limits.max_power_kw))
        or bool(hardware.quota)
        or any(quote.stock is not None for quote in problem.offers)
    )


def _bounded_load(problem: ProblemFile) -> Iterator[Issue]:
    """``maximize_load`` has an end: a budget, a limit, a quota, a stock, or owned hardware only."""
    if problem.objective is not Objective.MAXIMIZE_LOAD:
        return
    if not is_bounded(problem):
        hint = "state budget.monthly, a limit under hardware.limits, quota, the stock of a quote, or only_owned: yes"
        about: tuple[KeyPath, ...] = (("budget",), ("hardware",), ("offers",))
        yield Issue(("objective",), "maximize_load without anything that bounds it has no answer", hint, about)


_ROUNDING_HOURS = 0.5
"""Hours are often written rounded."""


def check_profiles(problem: ProblemFile) -> Iterator[Issue]:
    """Every rule for every profile."""
    stated = [(index, w.traffic.profile) for index, w in enumerate(problem.workloads) if w.traffic.profile is not None]
    if not stated:
        return
    yield from _supported(problem, ("workloads", stated[0][0], "traffic", "profile"))
    for index, profile in stated:
        path: KeyPath = ("workloads", index, "traffic", "profile")
        yield from _names(profile, path)
        yield from _same_periods(profile, stated[0][1], path, problem.workloads[stated[0][0]].name)
        yield from _some_load(problem, index, path)
        yield from _batch(problem, index, path)
    yield from _whole_month(problem, stated[0][1], ("workloads", stated[0][0], "traffic", "profile"))


def _supported(problem: ProblemFile, path: KeyPath) -> Iterator[Issue]:
    """A workload with a profile has one configuration, which serves all of it, wherever its replicas stand."""
    for index, workload in enumerate(problem.workloads):
        if is_split(workload):
            message = "length classes that may be served apart do not go with a day profile"
            hint = "state tokens.split_classes: no, or leave the profile out"
            yield Issue(("workloads", index, "tokens", "classes"), message, hint, (path,))
    if problem.ranking.max_configurations_per_workload > 1:
        where = ("ranking", "max_configurations_per_workload")
        message = "a workload with a day profile is served by one configuration"
        yield Issue(where, message, "leave max_configurations_per_workload at 1", (path,))
    if problem.margins.survive is Survive.SITE:
        message = "where replicas stand is decided for one load: survive: site does not go with a day profile"
        yield Issue(("margins", "survive"), message, "use survive: node, or leave the profile out", (path,))


def _names(profile: tuple[ProfilePeriod, ...], path: KeyPath) -> Iterator[Issue]:
    """Names are unique: reports and paths are built from them."""
    seen: set[str] = set()
    for index, period in enumerate(profile):
        if period.name in seen:
            yield Issue((*path, index, "name"), f"the period {period.name!r} is there twice", "give it another name")
        seen.add(period.name)


def _same_periods(
    profile: tuple[ProfilePeriod, ...], first: tuple[ProfilePeriod, ...], path: KeyPath, owner: str
) -> Iterator[Issue]:
    """Hours per month do not say when: only equal periods of two workloads are the same hours of the day."""
    ours, theirs = ([(p.name, p.hours_per_month, p.starts_per_month) for p in one] for one in (profile, first))
    if ours != theirs:
        message = f"the periods differ from those of workload {owner!r}, so it is not known which hours they share"
        yield Issue(path, message, "state the same names, hours_per_month and starts_per_month; factors may differ")


def _some_load(problem: ProblemFile, index: int, path: KeyPath) -> Iterator[Issue]:
    """Some period has load."""
    if peak_of(problem.workloads[index].traffic) == 0:
        yield Issue(path, "the factor is 0 in every period", "give the busiest period the factor 1")


def _batch(problem: ProblemFile, index: int, path: KeyPath) -> Iterator[Issue]:
    """Batch work runs in a period or does not, and its runs fit into the periods it runs in."""
    batch, profile = problem.workloads[index].traffic.batch, problem.workloads[index].traffic.profile
    if batch is None or profile is None:
        return
    if any(period.factor not in (0, 1) for period in profile):
        yield Issue(
            path, "factors of batch work are 0 (it waits) or 1 (it runs)", "its speed follows from within_hours"
        )
    hours = sum(period.hours_per_month for period in profile if period.factor)
    needed = batch.within_hours * batch.runs_per_month
    if needed > hours + _ROUNDING_HOURS:
        message = f"the runs take {needed:g} hours a month, the periods of factor 1 have {hours:g}"
        yield Issue(path, message, "let it run in more periods, or lower within_hours", ((*path[:-1], "batch"),))


def _whole_month(problem: ProblemFile, profile: tuple[ProfilePeriod, ...], path: KeyPath) -> Iterator[Issue]:
    """``sum of hours_per_month = payment.hours_per_month``, up to half an hour of rounding: no hour goes unsaid."""
    total, month = sum(period.hours_per_month for period in profile), problem.payment.hours_per_month
    gap = month - total
    if abs(gap) <= _ROUNDING_HOURS:
        return
    message = f"the periods add up to {total:g} hours, a month has {month:g} (payment.hours_per_month)"
    if gap > 0:
        hint = f"{gap:g} hours are missing: add a period (factor 0 where nothing runs)"
    else:
        hint = f"{-gap:g} hours are too many: hours_per_month counts all days of a month together"
    yield Issue(path, message, hint, (("payment", "hours_per_month"),))
