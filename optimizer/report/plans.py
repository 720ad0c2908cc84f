"""The ranked table: two lines a plan and a third for context, then the ledger of the first."""

from __future__ import annotations

import math
from collections.abc import Iterator

from optimizer.ledger import ApiComparison, CostLine, RentOrBuy
from optimizer.plan.types import Binding, Group, KeptPromise, NodeLine, Outcome, Plan, Prediction, Stress
from optimizer.report.layout import BLANK, WIDTH, Line, Style, columns, paragraph, segments
from optimizer.report.periods import followed
from optimizer.report.replayed import replayed
from optimizer.report.words import (
    count,
    exact,
    gpu_name,
    interconnect_name,
    kv_name,
    latency,
    latency_unit,
    metric_name,
    money,
    percent,
    plural,
    price,
    promise_of,
    quant_name,
    tier_name,
    two_digits,
    what_if,
)
from optimizer.units import SHARE_UNITS
from optimizer.vocabulary import Link, Tier
from optimizer.workload import Metric

_INDENT = "    "
_MONTH_HOURS = 730.0
"""Around the clock."""

_CLOSE = 0.1
"""A promise with less than this share of its limit left counts as binding."""


def ranked(outcome: Outcome) -> Iterator[Line]:
    """Every plan, best first."""
    for plan in outcome.plans:
        yield from _plan(plan, outcome)
        yield BLANK


def _plan(plan: Plan, outcome: Outcome) -> Iterator[Line]:
    single = len(plan.groups) == 1 and len(plan.nodes) == 1
    head = [f"#{plan.rank}  {money(plan.monthly_cents, plan.currency)}/mo", _hardware(plan)]
    head += [*(_setup(plan.groups[0]) if single else []), f"grade {plan.grade}"]
    for text in segments(head, joint="  ", hang=_INDENT):
        yield Line(text, Style.STRONG)
    summary = [
        _headroom(plan, outcome),
        _binds(plan.binding, plan.groups[0].workload if single else ""),
        followed(plan),
    ]
    if single:
        yield from _quiet([*_flags(plan), *_promised(plan.predicted, outcome), replayed(plan), *summary])
        yield from _quiet([_source(plan.nodes[0]), *_context(plan)])
        return
    yield from _quiet([*_flags(plan), *summary, *_context(plan)])
    for group, last in zip(plan.groups, _last_of_workload(plan.groups), strict=True):
        together = [*_promised(_of(group, plan.predicted), outcome), replayed(plan, group.workload)]
        if group.share == SHARE_UNITS:
            yield from _quiet([_group(group), *together])
            continue
        yield from _quiet([_group(group)])
        if last:
            yield from _quiet([f"{group.workload} together: {together[0]}", *together[1:]])
    for node in plan.nodes:
        yield from _quiet([f"get {node.count}x {node.gpus_per_node}-GPU node: {_source(node)}", _idle(node)])


def _quiet(parts: list[str]) -> Iterator[Line]:
    for text in segments(parts, indent=_INDENT):
        yield Line(text, Style.QUIET)


def _hardware(plan: Plan) -> str:
    """``4x H200 SXM 141GB (1 node, 0 idle)``; several kinds are joined by ``+``."""
    kinds: dict[str, int] = {}
    for node in plan.nodes:
        kinds[node.gpu] = kinds.get(node.gpu, 0) + node.count * node.gpus_per_node
    nodes = sum(node.count for node in plan.nodes)
    idle = sum(node.idle_gpus for node in plan.nodes)
    spare = sum(node.spare for node in plan.nodes)
    inside = [plural(nodes, "node"), f"{idle} idle"] + ([f"{spare} spare"] if spare else [])
    return " + ".join(f"{number}x {gpu_name(gpu)}" for gpu, number in kinds.items()) + f" ({', '.join(inside)})"


def _setup(group: Group) -> list[str]:
    quant = f"{quant_name(group.weight_quant)}, {kv_name(group.kv_cache)}"
    return [quant, _parallel(group), interconnect_name(group.interconnect, group.link)]


def _parallel(group: Group) -> str:
    """``TP2 x 3``: three replicas, each split over two GPUs; ``TP2 PP2 x 1``: one on four GPUs."""
    stages = f" PP{group.pipeline_parallel}" if group.pipeline_parallel > 1 else ""
    across = " across nodes" if group.crosses_nodes else ""
    return f"TP{group.tensor_parallel}{stages} x {group.replicas:,}{across}"


