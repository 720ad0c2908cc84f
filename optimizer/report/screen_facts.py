"""The facts around the table of the first screen: what was asked, what holds the answer up, what to do next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from optimizer.plan.types import Asked, Binding, Demand, Outcome, Plan, ReplayedPromise
from optimizer.problem import Figure, place_of, session_means
from optimizer.report.api import never
from optimizer.report.bill import fractions
from optimizer.report.layout import Style
from optimizer.report.periods import asked_profile, fewer_replicas, followed, replayed_name, replayed_unit
from optimizer.report.plans import promise_name, repaired
from optimizer.report.pools import pool_sentence
from optimizer.report.prefixes import prefix_lines
from optimizer.report.quotes import verdict_of
from optimizer.report.screen_table import Row, one_gone
from optimizer.report.screen_words import Fact, between, hardware, joined, short_gpu, short_model, some, stated_load
from optimizer.report.seen import SeenLatency, is_replayed, seen
from optimizer.report.serve_commands import has_to_be_made
from optimizer.report.verdicts import GRADE_MEANS, SUPERLATIVE
from optimizer.report.words import (
    count,
    exact,
    limit,
    metric_name,
    money,
    percent,
    percentile_name,
    plural,
    price,
    quant_name,
)
from optimizer.units import significant

_WORKLOADS = 3
"""Workloads whose question is written out."""

_WARNINGS = 2
_CLOSE = 0.1
"""A promise or limit with less than this share of it left counts as binding."""

_PERIOD_MONTH = 730.0
_KEPT = "plan.json"


def asked(outcome: Outcome, workloads: int = _WORKLOADS) -> Iterator[Fact]:
    """Load, lengths and promises of each workload, at most so many, the volume, the rules, the warnings."""
    whole = [one for one in outcome.asked if not one.length_class]
    demand = {one.workload: one for one in outcome.demand}
    several = len(whole) > 1
    for number, one in enumerate(whole[:workloads]):
        name = f"{one.workload} ({short_model(one.model)}): " if several else ""
        yield Fact("asked", f"{name}{_asked(one, demand.get(one.workload))}", 9)
        yield Fact("promise", f"{_promises(one)}{_confidence(outcome) if number == 0 else ''}", 8)
    if len(whole) > workloads:
        yield Fact("", f"and {plural(len(whole) - workloads, 'more workload')} (--full)", 9)
    if outcome.plans and (text := _volume(outcome)):
        yield Fact("volume", text, 5)
    yield Fact("rules", "; ".join(outcome.rules) or "none beyond the defaults", 6)
    for warning in outcome.warnings[:_WARNINGS]:
        yield Fact("warning", warning, 7, 2, Style.CAUTION)
    if len(outcome.warnings) > _WARNINGS:
        yield Fact("", f"and {plural(len(outcome.warnings) - _WARNINGS, 'more warning')} (--full)", 7, 1, Style.CAUTION)


def _asked(one: Asked, demand: Demand | None) -> str:
    load = joined(stated_load(one)) or "as much as fits"
    if one.hours_per_month is not None:
        load += f", {count(one.hours_per_month)} hours a month"
    factors = [] if demand is None or demand.peak_by == 1 else [f"x {exact(round(demand.peak_by, 6))} at the peak"]
    if demand is not None and demand.headroom:
        factors.append(f"x {exact(round(1 + demand.headroom, 6))} headroom")
    if profile := asked_profile(one):
        factors.append(profile)
    return f"{', '.join([load, *factors])}; {_lengths(one)}"


def _lengths(one: Asked) -> str:
    if one.classes:
        parts = [
            f"{c.name} {percent(c.share)} {exact(c.lengths.input_mean)} in + {exact(c.lengths.output_mean)} out"
            for c in one.classes
        ]
        return ", ".join(parts) if len(parts) <= 3 else f"{len(parts)} length classes"
    if one.stated.lengths.sessions is not None:
        turns = session_means(one.stated.lengths.sessions, one.context_max).turns
        lengths = f"{exact(one.input_tokens)} in + {exact(one.output_tokens)} out a turn"
        return f"sessions of {turns:.3g} turns, {lengths}, at most {one.context_max:,} together"
    means = [_length(one.input_tokens, one.input_p95, "in"), _length(one.output_tokens, one.output_p95, "out")]
    counted = ", as counted" if one.stated.lengths.histogram is not None else ""
    return f"{' + '.join(means)}{counted}, at most {one.context_max:,} together"


def _length(mean: float, p95: float | None, what: str) -> str:
    return f"{exact(round(mean, 6))} {what}" + (f" (p95 {exact(p95)})" if p95 is not None else "")


def _promises(one: Asked) -> str:
    said: dict[str, list[str]] = {}
    for promise in one.promises:
        text = f"{metric_name(promise.metric)} {percentile_name(promise.percentile)} {limit(promise.limit_s)}"
        said.setdefault(text, []).append(promise.length_class)
    everyone = [c.name for c in one.classes]
    parts = [
        text if names in (everyone, [""]) else f"{' and '.join(names)} {text}".strip() for text, names in said.items()
    ]
    if one.min_recovery is not None:
        parts.append(f"quality {percent(one.min_recovery)} of the model as published")
    return ", ".join(parts) or "none on latency: only throughput counts"


def _confidence(outcome: Outcome) -> str:
    if outcome.confidence <= 0.5:
        return "; no margin"
    return f"; margin for {exact(round(outcome.confidence * 100, 6))} % of model errors"


def _volume(outcome: Outcome) -> str:
    plan = outcome.plans[0]
    costs = plan.unit_costs
    made = 0.0 if costs is None else costs.expected_output_tokens_per_month
    if costs is None or not math.isfinite(made) or made <= 0:
        return ""
    text = f"{count(made / 1e6)} million output tokens a month"
    run = plan.long_run
    if run is not None and run.mean_load != 1:
        text += f" ({percent(run.mean_load)} of the stated load: payment.mean_load)"
    elif not plan.periods and {one.load_hours for one in outcome.asked} == {_PERIOD_MONTH}:
        text += ", if the stated load runs around the clock"
    each = [(costs.per_request, "a request"), (costs.per_user_month, "a user")]
    known = [f"{price(fractions(cost), plan.currency)} {unit}" for cost, unit in each if cost is not None]
    return f"{text}; {', '.join(known)}" if known else text


def held_up(outcome: Outcome, rows: Sequence[Row]) -> Iterator[Fact]:
    """Below the table: what binds, how far to trust it, what the price rests on, the other ways, the proof."""
    plan = outcome.plans[0]
    if text := followed(plan):
        yield Fact("day", text, 6)
    if text := _binds(plan):
        yield Fact("binds", text, 7, 3)
    yield from (Fact("pools", text, 6, 2) for text in [pool_sentence(plan)] if text)
    yield Fact("trust", _trust(plan), 7, 3)
    yield from (Fact("weights", text, 5) for text in _to_quantize(plan))
    yield from (Fact("prefix", text, 6, 3) for text in prefix_lines(outcome, plan))
    if plan.stress:
        yield Fact("what if", "; ".join(_stress(plan)), 4)
    if text := _reserve(plan):
        yield Fact("spare", text, 4 if any(node.spare for node in plan.nodes) else 3, 1)
    if text := _price(outcome):
        yield Fact("price", text, 7, 3)
    if text := _stock(outcome):
        yield Fact("stock", text, 3)
    for number, text in enumerate(_quotes(outcome)):
        yield Fact("" if number else "quotes", text, 6, 3)
    if text := _elsewhere(outcome, rows):
        yield Fact("leverage", text, 5)
    if text := _alone(outcome):
        yield Fact("alone", text, 5)
    if text := _api(plan):
        yield Fact("API", text, 6 if never(plan) else 4)  # that renting tokens is cheaper is not left out for room
    if outcome.unpriced:
        one = outcome.unpriced[0]
        ask = "" if one.ask_below_cents is None else f" below {money(one.ask_below_cents, outcome.currency)} a month"
        yield Fact("ask for", f"{one.gpus_per_node}x {short_gpu(one.gpu)}: nobody prices it; a node wins{ask}", 3)
    if plan.excludes:
        yield Fact("not in", ", ".join(plan.excludes), 5)
    yield Fact("proven" if plan.proven else "proof", _proof(outcome), 7, 3)
    yield Fact("confirm", _confirm(plan), 6)


def _to_quantize(plan: Plan) -> Iterator[str]:
    """Formats of the plan that the buyer has to make, as nobody is known to publish them."""
    names = dict.fromkeys(quant_name(group.weight_quant) for group in plan.groups if has_to_be_made(group))
    if names:
        yield f"{joined(names)} {'is' if len(names) == 1 else 'are'} yours to make: no published checkpoint is known"


def _binds(plan: Plan) -> str:
    """What the plan runs closest to: promises as replayed where they were, and the limits of the file."""
    order = sorted(plan.binding, key=lambda binding: binding.slack)
    if plan.simulated:
        order = [binding for binding in order if binding.workload is None]
    close = [binding for binding in order if binding.slack < _CLOSE]
    every = (promise for one in plan.simulated for promise in one.promises)
    replays = sorted(every, key=lambda promise: -promise.with_margin_s / promise.limit_s)
    near = [promise for promise in replays if promise.with_margin_s / promise.limit_s > 1 - _CLOSE]
    loose = not close and not near
    close = close or ([] if near else order[:1] if not replays else [])
    near = near or ([] if close else replays[:1])
    promises = list(
        dict.fromkeys(
            [_replayed(one) for one in near] + [_binding(one, plan.currency) for one in close if one.workload]
        )
    )
    limits = list(dict.fromkeys(_binding(one, plan.currency) for one in close if one.workload is None))
    margin = [f"{'; '.join(promises[:2])}, error margin included"] if promises else []
    told = [*margin, *limits[:2]]
    if loose and told:
        told[0] = f"nothing closely: nearest is {told[0]}"
    return "; ".join(part for part in (*told, fewer_replicas(plan)) if part)


def _replayed(promise: ReplayedPromise) -> str:
    factor, unit = replayed_unit(promise, promise.with_margin_s)
    value, most = exact(significant(promise.with_margin_s * factor, 3)), exact(round(promise.limit_s * factor, 6))
    return f"{replayed_name(promise)} {value} of {most} {unit}"


def _binding(one: Binding, currency: str) -> str:
    several = one.workload or ""
    owner = one.length_class or ("" if "/" not in several else several.partition("/")[2])
    speed = one.unit == "ms" and isinstance(place := place_of(one.promise), Figure) and place.is_speed
    name = f"{owner} {'TPOT, for ' if speed else ''}{promise_name(one.promise)}".strip()
    value = round(one.value) if one.unit == currency else significant(one.value, 3)  # money as everywhere else
    return f"{name} {exact(value)} of {exact(round(one.limit, 6))} {one.unit}"


def _trust(plan: Plan) -> str:
    reasons = list(dict.fromkeys(reason for one in plan.predicted for reason in one.grade_reasons))
    means = reasons[0] if reasons else GRADE_MEANS.get(plan.grade, "")
    closest = max((one for one in seen(plan) if one.limit_s is not None), key=lambda one: one.closeness, default=None)
    text = f"grade {plan.grade}: {means}"
    if closest is not None and closest.band():
        text = f"{_banded(closest, plan)}; {text}"
    if any(one.upper_bound for one in plan.predicted):
        text += "; its cost is an upper bound"
    return text


def _banded(one: SeenLatency, plan: Plan) -> str:
    whose = f"{one.workload} " if len({other.workload for other in plan.predicted}) > 1 else ""
    return f"{whose}{one.title} {one.value()}, 9 in 10 between {one.band().replace('-', ' and ')}"


def _stress(plan: Plan) -> Iterator[str]:
    for one in plan.stress:
        yield f"{one.what}: {'holds' if one.holds else f'fails{repaired(one, plan)}'}"


def _reserve(plan: Plan) -> str:
    spare = sum(node.spare for node in plan.nodes)
    if spare:
        cents = sum(node.spare_cents for node in plan.nodes)
        of = sum(node.count for node in plan.nodes)
        return f"{plural(spare, 'node')} of {of} kept in reserve: {money(cents, plan.currency)} a month"
    if not plan.spare_node_cents or plan.price_evidence is None:
        return ""
    return f"one more node costs {money(plan.spare_node_cents, plan.currency)} a month"


def _price(outcome: Outcome) -> str:
    plan, others = outcome.plans[0], outcome.others
    dated = [node for node in plan.nodes if node.price_date is not None]
    if not dated or plan.price_evidence is None:
        return ""
    names = list(dict.fromkeys(f"{node.provider}, {node.price_date}" for node in dated))
    text = f"{plan.price_evidence} ({some(names, 2, 'price')})"
    if plan.expires is not None:
        text += f", may rank until {plan.expires}"
    if others.at_list is not None and others.at_list.plan is None:
        text += "; at list prices alone nothing keeps every promise"
    return text


def _stock(outcome: Outcome) -> str:
    """What was seen of the stock of the plans of the table that are known for it."""
    listed = outcome.others.at_list
    notes = [*outcome.plans[0].stock_notes, *(listed.stock_notes if listed is not None else ())]
    return "; ".join(dict.fromkeys(notes))


def _elsewhere(outcome: Outcome, rows: Sequence[Row]) -> str:
    """The same setup at other sellers, where no row of the table says it."""
    plan = outcome.plans[0]
    told = {row.plan.monthly_cents for row in rows}
    parts = [
        f"{one.provider} {money(one.monthly_cents, plan.currency)}"
        for one in plan.also
        if one.monthly_cents not in told
    ]
    return f"the same setup elsewhere: {some(parts, 3, 'seller', ', ')} a month" if parts else ""


def _confirm(plan: Plan) -> str:
    """What to measure before signing."""
    if plan.has_pools:
        return "before you sign, load both pools through their router: optimize launch writes the benchmark"
    group = plan.groups[0]
    which = "one replica" if len(plan.groups) == 1 else "one replica of each kind"
    size = f" ({group.gpus}x {short_gpu(group.gpu)})" if len(plan.groups) == 1 else ""
    return f"before you sign, load {which}{size}: optimize launch writes the benchmark"


def _quotes(outcome: Outcome) -> list[str]:
    told = [f"{one.offer_id}: {verdict_of(one, outcome)}" for one in outcome.quotes[:2]]
    rest = len(outcome.quotes) - len(told)
    return told + ([f"and {plural(rest, 'more quote')} (--full)"] if rest > 0 else [])


def _alone(outcome: Outcome) -> str:
    plan = outcome.plans[0]
    parts = []
    for one in outcome.single_kinds:
        cost = "not at all" if one.monthly_cents is None else money(one.monthly_cents, plan.currency)
        parts.append(f"{short_gpu(one.gpu)} {cost}")
    return f"one kind of GPU for everything: {', '.join(parts)}" if parts else ""


def _api(plan: Plan) -> str:
    run = plan.long_run
    if run is None or run.api is None:
        return ""
    api, parts = run.api, []
    if api.low_cents is not None and api.high_cents is not None:
        low, high = (money(cents, plan.currency) for cents in (api.low_cents, api.high_cents))
        parts.append(f"the same volume by the token: {low if low == high else f'{low} to {high}'} a month")
    if api.own_cents is not None:
        parts.append(f"at payment.api_price {money(api.own_cents, plan.currency)} a month")
    if parts and api.break_even_share is not None:
        share = api.break_even_share
        where = f"{percent(share)} of" if share < 1 else f"{count(share)} times"
        parts.append(
            "this plan never pays, even full" if never(plan) else f"this plan pays from {where} that volume on"
        )
    return "; ".join(parts)


def _proof(outcome: Outcome) -> str:
    proof, plan = outcome.proof, outcome.plans[0]
    if plan.proven:
        head = "as replayed under" if is_replayed(plan) else "under"
        text = f"{head} performance model {proof.performance_model}"
    else:
        gap = "an unknown gap" if proof.gap is None else f"at most {percent(proof.gap)}"
        text = f"{gap} from the best possible under performance model {proof.performance_model}"
    if outcome.seal is not None:
        text += f"; recheck without solver: optimize verify {_KEPT} (of -o {_KEPT})"
    text += f"; {proof.candidates_feasible:,} of {proof.candidates_enumerated:,} setups keep every promise"
    if proof.replay_rejected:
        text += f", {proof.replay_rejected:,} refused by replay"
    if proof.prices_from is not None and proof.prices_to is not None:
        text += f"; prices {between(proof.prices_from, proof.prices_to)}"
    return text


def sentence(outcome: Outcome) -> tuple[str, ...]:
    """The answer in one sentence: money, load, model, hardware, claim; then what a node that is gone does to it."""
    plan = outcome.plans[0]
    kind = " (indicative price)" if plan.price_evidence == "indicative" else ""
    cost = f"{money(plan.monthly_cents, plan.currency)} a month{kind}"
    text = (cost, " ", _serves(outcome), ": ", hardware(plan), ", ", _formats(plan), "; ", _claim(outcome), ".")
    return (*text, " ", said) if (said := _ONE_GONE.get(one_gone(plan))) else text


_ONE_GONE = {
    "holds": "It goes on with any one node gone.",
    "spare": "One node gone stops it until a spare one runs.",
    "breaks": "One node gone breaks a promise.",
    "stops": "One node gone stops it.",
}
"""How the sentence ends, by the word of the table."""


def _serves(outcome: Outcome) -> str:
    whole = [one for one in outcome.asked if not one.length_class]
    if len(whole) > _WORKLOADS:
        return f"serves {plural(len(whole), 'workload')}"
    if len(whole) != 1:
        return f"serves {joined(_named(one) for one in whole)}"
    one, plan = whole[0], outcome.plans[0]
    if outcome.proof.objective == "maximize_load":
        return f"carries {_carried(outcome, plan)} of {short_model(one.model)}"
    load = stated_load(one)
    return f"serves {load[0]} of {short_model(one.model)}" if load else f"serves {short_model(one.model)}"


def _named(one: Asked) -> str:
    load = stated_load(one)
    return f"{one.workload} ({load[0]})" if load else one.workload


def _carried(outcome: Outcome, plan: Plan) -> str:
    whole = [one.capacity for one in plan.predicted if not one.length_class]
    if len(whole) != 1:
        return f"{count(plan.load_factor)} times the stated load"
    if whole[0].users is not None:
        return f"{count(whole[0].users)} users"
    return f"{count(whole[0].concurrency)} requests in flight"


def _formats(plan: Plan) -> str:
    return " + ".join(dict.fromkeys(quant_name(group.weight_quant) for group in plan.groups))


def _claim(outcome: Outcome) -> str:
    proof, plan = outcome.proof, outcome.plans[0]
    best = SUPERLATIVE.get(proof.objective, f"best by {proof.objective}")
    setups = f"of {plural(proof.candidates_enumerated, 'setup')}"
    how = "" if is_replayed(plan) else "; latencies are estimated, not replayed"
    return f"{best} {setups} (proven){how}" if plan.proven else f"{best} found so far {setups} (not proven){how}"
