"""What a measurement is worth: which setup, measured at twenty loads, would lower the bill most in expectation.

A plan pays for the error of its prediction: at the asked confidence a promise must hold however the truth departs from
it, and what would suffice on average is refused. Measurements of one's own (``optimize calibrate``) shift a setup's
prediction to the truth and leave the narrower band of own measurements. What they will show is not known: the
departure is drawn from what remains of the usual band when the band of own measurements is taken out of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.errors import Finding, UsageError
from optimizer.negotiate.plan_file import Asked, answer_to, inputs_of, replays
from optimizer.progress import Clock, Say, silent
from optimizer.vocabulary import Objective, Tier

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.decide import Answer
    from optimizer.performance.types import Grade, ReplicaSpec
    from optimizer.plan.types import Group, Outcome, Plan
    from optimizer.pricing import NodeOption
    from optimizer.whatif.case import Case

EVEN = 0.5
"""The confidence without any margin."""

PARTS = 10
"""Departures that are tried: the middles of so many equal parts of their distribution."""

MOST_SETUPS = 6
"""Setups that are asked about: those of #1, then those of the cheapest plans that the margin refuses."""

HOURS = 2.0
"""What twenty loads take on a rented node: six minutes each, ten requests for every one in flight."""


@dataclass(frozen=True, slots=True)
class Rented:
    """The node to measure on: the cheapest by the hour that holds one replica."""

    provider: str
    gpu: str
    gpus_per_node: int
    hour_cents: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One setup measured at twenty loads, and what the bill is expected to do then."""

    plan: Plan  # one that uses the setup, as planned without a margin
    group: Group  # its replica
    node: Rented | None  # None: nobody rents such a card by the hour
    outcomes: tuple[int | None, ...]  # the bill in cents a month, equally likely each; None: no plan keeps its promises
    saved: tuple[int, ...]  # cents a month less than today's bill, never below 0
    in_first: bool  # whether today's #1 uses it

    @property
    def chance(self) -> float:
        """That the bill falls."""
        return sum(cents > 0 for cents in self.saved) / len(self.saved)

    @property
    def expected_cents(self) -> float:
        """Saved a month, in expectation."""
        return sum(self.saved) / len(self.saved)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Everything that ``optimize confirm`` says."""

    outcome: Outcome  # at the asked confidence
    even: Outcome  # without a margin
    measurements: tuple[Measurement, ...]  # the most worth first
    currency: str
    confidence: float
    replayed: bool = True
    sets: tuple[str, ...] = ()  # edits of the problem that the answer is of

    @property
    def asked_cents(self) -> int | None:
        """The bill at the asked confidence; None: nothing keeps every promise."""
        return self.outcome.plans[0].monthly_cents if self.outcome.plans else None

    @property
    def even_cents(self) -> int | None:
        """The bill if every prediction were sure."""
        return self.even.plans[0].monthly_cents if self.even.plans else None


def confirm(
    problem: Asked,
    catalog: Catalog | Path | str | None = None,
    *,
    sets: Sequence[str] = (),
    progress: Say = silent,
    simulate: bool = True,
    time_limit: float | None = None,
) -> Confirmation:
    """Which setup to measure before signing, and what that is expected to save.

    Parameters
    ----------
    problem : Path, str or Problem
        A problem file, or a ``Problem``; its objective has to be money.
    catalog : Catalog, Path, str or None
        Of ``load_catalog``, or a directory that overrides and extends the packaged catalogs; None: the packaged ones.
    sets : sequence of str
        Edits of the problem, each ``PATH=VALUE``.
    progress : callable
        Takes the name of each step, a ``str``, as it begins.
    simulate : bool
        Whether plans are replayed request by request; False: the closed form alone, and the answer says so.
    time_limit : float or None
        Seconds (wall clock) over everything; None: no limit.

    Returns
    -------
    Confirmation
        Both bills (cents a month), and the setups by what their measurement is expected to save.

    Raises
    ------
    UsageError
        Where something else than money is minimised.
    InputError
        For everything else that the user can mend.
    OutOfTimeError
        Where ``time_limit`` seconds do not suffice.

    Source
    ------
    Error bands of published measurements, before and after a setup's own: ``catalogs/performance/bands.csv``.
    """
    from optimizer.decide import answer

    clock = Clock.of(time_limit)
    progress("reading the problem and the catalogs")
    inputs, simulate = inputs_of(problem, sets, catalog), replays(problem, simulate=simulate)
    asked = inputs.problem
    if asked.objective is not Objective.MINIMIZE_COST:
        text = f"a measurement is valued in money, and the objective is {asked.objective}"
        raise UsageError([Finding(text, str(asked.path), hint="--set objective=minimize_cost")])
    progress("solving")
    first = answer_to(problem, inputs, progress=progress, simulate=simulate, clock=clock)
    progress("solving without a margin")
    even = answer(inputs.with_sets(_EVENLY), progress=progress, simulate=simulate, clock=clock, tested=False)
    today = first.outcome.plans[0].monthly_cents if first.outcome.plans else None
    found = []
    for setup in _setups(first, even, today):
        progress(f"asking what {setup.group.weight_quant} on {setup.group.gpu} may show")
        found.append(_measured(first.case, setup, today, simulate=simulate))
    found.sort(key=lambda one: (-one.expected_cents, -one.chance))
    return Confirmation(
        first.outcome, even.outcome, tuple(found), asked.payment.currency, asked.margins.confidence, simulate,
        inputs.sets,
    )  # fmt: skip


_EVENLY = (f"margins.confidence={EVEN}", "ranking.distinct_by=[gpu, weight_quant]")