def _group(group: Group) -> str:
    shares = [f"{percent(group.class_share)} of the requests"] if group.length_class else []
    shares += [] if group.share == SHARE_UNITS else [f"{percent(group.share / SHARE_UNITS)} of it"]
    share = f" ({', '.join(shares)})" if shares else ""
    gpus = group.tensor_parallel * group.pipeline_parallel * group.replicas
    return f"{group.workload}{share}: {gpus}x {gpu_name(group.gpu)}, {', '.join(_setup(group))}"


def _last_of_workload(groups: tuple[Group, ...]) -> list[bool]:
    """Whether a group is the last that serves its workload."""
    later = [group.workload for group in groups[1:]] + [""]
    return [group.workload != after for group, after in zip(groups, later, strict=True)]


def _of(group: Group, predictions: tuple[Prediction, ...]) -> tuple[Prediction, ...]:
    return tuple(prediction for prediction in predictions if prediction.workload == group.workload)


def _flags(plan: Plan) -> list[str]:
    flags = [] if plan.proven else ["not proven"]
    if plan.tie_with is not None:
        flags.append(f"tie with #{plan.tie_with}")
    return flags


def _source(node: NodeLine) -> str:
    """Where to get it, how it is paid for and how old the price is."""
    if node.tier is Tier.OWNED:
        return f"your own {node.gpus_per_node}-GPU node"
    name = " ".join(part for part in (node.provider, node.region, node.instance_type) if part)
    dated = f"price of {node.price_date}" if node.price_date else node.price_source or "price without a date"
    link = ", link unverified (computed as PCIe)" if node.link is Link.UNVERIFIED else ""
    return f"{name}, {tier_name(node.tier, node.commitment_months)}, {dated}{link}"


def _idle(node: NodeLine) -> str:
    return plural(node.idle_gpus, "GPU") + " idle" if node.idle_gpus else ""


def _promised(predictions: tuple[Prediction, ...], outcome: Outcome) -> list[str]:
    several = len({prediction.workload for prediction in predictions}) > 1
    batch = {asked.workload for asked in outcome.asked if asked.hours_per_month is not None}
    parts = []
    for prediction in predictions:
        name = f"{prediction.workload} " if several else ""
        parts += [f"{name}{_kept(promise)}" for promise in prediction.promises]
        if prediction.workload not in batch:
            parts += [f"{name}{text}" for text in _unpromised(prediction)]
        if outcome.proof.objective == "maximize_load" or prediction.workload in batch:
            parts.append(f"{name}{_carries(prediction)}")
    return parts


def _unpromised(prediction: Prediction) -> list[str]:
    """TTFT and TPOT where the file promises nothing about them: p95 of the median estimate."""
    promised = {promise.metric for promise in prediction.promises}
    rest = ((Metric.TTFT, prediction.ttft_ms.p95), (Metric.TPOT, prediction.tpot_ms.p95))
    return [
        f"{metric_name(metric)} p95 {latency(value / 1e3)}"
        for metric, value in rest
        if metric not in promised and math.isfinite(value)
    ]


def _carries(prediction: Prediction) -> str:
    capacity = prediction.capacity
    return f"carries {count(capacity.concurrency)} in flight, {count(capacity.output_tokens_per_second)} tokens/s"


def _kept(promise: KeptPromise) -> str:
    """``TTFT p95 0.74 s [0.50-1.1] of 1 s``: median estimate, 90 % band, limit."""
    name = promise_of(promise.metric, promise.percentile, promise.length_class)
    if not math.isfinite(promise.estimate_s):
        return f"{name} without bound: the load is more than the plan carries"
    factor, unit = latency_unit(promise.limit_s, promise.estimate_s)
    low, high = two_digits(promise.low_s * factor), two_digits(promise.high_s * factor)
    text = f"{name} {two_digits(promise.estimate_s * factor)} {unit} [{low}-{high}]"
    return text if promise.limit_s is None else f"{text} of {exact(round(promise.limit_s * factor, 6))}"


