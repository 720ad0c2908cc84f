"""The ranked table: two lines a plan and a third for context, then the ledger of the first."""

from __future__ import annotations

import math
from collections.abc import Iterator

from optimizer.demand import Metric
from optimizer.plan.types import (
    Binding,
    Group,
    KeptPromise,
    NodeLine,
    Outcome,
    Plan,
    Prediction,
    Remainder,
    Stress,
)
from optimizer.problem import Figure, place_of
from optimizer.report.layout import BLANK, Block, Joined, Style
from optimizer.report.periods import fewer_replicas, followed, replayed
from optimizer.report.pools import pool_sentence
from optimizer.report.prices import dated, indicative
from optimizer.report.words import (
    cache_words,
    count,
    exact,
    gpu_name,
    interconnect_name,
    latency,
    latency_unit,
    metric_name,
    money,
    percent,
    plural,
    promise_of,
    quant_name,
    tier_name,
    two_digits,
    what_if,
)
from optimizer.units import SHARE_UNITS
from optimizer.vocabulary import Link, Role, Survive, Tier

_INDENT = "    "

_CLOSE = 0.1
"""A promise with less than this share of its limit left counts as binding."""


def ranked(outcome: Outcome) -> Iterator[Block]:
    """Every plan, best first."""
    for plan in outcome.plans:
        yield from _plan(plan, outcome)
        yield BLANK


def _plan(plan: Plan, outcome: Outcome) -> Iterator[Block]:
    single = len(plan.groups) == 1 and len(plan.nodes) == 1
    head = [f"#{plan.rank}  {money(plan.monthly_cents, plan.currency)}/mo{_indicative(plan)}", _hardware(plan)]
    head += [*(_setup(plan.groups[0]) if single else []), f"grade {plan.grade}"]
    yield Joined(tuple(head), joint="  ", hang=_INDENT, style=Style.STRONG)
    summary = [
        _headroom(plan, outcome),
        _binds(plan.binding, plan.groups[0].workload if single else ""),
        followed(plan),
    ]
    if single:
        yield from _quiet([*_flags(plan), *_promised(plan.predicted, outcome), replayed(plan), *summary])
        yield from _quiet([fewer_replicas(plan)])
        yield from _quiet([_source(plan.nodes[0]), *_context(plan)])
        return
    yield from _quiet([*_flags(plan), *summary, *_context(plan)])
    if text := pool_sentence(plan):
        yield from _quiet([text])
    for group, last in zip(plan.groups, _last_of_workload(plan.groups), strict=True):
        together = [*_promised(_of(group, plan.predicted), outcome), replayed(plan, group.workload)]
        together += [fewer_replicas(plan, group.workload)]
        if group.share == SHARE_UNITS and group.role is Role.SERVE:
            yield from _quiet([_group(group), *together])
            continue
        yield from _quiet([_group(group)])
        if last:
            yield from _quiet([f"{group.workload} together: {together[0]}", *together[1:]])
    for node in plan.nodes:
        yield from _quiet([f"get {node.count}x {node.gpus_per_node}-GPU node: {_source(node)}", _idle(node)])


def _quiet(parts: list[str]) -> Iterator[Block]:
    yield Joined(tuple(parts), indent=_INDENT, style=Style.QUIET)


def _hardware(plan: Plan) -> str:
    """``4x H200 SXM 141GB (1 node, 0 idle)``; several kinds are joined by ``+``."""
    kinds: dict[str, int] = {}
    for node in plan.nodes:
        kinds[node.gpu] = kinds.get(node.gpu, 0) + node.count * node.gpus_per_node
    nodes = sum(node.count for node in plan.nodes)
    idle = sum(node.idle_beside_spares for node in plan.nodes)
    spare = sum(node.spare for node in plan.nodes)
    inside = [plural(nodes, "node"), f"{idle} idle"] + ([f"{spare} spare"] if spare else [])
    return " + ".join(f"{number}x {gpu_name(gpu)}" for gpu, number in kinds.items()) + f" ({', '.join(inside)})"


def _indicative(plan: Plan) -> str:
    return f" {indicative(plan)}" if indicative(plan) else ""


def _setup(group: Group) -> list[str]:
    quant = f"{quant_name(group.weight_quant)}, {cache_words(group)}"
    return [quant, _parallel(group), interconnect_name(group.interconnect, group.link)]


def _parallel(group: Group) -> str:
    """``TP2 x 3``: three replicas, each split over two GPUs; ``TP2 PP2 x 1``: one on four GPUs."""
    across = " across nodes" if group.crosses_nodes else ""
    return f"{group.split} x {group.replicas:,}{across}"