@dataclass(frozen=True, slots=True)
class _Setup:
    """A setup that could be measured, in a plan that uses it."""

    plan: Plan
    group: Group
    spec: ReplicaSpec
    in_first: bool


def _setups(first: Answer, even: Answer, today: int | None) -> Iterator[_Setup]:
    """What could be measured: the setups of #1, and those of plans that would cost less if predictions were sure."""
    from optimizer.performance.accuracy import is_own, may_be_own, own_setup

    told: set[str] = set()
    of_first = zip(first.outcome.plans[:1], first.result.solutions, strict=False)
    of_even = zip(even.outcome.plans, even.result.solutions, strict=False)
    for number, (plan, solution) in enumerate((*of_first, *of_even)):
        in_first = number < len(first.outcome.plans[:1])
        if not in_first and today is not None and plan.monthly_cents >= today:
            continue
        if plan.has_pools:  # judged by the error of disaggregated serving, which no setup measured alone narrows
            continue
        for group, chosen in zip(plan.groups, solution.groups, strict=True):
            spec = chosen.candidate.spec
            setup = own_setup(spec)
            if setup not in told and len(told) < MOST_SETUPS and may_be_own(spec):
                told.add(setup)
                if not is_own(spec, first.case.inputs.params):
                    yield _Setup(plan, group, spec, in_first)


def departures(usual: tuple[Grade, str], parts: int = PARTS) -> tuple[float, ...]:
    """Truth over prediction of a whole setup, ascending: the usual band of TPOT less that of own measurements.

    Both spread by load and lengths; what the usual band has beyond is what a setup's own mean may depart by. Its width
    (logarithm) is the root of the difference of squares; it keeps the skew of the usual band.
    """
    from optimizer.demand import Metric
    from optimizer.performance.accuracy import OWN, band, error_factor
    from optimizer.performance.types import Grade

    wide, own = band(Metric.TPOT, *usual), band(Metric.TPOT, Grade.A, OWN)
    shares = [
        math.sqrt(max(1.0 - (math.log(narrow) / math.log(whole)) ** 2, 0.0))
        for narrow, whole in ((own.low, wide.low), (own.high, wide.high))
    ]
    found = []
    for number in range(parts):
        log = math.log(error_factor(Metric.TPOT, usual[0], (number + 0.5) / parts, usual[1]))
        found.append(math.exp(log * shares[log > 0]))
    return tuple(found)


def _measured(case: Case, setup: _Setup, today: int | None, *, simulate: bool) -> Measurement:
    from optimizer.performance.accuracy import band_source, grade_of

    inputs, spec = case.inputs, setup.spec
    factors = departures((grade_of(spec, inputs.params)[0], band_source(spec, inputs.params)))
    bills = _rising(len(factors), lambda number: _bill(case, spec, factors[number], simulate=simulate))
    saved = tuple(0 if bill is None or today is None else max(today - bill, 0) for bill in bills)
    if today is None:  # there is no bill to lower: what counts is that there may be one at all
        saved = tuple(0 if bill is None else 1 for bill in bills)
    return Measurement(setup.plan, setup.group, _node(case, spec), bills, saved, setup.in_first)


def _bill(case: Case, spec: ReplicaSpec, factor: float, *, simulate: bool) -> int | None:
    """The bill if the setup were measured and found so many times as slow as predicted."""
    from optimizer.performance.accuracy import ENOUGH_OWN, own_setup
    from optimizer.whatif.case import open_case

    inputs, setup, scope = case.inputs, own_setup(spec), ("slowdown", f"gpu:{spec.gpu.id}")
    params = inputs.params
    known = replace(
        params,
        values={**params.values, scope: params.values.get(scope, 1.0) * factor},
        own={**params.own, setup: ENOUGH_OWN},
        version=f"{params.version}, {setup} x {factor:.6f}",
    )
    asked = inputs.with_params(known)
    if len(inputs.problem.workloads) == 1 and not case.candidates.rules.mixed:  # of other setups the bills are known
        asked = asked.with_sets([f"hardware.gpus=[{spec.gpu.id}]", f"engine.weight_quant=[{spec.weight_quant}]"])
    found = open_case(asked, simulate=simulate, clock=case.clock).solve().solutions
    return found[0].monthly_cents if found else None


def _rising(count: int, bill: Callable[[int], int | None]) -> tuple[int | None, ...]:
    """Bills of ascending slowness, which never fall: where both ends agree nothing between them is asked."""
    known: dict[int, int | None] = {0: bill(0), count - 1: bill(count - 1)}

    def fill(low: int, high: int) -> None:
        if known[low] == known[high]:
            known.update(dict.fromkeys(range(low, high), known[low]))
        elif high - low > 1:
            middle = (low + high) // 2
            known[middle] = bill(middle)
            fill(low, middle)
            fill(middle, high)

    fill(0, count - 1)
    return tuple(known[number] for number in range(count))


def _node(case: Case, spec: ReplicaSpec) -> Rented | None:
    """The cheapest node by the hour, of those the problem allows, that holds a replica on the same links."""
    hours = case.inputs.problem.payment.hours_per_month
    rules = case.candidates.rules

    def holds(option: NodeOption) -> bool:
        node = option.node_type
        return (
            option.tier is Tier.ON_DEMAND
            and node.gpu.id == spec.gpu.id
            and node.gpus_per_node >= spec.gpus
            and option.from_nodes == 1
            and not rules.forbidden_by(option)
        )

    found = min(filter(holds, case.options), key=lambda one: (one.monthly_cents, one.key), default=None)
    if found is None:
        return None
    cents = round(found.monthly_cents / hours)
    return Rented(found.offer.provider, spec.gpu.id, found.node_type.gpus_per_node, cents)
