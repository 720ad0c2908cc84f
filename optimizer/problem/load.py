"""What a workload of a problem file means as load, promises and lengths (design section 3, "Load", "Percentiles").

The rate floors are requests per second: as stated; of users ``active x requests_per_user_per_hour / 3600``;
``output_tokens_per_second / mean output``; of batch work ``requests / within_hours / 3600``. The largest counts, never
the sum. Mean lengths are the nominal ones; clipping a lognormal at ``context_max`` lowers the mean a little, so the
load in tokens errs on the high side.

Users with a think time are a closed population: each sends the next request a think time after the answer to the last,
so N of them never have more than N requests in flight, and how many arrive depends on how fast a plan answers. Peak
factor, headroom and the factors of a day profile multiply N, nothing else.

The day profile: the periods that all workloads share, and the load of each workload in them.

What replicas may serve: a workload whole or, where it states length classes, one class of it.

A class served apart is a part of its own, with its own lengths, load and promises. Its share of the arrivals is its
``share``; of the requests in flight it has more the longer its answers are, as a request stays about as long as it is
being written (Little's law at one TPOT for all classes), so they are divided by share x mean output. Of a closed
population a class is served for the larger of the two shares: people ask for it as often as the one says and, where
hardly anybody thinks, wait for it as long as the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.demand import (
    Gap,
    Lengths,
    LengthShare,
    Load,
    Metric,
    Period,
    Promise,
    SessionLengths,
    SessionMeans,
    Slo,
    mean_gap,
    part_name,
)
from optimizer.length_histogram import histogram_of
from optimizer.problem.schema import (
    GapPercentiles,
    LengthClass,
    LengthDistribution,
    PercentileLimits,
    Problem,
    SloSection,
    Tokens,
    Traffic,
    Workload,
)
from optimizer.problem.session_lengths import session_lengths_of
from optimizer.units import seconds_to_us_down

if TYPE_CHECKING:
    from optimizer.problem.schema import ProblemFile, Traffic


SECONDS_PER_HOUR = 3600.0
_MS = 1e-3
_SPEED = "tokens_per_second_per_user"
_SLO_KEYS = ((Metric.TTFT, "ttft_ms", _MS), (Metric.TPOT, "tpot_ms", _MS), (Metric.E2E, "e2e_s", 1.0))
PERCENTILE_KEYS = (("p50", 50.0), ("p90", 90.0), ("p95", 95.0), ("p99", 99.0))
"""Keys of a limit that is stated at several percentiles."""


def lengths_of(workload: Workload) -> Lengths:
    """Token lengths of a workload; a length without ``p95`` is constant. Length classes are mixed by their shares. Of
    sessions the means over their turns; ``shared_prefix`` is what could be found of them."""
    tokens = workload.tokens
    if workload.sessions is not None:
        return _of_sessions(session_lengths_of(workload.sessions, workload.documents), tokens)
    mean = replace(_lengths(tokens, tokens), prefix_gap=prefix_gap_of(workload))
    if not tokens.classes:
        return mean
    total = sum(one.share for one in tokens.classes)
    mixed = tuple(LengthShare(one.name, one.share / total, _lengths(one, tokens)) for one in tokens.classes)
    return replace(mean, classes=mixed)


def _of_sessions(sessions: SessionLengths, tokens: Tokens) -> Lengths:
    means = session_means(sessions, tokens.context_max)
    return Lengths(
        input_mean=means.input,
        output_mean=means.output,
        context_max=tokens.context_max,
        shared_prefix=means.reachable,
        kv_sizing=tokens.kv_sizing,
        sessions=sessions,
    )


def session_means(sessions: SessionLengths, context_max: int) -> SessionMeans:
    """Means over the turns of sessions."""
    from optimizer.session_turns import means_of

    return means_of(sessions, context_max)


def sessions_of(workload: Workload) -> SessionMeans | None:
    """What the sessions of a workload come to; None: it states none."""
    if workload.sessions is None:
        return None
    return session_means(session_lengths_of(workload.sessions, workload.documents), workload.tokens.context_max)


def prefix_gap_of(workload: Workload) -> Gap | None:
    """How long after an answer the next request with the same prefix comes: stated, or the time that users think, where
    they alone make the load. None: that is not known, or of no account."""
    tokens, traffic = workload.tokens, workload.traffic
    if tokens.requests_per_prefix is None or tokens.shared_prefix == 0.0 or tokens.classes:
        return None
    if isinstance(tokens.prefix_gap_s, GapPercentiles):
        return Gap(p50_s=tokens.prefix_gap_s.p50, p90_s=tokens.prefix_gap_s.p90)
    if tokens.prefix_gap_s is not None:
        return Gap(mean_s=tokens.prefix_gap_s)
    think_s = population_of(workload)[1]
    alone = traffic.trace is None and traffic.concurrency is None and not rate_floors(workload)
    return Gap(mean_s=think_s) if think_s and alone else None


def _lengths(stated: Tokens | LengthClass, tokens: Tokens) -> Lengths:
    if isinstance(stated, Tokens) and stated.histogram:
        return _as_counted(stated)
    input_mean, input_p95 = mean_and_p95(stated.input)
    output_mean, output_p95 = mean_and_p95(stated.output)
    return Lengths(
        input_mean=input_mean,
        output_mean=output_mean,
        context_max=stated.context_max,
        input_p95=input_p95,
        output_p95=output_p95,
        shared_prefix=tokens.shared_prefix,
        requests_per_prefix=tokens.requests_per_prefix,
        kv_sizing=tokens.kv_sizing,
    )


def _as_counted(tokens: Tokens) -> Lengths:
    """Lengths of a histogram; where all requests are alike, those of one that states no histogram."""
    counted = histogram_of((row.input, row.output, row.share) for row in tokens.histogram)
    return Lengths(
        input_mean=counted.input_mean,
        output_mean=counted.output_mean,
        context_max=tokens.context_max,
        input_p95=counted.input_p95,
        output_p95=counted.output_p95,
        shared_prefix=tokens.shared_prefix,
        requests_per_prefix=tokens.requests_per_prefix,
        kv_sizing=tokens.kv_sizing,
        histogram=counted if len(counted.share) > 1 else None,
    )


def slo_of(workload: Workload) -> Slo:
    """Latency promises of a workload in seconds, each with the YAML path it was stated at.

    With length classes each class has its own: what it does not state is promised to it as to the whole workload.
    """
    if not workload.tokens.classes:
        return class_slo_of(workload, None)
    return Slo(
        tuple(
            replace(promise, length_class=one.name)
            for one in workload.tokens.classes
            for promise in class_slo_of(workload, one).promises
        )
    )


def class_slo_of(workload: Workload, length_class: LengthClass | None) -> Slo:
    """Promises to the requests of one length class; None: of a workload without classes."""
    base = f"workloads.{workload.name}"
    sections = [(workload.slo, f"{base}.slo")]
    if length_class is not None:
        sections.insert(0, (length_class.slo, f"{base}.tokens.classes.{length_class.name}.slo"))
    promises: list[Promise] = []
    for metric, key, unit in (*_SLO_KEYS, (Metric.TPOT, _SPEED, 1.0)):
        stated = next(((slo, path) for slo, path in sections if getattr(slo, key) is not None), None)
        if stated is not None:
            promises += _promises(*stated, metric, key, unit)
    return Slo(tuple(promises))


def _promises(slo: SloSection, base: str, metric: Metric, key: str, unit: float) -> list[Promise]:
    """Promises that one key states."""
    limit, path = getattr(slo, key), f"{base}.{key}"
    if key == _SPEED:
        return [Promise(metric, slo.percentile, _whole_us(1.0 / limit), path)]
    if not isinstance(limit, PercentileLimits):
        return [Promise(metric, slo.percentile, _whole_us(limit * unit), path)]
    stated = ((name, percentile, getattr(limit, name)) for name, percentile in PERCENTILE_KEYS)
    return [
        Promise(metric, percentile, _whole_us(value * unit), f"{path}.{name}")
        for name, percentile, value in stated
        if value is not None
    ]


def _whole_us(seconds: float) -> float:
    """A limit in whole microseconds, rounded down: what the fleet model compares, so that a point may lie on it."""
    return max(1, seconds_to_us_down(seconds)) / 1e6


def load_of(workload: Workload, problem: Problem) -> Load:
    """The load a plan must carry: the largest floor x peak factor x (1 + headroom), in the busiest period.

    Without any traffic (``maximize_load``) one request in flight is the unit.
    """
    traffic, base = workload.traffic, f"workloads.{workload.name}.traffic"
    scale = traffic.peak_factor * (1.0 + problem.margins.load_headroom) * peak_of(traffic)
    floors = rate_floors(workload)
    inflight, (users, think_s) = traffic.concurrency or 0.0, population_of(workload)
    if not floors and not inflight and not users:
        factors = factors_of(traffic, problem)
        return Load(0.0, scale, "objective", factors=factors, min_replicas=traffic.min_replicas)
    people = "concurrent_sessions" if traffic.concurrent_sessions is not None else "users"
    other = (people if users else "concurrency", 0.0)
    decided_by, rate = max(floors.items(), key=lambda floor: floor[1], default=other)
    return Load(
        requests_per_second=rate * scale,
        inflight=inflight * scale,
        decided_by=f"{base}.{decided_by}",
        hours_per_month=_batch_hours(traffic),
        factors=factors_of(traffic, problem),
        min_replicas=traffic.min_replicas,
        users=users * scale,
        think_s=think_s,
    )


def population_of(workload: Workload) -> tuple[float, float]:
    """People of a closed population as stated, and the seconds each thinks; zeros where none is stated. Of sessions
    these are users or sessions that are kept going, and the mean wait."""
    users = workload.traffic.users
    if workload.sessions is not None:
        people = workload.traffic.concurrent_sessions if users is None else users.active
        return (people, mean_gap(session_lengths_of(workload.sessions).gaps)) if people else (0.0, 0.0)
    if users is None or users.think_time_s is None:
        return 0.0, 0.0
    return users.active, users.think_time_s


def rate_floors(workload: Workload) -> dict[str, float]:
    """Requests per second that each stated key of ``traffic`` asks for, peak factor and headroom left out.

    A closed population asks for none: see ``population_of``.
    """
    traffic = workload.traffic
    floors: dict[str, float] = {}
    if traffic.requests_per_second is not None:
        floors["requests_per_second"] = traffic.requests_per_second
    means = sessions_of(workload)
    if traffic.sessions_per_second is not None and means is not None:
        floors["sessions_per_second"] = traffic.sessions_per_second * means.turns
    if traffic.users is not None and traffic.users.requests_per_user_per_hour is not None:
        floors["users"] = traffic.users.active * traffic.users.requests_per_user_per_hour / SECONDS_PER_HOUR
    if traffic.output_tokens_per_second is not None:
        output_mean, _ = mean_and_p95(workload.tokens.output)
        floors["output_tokens_per_second"] = traffic.output_tokens_per_second / output_mean
    if traffic.batch is not None:
        floors["batch"] = traffic.batch.requests / traffic.batch.within_hours / SECONDS_PER_HOUR
    return floors


def _batch_hours(traffic: Traffic) -> float | None:
    return None if traffic.batch is None else traffic.batch.within_hours * traffic.batch.runs_per_month


def mean_and_p95(length: float | LengthDistribution) -> tuple[float, float | None]:
    """Of a length in tokens; no 95th percentile where it is constant."""
    if isinstance(length, LengthDistribution):
        return length.mean, length.p95
    return length, None


HOURS_PER_DAY = 24.0


def periods_of(problem: ProblemFile) -> tuple[Period, ...]:
    """The periods of the problem's day profile, in file order; empty: the load never changes.

    Workloads with a profile state the same periods (checked when the file is read), so the first one counts.
    """
    profile = next((w.traffic.profile for w in problem.workloads if w.traffic.profile is not None), ())
    daily = problem.payment.hours_per_month / HOURS_PER_DAY
    return tuple(Period(one.name, one.hours_per_month, one.starts_per_month or daily) for one in profile)


def peak_of(traffic: Traffic) -> float:
    """The largest factor of a profile; 1 without one."""
    return 1.0 if traffic.profile is None else max(period.factor for period in traffic.profile)


def stated_factor(traffic: Traffic, period: int) -> float:
    """What the stated load is multiplied by in a period; 1 without a profile."""
    return 1.0 if traffic.profile is None else traffic.profile[period].factor


def factors_of(traffic: Traffic, problem: ProblemFile) -> tuple[float, ...]:
    """The load in each period against the busiest; a workload without a profile runs all its load in all of them."""
    if traffic.profile is None:
        return (1.0,) * len(periods_of(problem))
    peak = peak_of(traffic)
    return tuple(period.factor / peak for period in traffic.profile)


@dataclass(frozen=True, slots=True)
class Part:
    """A whole workload, or one of its length classes."""

    name: str  # of the workload; of a class ``workload/class``
    workload: Workload
    length_class: str  # empty: the whole workload
    share: float  # of the workload's requests
    lengths: Lengths
    slo: Slo
    load: Load
    whole: int | None  # of a class: index of the part that is its whole workload

    @property
    def can_be_split(self) -> bool:
        """Whether its classes may be served apart instead."""
        return self.whole is None and is_split(self.workload)


def is_split(workload: Workload) -> bool:
    """Whether the classes of a workload may be served apart."""
    return workload.tokens.split_classes and len(workload.tokens.classes) > 1


def parts_of(problem: Problem) -> tuple[Part, ...]:
    """Every part that replicas may serve: each workload whole, followed by its classes where it may be split."""
    parts: list[Part] = []
    for workload in problem.workloads:
        whole = Part(
            name=workload.name,
            workload=workload,
            length_class="",
            share=1.0,
            lengths=lengths_of(workload),
            slo=slo_of(workload),
            load=load_of(workload, problem),
            whole=None,
        )
        index = len(parts)
        parts.append(whole)
        if whole.can_be_split:
            parts += [_class_part(whole, index, number) for number in range(len(whole.lengths.classes))]
    return tuple(parts)


def _class_part(whole: Part, index: int, number: int) -> Part:
    of_class = whole.lengths.classes[number]
    written = sum(one.share * one.lengths.output_mean for one in whole.lengths.classes)
    resident = of_class.share * of_class.lengths.output_mean / written
    return Part(
        name=part_name(whole.name, of_class.name),
        workload=whole.workload,
        length_class=of_class.name,
        share=of_class.share,
        lengths=of_class.lengths,
        slo=class_slo_of(whole.workload, whole.workload.tokens.classes[number]),
        load=replace(
            whole.load,
            requests_per_second=whole.load.requests_per_second * of_class.share,
            inflight=whole.load.inflight * resident,
            users=whole.load.users * max(of_class.share, resident),
        ),
        whole=index,
    )