def _headroom(plan: Plan, outcome: Outcome) -> str:
    """How much more load the plan carries before a promise breaks."""
    if outcome.proof.objective == "maximize_load":
        return ""
    more = plan.load_factor - 1
    if more >= 2:
        return f"carries {count(plan.load_factor)}x the load"
    return f"+{percent(more)} load" if more >= 0.0005 else "no load to spare"


def _binds(bindings: tuple[Binding, ...], alone: str) -> str:
    """The promises that the plan runs closest to; of a workload that is ``alone`` in it only the class is named."""
    if not bindings:
        return ""
    order = sorted(bindings, key=lambda binding: binding.slack)
    close = [binding for binding in order if binding.slack < _CLOSE][:3] or order[:1]
    names = []
    for binding in close:
        owner = (binding.length_class if alone else binding.workload) or ""
        name = f"{owner} {promise_name(binding.promise)}".strip()
        if name not in names:
            names.append(name)
    return f"binds: {', '.join(names)}"


def promise_name(path: str) -> str:
    """A YAML path in words: ``workloads.chat.slo.ttft_ms.p95`` -> ``TTFT p95``; a limit keeps its key."""
    before, found, after = path.partition(".slo.")
    if found:
        metric, _, percentile = after.partition(".")
        known = {
            "ttft_ms": "TTFT",
            "tpot_ms": "TPOT",
            "e2e_s": "E2E",
            "tokens_per_second_per_user": "tokens/s per user",
        }
        return f"{known.get(metric, metric)} {percentile}".strip()
    if before.startswith("hardware.limits."):
        return f"limit {before.rpartition('.')[2]}"
    if before.startswith("hardware.quota."):
        return "quota"
    if before.startswith("hardware.owned."):
        return "own nodes"
    if before.startswith("offers."):
        return f"stock of {before.split('.')[1]}"
    parts = before.split(".")
    return " ".join(parts[2:] if parts[0] == "workloads" and len(parts) > 2 else parts).replace("_", " ")


def _context(plan: Plan) -> list[str]:
    """Other providers, a spare node, what-ifs."""
    parts = []
    if plan.also:
        others = [f"{other.provider} {_gap(other.monthly_cents, plan.monthly_cents)}" for other in plan.also]
        parts.append(f"also: {', '.join(others)}")
    if plan.spare_node_cents and not any(node.spare for node in plan.nodes):
        parts.append(f"one spare node +{money(plan.spare_node_cents, plan.currency)}")
    parts += [
        f"{what_if(stress)}: {'holds' if stress.holds else f'fails{_repair(stress, plan)}'}" for stress in plan.stress
    ]
    return parts


def _repair(stress: Stress, plan: Plan) -> str:
    """What the best that stands a what-if costs or, where the load is the objective, carries."""
    if stress.monthly_cents is None:
        return ""
    if stress.load_factor is not None:
        return f" (then {percent(stress.load_factor / plan.load_factor)} of this load)"
    same = stress.monthly_cents == plan.monthly_cents
    return (
        " (another setup at the same price holds)"
        if same
        else f" (then {money(stress.monthly_cents, plan.currency)}/mo)"
    )


def _gap(cents: int, reference: int) -> str:
    if reference <= 0:
        return "more" if cents > 0 else "same"
    more = cents / reference - 1
    return "same price" if abs(more) < 0.005 else f"{'+' if more > 0 else ''}{percent(more)}"


def _quantity(line: CostLine, currency: str) -> str:
    """``730 hours x $27.60``."""
    plural_unit = line.quantity != 1 and line.unit.endswith(("hour", "month", "node"))
    return f"{count(line.quantity)} {line.unit}{'s' if plural_unit else ''} x {price(line.unit_price, currency)}"


def _running(outcome: Outcome) -> str:
    """When the load runs that the tokens are counted from."""
    if outcome.plans[0].periods:
        return "for the tokens made over all periods of the day profile"
    hours = {asked.load_hours for asked in outcome.asked} or {_MONTH_HOURS}
    if hours == {_MONTH_HOURS}:
        return "if the stated load runs around the clock"
    if len(hours) == 1:
        return f"if the stated load runs {count(hours.pop())} hours a month"
    each = ", ".join(f"{asked.workload} {count(asked.load_hours)}" for asked in outcome.asked)
    return f"if each stated load runs all its hours a month ({each})"


