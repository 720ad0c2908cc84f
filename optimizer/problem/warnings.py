"""What a problem may say, but probably does not mean."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.clock import today
from optimizer.problem.check_rest import COMMITMENT_MONTHS, is_bounded
from optimizer.problem.known import KnownIds
from optimizer.problem.load import slo_of
from optimizer.problem.schema import ProblemFile
from optimizer.problem.words import Nvlink, Objective
from optimizer.vocabulary import Tier


def warnings_of(problem: ProblemFile, known: KnownIds) -> Iterator[str]:
    """Sentences for the report, each opening with the path it is about."""
    yield from _workloads(problem)
    yield from _objective(problem)
    yield from _links(problem)
    yield from _tiers(problem)
    yield from _regions(problem, known)
    yield from _dates(problem, known)


def _workloads(problem: ProblemFile) -> Iterator[str]:
    for workload in problem.workloads:
        path, traffic = f"workloads.{workload.name}", workload.traffic
        if traffic.users is not None and "peak_factor" not in traffic.model_fields_set:
            yield (
                f"{path}.traffic.users: users are not requests in flight, and without peak_factor their average rate"
                " is taken as the peak"
            )
        online = traffic.batch is None and problem.objective is not Objective.MAXIMIZE_LOAD
        if online and not slo_of(workload).promises:
            yield f"{path}.slo: no latency promise is stated, so replicas may run at 0.9 of saturation"


def _objective(problem: ProblemFile) -> Iterator[str]:
    if problem.objective in (Objective.MINIMIZE_TTFT, Objective.MINIMIZE_TPOT) and not is_bounded(problem):
        yield (
            f"objective: {problem.objective} without budget.monthly or a limit under hardware.limits buys GPUs for"
            " milliseconds, however many there are; state what the answer may cost"
        )


def _links(problem: ProblemFile) -> Iterator[str]:
    hardware = problem.hardware
    if hardware.nvlink is Nvlink.REQUIRED and hardware.only_owned and not any(o.nvlink for o in hardware.owned):
        yield "hardware.nvlink: required, but no owned node states nvlink: yes, so only one-GPU replicas may pass"


def _tiers(problem: ProblemFile) -> Iterator[str]:
    payment = problem.payment
    for quote in problem.offers:
        if quote.tier not in payment.tiers:
            yield f"offers.{quote.id}: its tier {quote.tier} is not in payment.tiers, so it is not used"
    most = payment.max_commitment_months
    for tier, months in COMMITMENT_MONTHS:
        if most is not None and tier in payment.tiers and months > most:
            yield f"payment.tiers: {tier} binds for {months} months, beyond max_commitment_months of {most}"
    online = any(workload.traffic.batch is None for workload in problem.workloads)
    if Tier.SPOT in payment.tiers and online:
        yield "payment.tiers: spot capacity can be taken away at any moment, also from online workloads"


def _regions(problem: ProblemFile, known: KnownIds) -> Iterator[str]:
    quoted = {quote.region for quote in problem.offers}
    unknown = [name for name in problem.hardware.regions or () if name not in known.regions and name not in quoted]
    if known.regions and unknown:
        yield f"hardware.regions: no catalog knows {', '.join(unknown)}, so only a quote that states it can stand there"


def _dates(problem: ProblemFile, known: KnownIds) -> Iterator[str]:
    """ISO days compare as text."""
    payment = problem.payment
    as_of = payment.as_of or known.newest_price_date
    if payment.fx is not None and payment.fx.date is None:
        yield "payment.fx: the exchange rates have no date"
    yield from expired_quotes(problem)
    if as_of is None:
        return
    if known.newest_price_date is not None and as_of < known.newest_price_date:
        yield f"payment.as_of: {as_of}; prices up to {known.newest_price_date} are newer than it, and are used"
    for index, discount in enumerate(payment.discounts):
        if discount.until is not None and discount.until < as_of:
            yield f"payment.discounts.{index}: held until {discount.until}, before {as_of}, so it is not applied"


def expired_quotes(problem: ProblemFile) -> Iterator[str]:
    """A sentence for each quote that no longer holds on ``payment.as_of``, or where that is not stated today."""
    held, day = problem.payment.as_of or str(today()), "" if problem.payment.as_of else ", today"
    for quote in problem.offers:
        if quote.valid_until is not None and quote.valid_until < held:
            what = f"{quote.provider}, {quote.gpus_per_node}x {quote.gpu}"
            until = f"valid until {quote.valid_until}, which is before {held}{day}"
            yield f"offers.{quote.id}: expired ({what}): {until}, so it is not ranked"