def _group(group: Group) -> str:
    shares = [f"{percent(group.class_share)} of the requests"] if group.length_class else []
    shares += [] if group.share == SHARE_UNITS else [f"{percent(group.share / SHARE_UNITS)} of it"]
    share = f" ({', '.join(shares)})" if shares else ""
    gpus = group.gpus * group.replicas
    share += "" if group.role is Role.SERVE else f", {group.role} pool"
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
    link = ", link unverified (computed as PCIe)" if node.link is Link.UNVERIFIED else ""
    return f"{name}, {tier_name(node.tier, node.commitment_months)}, {dated(node)}{link}"


def _idle(node: NodeLine) -> str:
    told = [plural(node.spare, "node") + " spare"] if node.spare else []
    told += [plural(node.idle_beside_spares, "GPU") + " idle"] if node.idle_beside_spares else []
    return ", ".join(told)


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
    place = place_of(path)
    if isinstance(place, Figure) and place.is_promise:
        known = {"e2e_s": "E2E", "tokens_per_second_per_user": "tokens/s per user"}
        return f"{known[place.key]} {place.part}".strip() if place.key in known else place.label
    if place.section == "hardware.limits":
        return f"limit {place.key}"
    if place.section == "hardware.quota":
        return "quota"
    if place.section == "offers":
        return f"stock of {place.names[0]}"
    keys = place.keys[2:] if place.workload else place.keys
    return " ".join(keys).replace("_", " ")


_RULES = {
    "hardware.gpus": "cards asked for",
    "hardware.datacenter_licensed_only": "cards licensed for data centres",
    "hardware.nvlink": "NVLink as asked",
    "hardware.owned": "cards of your own",
    "hardware.quota": "quota",
    "hardware.limits.max_gpus": "most GPUs",
    "hardware.limits.max_nodes": "most nodes",
    "hardware.limits.max_power_kw": "most power",
    "hardware.limits.max_share_per_provider": "most of one provider",
    "hardware.limits.max_gpu_kinds": "most kinds of GPU",
    "budget.monthly": "budget",
    "offers.stock": "stock of the offers",
    "engine.weight_quant": "weight formats asked for",
    "engine.kv_cache": "KV cache formats asked for",
    "engine.tensor_parallel": "degrees of tensor parallel asked for",
    "engine.pipeline_parallel": "degrees of pipeline parallel asked for",
    "engine.attention_dp": "degrees of attention DP asked for",
    "engine.expert_parallel": "expert parallel as asked",
    "quality.min_recovery": "quality floor",
    "margins.confidence": "margin for model error",
}
"""What people call a rule that the funnel names by its key."""


def rule_words(rule: str) -> str:
    """A rule of the funnel in words: what it calls so already stays, a promise or limit has its name."""
    if rule in _RULES or "." not in rule:
        return _RULES.get(rule, rule)
    return promise_name(rule)


def _context(plan: Plan) -> list[str]:
    """Other providers, a spare node, what-ifs."""
    parts = []
    if plan.also:
        others = [f"{other.provider} {_gap(other.monthly_cents, plan.monthly_cents)}" for other in plan.also]
        parts.append(f"also: {', '.join(others)}")
    parts += _owed(plan)
    if plan.spare_node_cents and not any(node.spare for node in plan.nodes):
        parts.append(f"one spare node +{money(plan.spare_node_cents, plan.currency)}")
    if plan.without_a_node is not None:
        parts.append(f"any one node gone: {'holds' if plan.without_a_node else 'breaks a promise'}")
    if (sites := [one for one in plan.remainder if one.gone is Survive.SITE]) and all(one.holds for one in sites):
        stands = "; ".join(_standing(one) for one in sites)
        parts.append(f"any one site gone: holds ({stands})")
    parts += [
        f"{what_if(stress)}: {'holds' if stress.holds else f'fails{repaired(stress, plan)}'}" for stress in plan.stress
    ]
    return parts


def _standing(one: Remainder) -> str:
    """``chat 1 at runpod, 1 at verda``."""
    at = (f"{place.replicas:,} at {f'{place.provider} {place.region}'.strip()}" for place in one.places)
    return f"{one.workload} {', '.join(at)}"


def _owed(plan: Plan) -> list[str]:
    """What the signature binds to, where it binds to anything, and the tax that comes back."""
    now, upfront, by_month = plan.owed.now_cents, plan.owed.upfront_cents, plan.owed.by_month_cents
    parts = []
    if now:
        at_once = f", {money(upfront, plan.currency)} of it at once" if upfront else ""
        at_once = " and paid at once" if upfront == now else at_once
        middle = len(by_month) // 2
        left = f"; {money(by_month[middle - 1], plan.currency)} when leaving after {middle} months" if middle else ""
        parts.append(f"owed on signing {money(now, plan.currency)}{at_once}{left}")
    if plan.recoverable_tax_cents:
        parts.append(f"recoverable tax, in no total: {money(plan.recoverable_tax_cents, plan.currency)}/mo")
    return parts


def repaired(stress: Stress, plan: Plan) -> str:
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