def single_kinds(outcome: Outcome) -> Iterator[Line]:
    """What the first plan saves against the best on each kind of GPU alone."""
    if not outcome.single_kinds:
        return
    plan = outcome.plans[0]
    yield Line(f"#{plan.rank} against one kind of GPU for all length classes", Style.HEADING)
    rows = []
    for one in outcome.single_kinds:
        if one.monthly_cents is None:
            rows.append((gpu_name(one.gpu), "", "", "cannot keep every promise alone"))
            continue
        saving = 1.0 - plan.monthly_cents / one.monthly_cents if one.monthly_cents else 0.0
        cost = f"{money(one.monthly_cents, plan.currency)}/mo"
        rows.append((gpu_name(one.gpu), f"{one.gpus:,}x", cost, f"#{plan.rank} saves {percent(saving)}"))
    yield from (Line(text) for text in columns(rows, "<>><"))
    yield BLANK


def ledger(outcome: Outcome) -> Iterator[Line]:
    """What the first plan costs, line by line, and what that leaves out."""
    plan = outcome.plans[0]
    yield Line(f"What #{plan.rank} costs a month", Style.HEADING)
    lines = [line for line in plan.cost_lines if line.monthly_cents]
    rows = [(line.name, _quantity(line, plan.currency), money(line.monthly_cents, plan.currency)) for line in lines]
    rows.append(("total", "", money(plan.monthly_cents, plan.currency)))
    figures = columns([row[1:] for row in rows], ">>", indent="")
    wide = min(max(len(row[0]) for row in rows), WIDTH - 4 - max(map(len, figures)))
    for row, figure in zip(rows, figures, strict=True):
        beside = row[0] if len(row[0]) <= wide else ""
        if not beside:
            yield Line(f"  {row[0]}")
        yield Line(f"  {beside:<{wide}}  {figure}")
    if plan.cost_per_million_output_tokens is not None:
        each = price(round(plan.cost_per_million_output_tokens, 2), plan.currency)
        for text in paragraph(f"{each} per million output tokens, {_running(outcome)}"):
            yield Line(text)
    for sentence in _long_run(plan):
        for text in paragraph(sentence, hang="    "):
            yield Line(text)
    if plan.excludes:
        for text in paragraph(f"not in the price: {', '.join(plan.excludes)}", hang="    "):
            yield Line(text)
    yield BLANK


def _long_run(plan: Plan) -> Iterator[str]:
    """Totals over years, cost per token at the mean load, renting against buying, the same tokens from an API."""
    run = plan.long_run
    if run is None:
        return
    spans = [f"{money(cents, plan.currency)} over {plural(years, 'year')}" for years, cents in run.totals]
    yield f"in all {', '.join(spans)}"
    if run.cost_per_million_at_mean_load is not None and run.mean_load < 1:
        each = price(round(run.cost_per_million_at_mean_load, 2), plan.currency)
        share = percent(run.mean_load)
        yield f"{each} per million output tokens where {share} of the stated load runs on average (payment.mean_load)"
    if run.rent_or_buy is not None:
        yield _rent_or_buy(run.rent_or_buy, plan.currency)
    if run.api is not None:
        yield _api(run.api, plan)


def _rent_or_buy(compared: RentOrBuy, currency: str) -> str:
    once, rent = money(compared.price_cents, currency), money(compared.rent_cents, currency)
    running = money(compared.running_cents, currency)
    when = "never pays off" if compared.months is None else f"is the cheaper way from month {compared.months} on"
    bought = ", ".join(dict.fromkeys(offer for offer, _ in compared.bought))
    rented = ", ".join(dict.fromkeys(f"{offer} ({tier})" for offer, tier in compared.rented))
    return f"buying ({bought}: {once} once, {running}/mo to run) {when}, against renting ({rented}: {rent}/mo)"


def _api(compared: ApiComparison, plan: Plan) -> str:
    text = f"an API at payment.api_price: {money(compared.monthly_cents, plan.currency)} a month for the stated load"
    if compared.break_even_share is None:
        return text
    if compared.break_even_share > plan.load_factor:
        return f"{text}; it is the cheaper one at any load that this plan carries"
    return f"{text}; this plan is the cheaper one from {percent(compared.break_even_share)} of it on"
