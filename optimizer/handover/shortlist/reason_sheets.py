"""Promises with bands; why the others lost; where every figure comes from; what could go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from optimizer.handover.shortlist.cells import Cell, Look, Sheet, money, number
from optimizer.handover.shortlist.plain_forms import hardware
from optimizer.pricing.terms import age_days
from optimizer.report.plans import promise_name, rule_words
from optimizer.report.seen import is_replayed, seen_by
from optimizer.report.words import gpu_name, promise_of, yaml_scalar
from optimizer.vocabulary import Evidence, Link, Tier

if TYPE_CHECKING:
    from optimizer.catalog.types import Price
    from optimizer.handover.shortlist.cells import PricedLine, ShortlistCase
    from optimizer.handover.shortlist.cost_sheet import PlanTotals, Say
    from optimizer.plan.types import Plan

_STALE_DAYS = 90
"""Half the age at which a price is no longer ranked: worth asking again."""

_TIGHT = 0.1


def promises_sheet(case: ShortlistCase, say: Say) -> Sheet:
    """Every promise of every plan: estimate, band, limit; load and capacity."""
    sheet = Sheet(say("Promises"), (7, 24, 14, 14, 14, 14, 14, 14, 16, 16, 16, 16, 9))
    sheet.title_row(say("Promises with their 90 % bands"))
    sheet.note(say("At the planned load: the median estimate, and what the replay of every request shows."))
    sheet.note(say("The band is around the latter where there is one; the true value lies in it in 9 of 10 cases."))
    sheet.gap()
    sheet.head(
        say("rank"),
        say("workload"),
        say("latency"),
        say("estimate, s"),
        say("replayed, s"),
        say("low, s"),
        say("high, s"),
        say("limit, s"),
        say("requests/s"),
        say("carries at most"),
        say("in flight"),
        say("carries at most"),
        say("grade"),
    )
    sheet.freeze(3)
    for plan in case.outcome.plans:
        for prediction in plan.predicted:
            load = (
                number(prediction.requests_per_second),
                number(prediction.capacity.requests_per_second),
                number(prediction.concurrency),
                number(prediction.capacity.concurrency),
                Cell(prediction.grade),
            )
            rank, replayed = Cell(plan.rank, Look.RANK), is_replayed(plan)
            for one in seen_by(plan, prediction):
                if one.estimate_s is None:
                    continue
                shown = one.value_s if replayed else None
                figures = (one.estimate_s, shown, one.low_s, one.high_s, one.limit_s)
                name = promise_of(one.metric, one.percentile, one.length_class)
                sheet.add(rank, prediction.workload, name, *(number(v, Look.RATE) for v in figures), *load)
            if not prediction.promises:
                sheet.add(rank, prediction.workload, say("none stated"), None, None, None, None, None, *load)
    return sheet


def why_not_sheet(case: ShortlistCase, totals: dict[int, PlanTotals], say: Say) -> Sheet:
    """The plans behind the first, and what every rule removed."""
    outcome = case.outcome
    sheet = Sheet(say("Why not"), (46, 14, 18, 18, 60))
    sheet.title_row(say("Why not the others"))
    sheet.gap()
    if len(outcome.plans) > 1:
        sheet.head(say("plan"), say("rank"), say("more per month"), say("in percent"), say("runs closest to"))
        best = outcome.plans[0]
        least = totals[best.rank].refs[0]
        for plan in outcome.plans[1:]:
            more = plan.monthly_cents - best.monthly_cents
            share = more / best.monthly_cents if best.monthly_cents else 0.0
            closest, cost = _closest(plan), totals[plan.rank].refs[0]
            sheet.add(
                hardware(plan),
                Cell(plan.rank, Look.RANK),
                money(more, f"{cost}-{least}"),
                Cell(share, Look.PERCENT, f"IF({least}=0,0,{cost}/{least}-1)"),
                say(closest),
            )
        sheet.gap()
    sheet.head(
        say("rule"),
        say("configurations left"),
        say("removed"),
        say("cheapest removed"),
        say("what would bring it back"),
    )
    before: int | None = None
    for step in outcome.funnel:
        removed = 0 if before is None else before - step.remaining
        cheapest = money(step.cheapest_removed_cents) if step.cheapest_removed_cents is not None else Cell("")
        sheet.add(say(rule_words(step.rule)), step.remaining, removed, cheapest, say(step.note))
        before = step.remaining
    if outcome.relaxations:
        sheet.gap()
        sheet.head(say("edit that makes it possible"), say("now"), say("then"), say("cost per month"))
        for way in outcome.relaxations:
            edits = [(way.change, way.before, way.after), *way.also]
            sheet.add(
                *(
                    "; ".join(part)
                    for part in zip(*((p, yaml_scalar(b), yaml_scalar(a)) for p, b, a in edits), strict=True)
                ),
                money(way.monthly_cents),
            )
    return sheet


def _closest(plan: Plan) -> str:
    """The promise or limit that a plan runs closest to, in words."""
    if not plan.binding:
        return ""
    one = plan.binding[0]
    name = promise_name(one.promise)
    return f"{one.workload}: {name}" if one.workload and len({group.workload for group in plan.groups}) > 1 else name


def _with_evidence(price: Price, say: Say) -> str:
    """Where a price comes from and how far it may be relied on."""
    kind = {Evidence.LIST: say("list price"), Evidence.INDICATIVE: say("indicative price")}.get(price.evidence)
    return f"{price.source}; {kind}" if kind and price.rankable else price.source


def sources_sheet(case: ShortlistCase, say: Say) -> Sheet:
    """Source and date of every figure."""
    sheet = Sheet(say("Sources"), (46, 22, 14, 12, 14, 12, 70))
    sheet.title_row(say("Sources with dates"))
    sheet.gap()
    sheet.head(
        say("price of"),
        say("payment"),
        say("amount"),
        say("currency"),
        say("price date"),
        say("age, days"),
        say("source"),
    )
    sheet.freeze(1)
    for option in case.options:
        price = option.price
        if price is None:
            sheet.add(option.offer.id, str(option.tier), None, None, None, None, say("your own"))
            continue
        age = Cell(age_days(price.date, case.terms.as_of), Look.COUNT) if price.date else Cell("")
        sheet.add(
            option.offer.id,
            str(option.tier),
            number(price.amount, Look.RATE),
            price.currency,
            price.date or "",
            age,
            _with_evidence(price, say),
        )
    sheet.note(f"{say('Ages are counted to')} {case.terms.as_of.isoformat()}.")
    sheet.gap()
    sheet.head(say("fact"), say("id"), "", "", "", "", say("source"))
    for label, name, source in _facts(case):
        sheet.add(say(label), name, None, None, None, None, source)
    return sheet


def _facts(case: ShortlistCase) -> Iterator[tuple[str, str, str]]:
    for currency in sorted({option.price.currency for option in case.options if option.price} - {case.terms.currency}):
        if currency in case.catalog.fx:
            rate = case.catalog.fx[currency]
            yield "exchange rate", currency, f"{rate.source} ({case.terms.exchange.date(currency) or rate.date})"
    seen: set[tuple[str, str]] = set()
    for plan in case.outcome.plans:
        for group in plan.groups:
            gpu, model = case.catalog.gpus[group.gpu], case.catalog.models.get(group.model)
            engine = case.catalog.engines.get(group.engine)
            facts = [("card", gpu.id, gpu.source)]
            facts += [("model", model.id, model.source)] if model else []
            facts += [("engine", engine.id, engine.source)] if engine else []
            for row in case.catalog.checkpoints.get((group.model, group.weight_quant), ()):
                facts.append(("checkpoint", row.checkpoint, row.source))
            for fact in facts:
                if fact[:2] not in seen:
                    seen.add(fact[:2])
                    yield fact
    yield "performance model", case.outcome.proof.performance_model, "catalogs/performance"


def risks_sheet(case: ShortlistCase, say: Say) -> Sheet:
    """What could go wrong, with which plans, and what to do about it."""
    sheet = Sheet(say("Risks"), (16, 34, 80, 52))
    sheet.title_row(say("Risks"))
    sheet.gap()
    sheet.head(say("plans"), say("risk"), say("why"), say("what to do"))
    sheet.freeze(2)
    ranks: dict[tuple[str, str, str], list[int]] = {}
    for plan in case.outcome.plans:
        for risk in dict.fromkeys(_risks(case, plan)):
            ranks.setdefault(risk, []).append(plan.rank)
    for (name, why, todo), concerned in ranks.items():
        which = say("all") if len(concerned) == len(case.outcome.plans) else ", ".join(f"#{rank}" for rank in concerned)
        sheet.add(which, say(name), say(why), say(todo))
    return sheet


def _risks(case: ShortlistCase, plan: Plan) -> Iterator[tuple[str, str, str]]:
    for prediction in plan.predicted:
        if prediction.grade != "A":
            for reason in prediction.grade_reasons or ("",):
                yield f"grade {prediction.grade}", reason, "run the acceptance test on one node before you sign"
        if prediction.upper_bound:
            yield "cost is an upper bound", prediction.workload, "techniques that are not modelled may make it cheaper"
    if plan.binding and plan.binding[0].slack < _TIGHT:
        why = f"{_closest(plan)}: {plan.binding[0].slack:.0%}"
        yield "little room left", why, "raise margins.load_headroom or negotiate the promise"
    if not any(node.spare for node in plan.nodes):
        yield "no node in reserve", "", "margins.spare_nodes: 1 prices one"
    for line in case.of(plan):
        yield from _offer_risks(case, line)
    for group in plan.groups:
        model = case.catalog.models.get(group.model)
        if model and model.licence:
            yield "licence of the model", f"{model.id}: {model.licence}", "have it read before production use"
        if (group.model, group.weight_quant) not in case.catalog.checkpoints:
            why = f"{group.model} {group.weight_quant}"
            yield "no published checkpoint is known", why, "quantise it yourself and measure its accuracy"
    yield "not in the price", "; ".join(plan.excludes), "add what you need to payment.extras_monthly"


def _offer_risks(case: ShortlistCase, line: PricedLine) -> Iterator[tuple[str, str, str]]:
    offer, gpu, price = line.option.offer, line.option.node_type.gpu, line.option.price
    if line.node.tier is Tier.SPOT:
        yield "spot", offer.id, "nodes can be taken away at any time; keep on-demand capacity beside them"
    if price and price.date and age_days(price.date, case.terms.as_of) > _STALE_DAYS:
        yield "old price", f"{offer.id}: {price.date}", "ask for a quote"
    if offer.valid_until:
        yield "quote expires", f"{offer.id}: {offer.valid_until}", "order or prolong before that day"
    if offer.link is Link.UNVERIFIED:
        yield "link between cards not stated", offer.id, "computed as PCIe; ask the provider"
    if gpu.export_note:
        yield (
            "export",
            f"{gpu_name(gpu.id)}: {gpu.export_note}",
            "have it checked for your country; this is no legal advice",
        )
    if not gpu.datacenter_licensed:
        yield "driver licence", gpu_name(gpu.id), "the GeForce driver licence excludes data centres"
    if gpu.memory_is_fallback or gpu.confidence == "low":
        yield "facts of the card are uncertain", gpu_name(gpu.id), "confirm memory and bandwidth on one node"
    if offer.lead_time_weeks:
        yield "delivery", f"{offer.id}: {offer.lead_time_weeks:g}", "weeks until delivery; plan a bridge"
