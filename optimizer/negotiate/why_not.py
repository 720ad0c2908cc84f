"""Why not this card, provider or configuration: what it breaks and by how much, or what it costs more and where.

What somebody would rather have: words such as ``"a100_sxm_80 int4 tp2"``, and what they stand for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.errors import Finding, UsageError
from optimizer.negotiate.plan_file import Asked, answer_to, inputs_of, replays
from optimizer.plan.types import Relaxation
from optimizer.pricing import RuleName
from optimizer.progress import Clock, Say, silent
from optimizer.whatif.case import Goal, Winner, goal_of, near

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.catalog.types import Catalog, Gpu
    from optimizer.fleet.types import Edit
    from optimizer.plan.types import Plan
    from optimizer.planning.inputs import Inputs
    from optimizer.pricing import NodeOption
    from optimizer.problem import Problem
    from optimizer.whatif.case import Case


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for; what is left empty may be anything."""

    text: str
    gpus: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()
    quants: frozenset[str] = frozenset()
    kv_caches: frozenset[str] = frozenset()
    tensor_parallel: frozenset[int] = frozenset()
    pipeline_parallel: frozenset[int] = frozenset()
    attention_dp: frozenset[int] = frozenset()
    expert_parallel: frozenset[int] = frozenset()
    tiers: frozenset[str] = frozenset()
    offers: frozenset[str] = frozenset()

    def candidate(self, one: Candidate) -> bool:
        """Whether a configuration is what was asked for."""
        spec = one.spec
        return (
            _is_in(spec.gpu.id, self.gpus)
            and _is_in(spec.weight_quant, self.quants)
            and _is_in(spec.kv_cache, self.kv_caches)
            and _is_in(spec.tensor_parallel, self.tensor_parallel)
            and _is_in(spec.pipeline_parallel, self.pipeline_parallel)
            and _is_in(spec.attention_dp, self.attention_dp)
            and _is_in(spec.expert_parallel, self.expert_parallel)
        )

    def option(self, one: NodeOption) -> bool:
        """Whether nodes are what was asked for."""
        return (
            _is_in(one.offer.provider, self.providers)
            and _is_in(str(one.tier), self.tiers)
            and _is_in(one.offer.id, self.offers)
        )


def parse(inputs: Inputs, text: str) -> Wish:
    """The wish that words mean. Raises ``UsageError`` with a suggestion for a word nobody knows."""
    from optimizer.problem import KV_CACHES, WEIGHT_QUANT_ALIASES, WEIGHT_QUANTS
    from optimizer.vocabulary import Tier

    if not text.strip():
        raise UsageError([Finding("nothing is asked for", hint='e.g. --why-not "a100_sxm_80 int4 tp2", or a provider')])
    catalog, problem = inputs.catalog, inputs.problem
    quants = {quant: quant for quant in WEIGHT_QUANTS if quant != "native"} | dict(WEIGHT_QUANT_ALIASES)
    caches = {f"kv-{cache}": cache for cache in KV_CACHES} | {f"kv_{cache}": cache for cache in KV_CACHES}
    providers = {offer.provider for offer in catalog.offers.values()} | {quote.provider for quote in problem.offers}
    known: dict[str, Collection[str]] = {
        "gpus": list(catalog.gpus),
        "providers": providers,
        "tiers": [str(tier) for tier in Tier],
        "offers": [*catalog.offers, *(quote.id for quote in problem.offers)],
    }
    found: dict[str, set[str]] = {key: set() for key in (*known, "quants", "kv_caches", "tp", "pp", "dp", "ep")}
    for word in re.split(r"[\s,;|]+", text.strip().lower()):
        size = re.fullmatch(r"(tp|pp|dp|ep)[=:]?(\d+)", word)
        kind = next((key for key, names in known.items() if word in {name.lower() for name in names}), None)
        if size:
            found[size[1]].add(size[2])
        elif kind:
            found[kind].add(next(name for name in known[kind] if name.lower() == word))
        elif word in quants:
            found["quants"].add(quants[word])
        elif word in caches:
            found["kv_caches"].add(caches[word])
        else:
            names = [*catalog.gpus, *sorted(providers), *quants, "tp2", "pp2", "kv-fp8"]
            found["gpus"] = _narrowed(found["gpus"], _guessed_gpus(word, catalog.gpus, names))
    return Wish(
        text=text.strip(),
        gpus=frozenset(found["gpus"]),
        providers=frozenset(found["providers"]),
        quants=frozenset(found["quants"]),
        kv_caches=frozenset(found["kv_caches"]),
        tensor_parallel=frozenset(int(size) for size in found["tp"]),
        pipeline_parallel=frozenset(int(size) for size in found["pp"]),
        attention_dp=frozenset(int(size) for size in found["dp"]),
        expert_parallel=frozenset(int(size) for size in found["ep"]),
        tiers=frozenset(found["tiers"]),
        offers=frozenset(found["offers"]),
    )


def _guessed_gpus(word: str, gpus: Collection[str], known: Sequence[str]) -> set[str]:
    """``h100`` stands for every card whose id has that part, ``80gb`` for every card of that size."""
    part = re.sub(r"^(\d+)gb$", r"\1", word)
    matches = {gpu for gpu in gpus if part and (part in gpu.split("_") or gpu.startswith(f"{part}_"))}
    if matches:
        return matches
    from optimizer.files.text_file import did_you_mean

    hint = did_you_mean(word, known) or 'e.g. --why-not "a100_sxm_80 int4 tp2", or a provider'
    if re.fullmatch(r"\d+x?", word):
        hint = "leave the number of GPUs out: it follows from the load (hardware.limits.max_gpus bounds it)"
    raise UsageError([Finding(f"{word!r} is no card, provider, format, size or way to pay", hint=hint)])


def _narrowed(cards: set[str], more: set[str]) -> set[str]:
    """``h100 sxm``: cards that both words stand for; ``h100 a100``: where no card is both, either."""
    return cards & more or cards | more


def _is_in(value: str | int, wanted: Collection[str] | Collection[int]) -> bool:
    return not wanted or value in wanted


_ABSURD = 100
"""Ways that cost more than so many times the cheapest help nobody."""

_NO_FIT = "no replica of it fits: it needs more memory for weights and one request than its GPUs have, or a larger node"


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that the wish breaks however little load it carries, error margin included."""

    path: str
    workload: str
    value: float  # at its best, in ms; in s for E2E
    limit: float
    unit: str


@dataclass(frozen=True, slots=True)
class WhyNot:
    """The answer to one wish."""

    wish: Wish
    problem_name: str
    problem_path: str
    currency: str
    several_workloads: bool
    best: Plan | None
    plan: Plan | None  # the best that grants the wish; None: impossible
    impossible: tuple[str, ...] = ()  # physical and legal reasons
    rules: tuple[str, ...] = ()  # YAML paths of the user's rules that forbid it
    broken: tuple[Broken, ...] = ()
    closest: str = ""  # the configuration that ``broken`` is about
    defaults: frozenset[str] = frozenset()  # those of ``rules`` that the file leaves at their defaults
    unpriced: str = ""  # why no price of it may be ranked
    goal: Goal | None = None
    reached: tuple[float | None, float | None] = (None, None)  # of the objective, by the best plan and by ``plan``
    ways_out: tuple[Relaxation, ...] = field(default=())
    replayed: bool = True


def why_not(
    problem: Asked,
    wish: str,
    catalog: Catalog | Path | str | None = None,
    *,
    sets: Sequence[str] = (),
    progress: Say = silent,
    simulate: bool = True,
    time_limit: float | None = None,
) -> WhyNot:
    """Say why the best plan is not what is wished: the promise that it breaks, or what it costs more.

    Parameters
    ----------
    problem : Path, str or Problem
        A problem file, or a ``Problem`` of ``load_problem`` or ``parse_problem``, asked as it was read.
    wish : str
        Words such as ``"a100_sxm_80 int4 tp2"``: card, format, size, provider or way to pay.
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
    WhyNot
        The best plan and the best that is as wished, or what stands against it; money in integer cents a month.

    Raises
    ------
    InputError
        Where a word is neither card, provider, format, size nor way to pay, and for what else the user can mend.
    OutOfTimeError
        Where ``time_limit`` seconds do not suffice.
    """
    from optimizer.whatif.case import Within

    clock = Clock.of(time_limit)
    progress("solving")
    inputs, simulate = inputs_of(problem, sets, catalog), replays(problem, simulate=simulate)
    wanted = parse(inputs, wish)
    decided = answer_to(problem, inputs, progress=progress, simulate=simulate, clock=clock)
    case, best = decided.case, decided.outcome.plans
    goal, first = goal_of(case), Winner(case, decided.result)
    rest = case.confined(Within(wanted.candidate, wanted.option))
    progress("solving with nothing but what was asked for")
    second = near(rest, first)
    granted = rest.plans(second.result)
    told = WhyNot(
        wish=wanted,
        problem_name=inputs.problem.name,
        problem_path=inputs.problem.path,
        currency=inputs.problem.payment.currency,
        several_workloads=len(inputs.problem.workloads) > 1,
        best=best[0] if best else None,
        plan=granted[0] if granted else None,
        goal=goal,
        reached=(goal.reached(first), goal.reached(second)),
        replayed=simulate,
    )
    return told if granted else _refused(told, case, rest, wanted, progress)


def _refused(answer: WhyNot, case: Case, rest: Case, wish: Wish, progress: Say) -> WhyNot:
    """Reasons, from those nobody can change to those the user states."""
    from optimizer.whatif.case import Within
    from optimizer.whatif.choices import as_set
    from optimizer.whatif.ways_out import ways_out

    if not rest.candidates.candidates and (edits := _unlisted(case, wish)):
        listed = case.edited([as_set(edit) for edit in edits]).confined(Within(wish.candidate, wish.option))
        if listed.candidates.candidates:
            told = _if_listed(answer, listed, wish, edits, progress)
            return replace(told, defaults=told.defaults | _defaults(case.inputs.problem, told.rules))
    served = {one.workload for one in rest.candidates.candidates}
    if not all(any(served.issuperset(parts) for parts in ways) for ways in case.candidates.rules.ways_to_serve()):
        reasons = tuple(dict.fromkeys(_impossible(case.inputs, rest, wish)))
        return replace(answer, impossible=reasons or (_NO_FIT,))
    progress("looking for what it breaks")
    broken, closest = broken_promises(rest)
    ways = ways_out(rest, progress) if rest.options else ()
    least = min((way.monthly_cents for way in ways), default=0)
    stated, unpriced = _rules(rest)
    rules = tuple(dict.fromkeys((*stated, *_amounts(case.inputs.problem, ways))))
    if not (rules or unpriced or broken or ways):
        rules = _never_loosened(case.inputs.problem)
    nothing_named = not (rules or unpriced or broken)
    return replace(
        answer,
        rules=rules,
        defaults=_defaults(case.inputs.problem, stated),
        unpriced=unpriced,
        broken=broken,
        closest=closest,
        ways_out=tuple(way for way in ways if way.monthly_cents <= _ABSURD * least),
        impossible=(_NOT_OFFERED,) if not rest.options else (_not_enough(rest),) if nothing_named else (),
    )


def _amounts(problem: Problem, ways: Sequence[Relaxation]) -> Iterator[str]:
    """The user's limits on how much of it may be had (stock, quota, GPUs, money) that give way in a way out."""
    from optimizer.problem import stated_promises

    limits = {one.path for one in stated_promises(problem) if one.figure.section in _AMOUNTS}
    for way in ways:
        yield from (path for path in (way.change, *(path for path, *_ in way.also)) if path in limits)


def _never_loosened(problem: Problem) -> tuple[str, ...]:
    """Limits that no way out gives up: where giving up all the others does not help, they stand against it."""
    from optimizer.problem import stated_promises

    return tuple(one.path for one in stated_promises(problem) if one.figure.number.kept)


_AMOUNTS = frozenset({"offers", "hardware.limits", "hardware.quota", "hardware.owned", "budget"})
"""Sections of a problem file that say how much of something may be had."""

_NOT_OFFERED = "nobody in the catalog offers it: no price at that provider or tier"


def _not_enough(rest: Case) -> str:
    """Where no limit on how much may be had stands against it alone: those that do together."""
    from optimizer.problem import stated_promises

    nodes = {one.node_type.key for one in rest.candidates.candidates}
    offers = {option.offer.id for option in rest.options if option.node_type.key in nodes}
    stated = [one for one in stated_promises(rest.inputs.problem) if one.figure.section in _AMOUNTS]
    paths = [one.path for one in stated if one.figure.section != "offers" or one.figure.names[0] in offers]
    together = f" ({', '.join(paths)} together)" if paths else ""
    return f"what may be had of it within the rules of the file does not carry the load{together}"


def _unlisted(case: Case, wish: Wish) -> list[Edit]:
    """Sizes that are tried only where the problem file lists them: the edits that list them."""
    from optimizer.fleet.types import Edit

    engine = case.inputs.problem.engine
    return [
        Edit(f"engine.{key}", list(stated), [*stated, *sorted(wanted - set(stated))])
        for key, stated, wanted in (
            ("tensor_parallel", engine.tensor_parallel, wish.tensor_parallel),
            ("pipeline_parallel", engine.pipeline_parallel, wish.pipeline_parallel),
        )
        if wanted - set(stated)
    ]


def _if_listed(answer: WhyNot, listed: Case, wish: Wish, edits: Sequence[Edit], progress: Say) -> WhyNot:
    """The rules that leave a size out, and what else stands against it once it is listed."""
    paths = [edit.path for edit in edits]
    also = tuple((edit.path, edit.before, edit.after) for edit in edits)
    if found := listed.solve().solutions:
        first = edits[0]
        ways: tuple[Relaxation, ...] = (
            Relaxation(first.path, first.before, first.after, found[0].monthly_cents, also[1:]),
        )
        told = answer
    else:
        told = _refused(answer, listed, listed, wish, progress)
        ways = tuple(replace(way, also=(*way.also, *also)) for way in told.ways_out)
    return replace(told, rules=(*paths, *told.rules), ways_out=ways)


def _impossible(inputs: Inputs, rest: Case, wish: Wish) -> Iterator[str]:
    """Why no replica of the wish exists: no node, or a format or size that does not go together."""
    from optimizer.performance import engine_refusal, kv_cache_gates, pp_refusal, tp_refusal, weight_quant_gates

    engine, version = inputs.catalog.engines[inputs.problem.engine.name], inputs.problem.engine.version or ""
    cards = {option.node_type.gpu.id for option in rest.options}
    for gpu_id in sorted(wish.gpus):
        gpu = inputs.catalog.gpus[gpu_id]
        if gpu_id not in cards:
            where = f" from {', '.join(sorted(wish.providers))}" if wish.providers else ""
            yield f"no node with {gpu_id}{where} is in the catalog or in your offers: ask for a quote and list it there"
        if reason := engine_refusal(gpu, engine):
            yield reason
            continue
        for model in dict.fromkeys(workload.model for workload in inputs.problem.workloads):
            shape = inputs.catalog.models[model]
            gates = weight_quant_gates(gpu, shape, engine, version)
            yield from (gate.reason for gate in gates if gate.value in wish.quants and gate.reason)
            caches = kv_cache_gates(gpu, engine, version)
            yield from (gate.reason for gate in caches if gate.value in wish.kv_caches and gate.reason)
            dealt = bool(wish.expert_parallel - {1})
            quants = sorted(wish.quants) or ["bf16"]
            sizes = [tp_refusal(shape, q, t, experts_dealt=dealt) for q in quants for t in wish.tensor_parallel]
            sizes += [pp_refusal(shape, size) for size in wish.pipeline_parallel]
            yield from (reason for reason in sorted(sizes) if reason)
        yield from _kept_inside(gpu, rest, wish)


def _kept_inside(gpu: Gpu, rest: Case, wish: Wish) -> Iterator[str]:
    """Why ranks of the wish, more than any node of a card has GPUs, exchange no tokens between nodes: of the nodes that
    are whole domains those that state most."""
    from optimizer.performance.degrees import wide_refusal

    problem, catalog = rest.inputs.problem, rest.inputs.catalog
    nodes = [option.node_type for option in rest.options if option.node_type.gpu.id == gpu.id]
    least = max(min(wish.attention_dp, default=1) * min(wish.tensor_parallel, default=1), *wish.expert_parallel, 1)
    if wish.attention_dp - {1} and nodes and least > max(node.gpus_per_node for node in nodes):
        whole = [node for node in nodes if node.gpus_per_node == gpu.link_domain_gpus] or nodes
        best = max(whole, key=lambda node: node.fabric_gbps / node.gpus_per_node)
        engine, version = catalog.engines[problem.engine.name], problem.engine.version or ""
        if reason := wide_refusal(gpu, best.gpus_per_node, best.fabric_gbps, engine, version):
            yield reason


def why_nothing_fits(inputs: Inputs, gpu: str) -> str:
    """Why no replica of the problem's models stands on nodes of a card: the engine does not run there, or memory."""
    from optimizer.performance import engine_refusal

    return engine_refusal(inputs.catalog.gpus[gpu], inputs.catalog.engines[inputs.problem.engine.name]) or _NO_FIT


def _rules(rest: Case) -> tuple[tuple[str, ...], str]:
    """The fewest rules of the user, promises left out, that stand against any one way to grant the wish; and where no
    price may be ranked, why. Of several workloads those count that have no way."""
    from optimizer.fleet import broken_by

    rules = rest.candidates.rules
    promises = {promise.path for asked in rules.workloads for promise in asked.slo.promises}
    offers: dict[object, list[tuple[frozenset[str], str]]] = {}
    for option in rest.options:
        paths = frozenset(rule.path for rule in rules.forbidden_by(option))
        why = rules.options.why_not_rankable(option) or ""
        offers.setdefault(option.node_type.key, []).append((paths, why))
    fewest: dict[int, tuple[int, list[str], str]] = {}
    for one in rest.candidates.candidates:
        own = broken_by(one, 0, rules) - promises
        for paths, why in offers.get(one.node_type.key, []):
            stated = sorted((own | paths) - {RuleName.PRICE.path})
            way = (len(stated) + bool(why), stated, why)
            fewest[one.workload] = min(way, fewest.get(one.workload, way))
    against = [
        min((fewest[part] for way in ways for part in way if part in fewest), default=(0, [], ""))
        for ways in rules.ways_to_serve()
    ]
    named = dict.fromkeys(path for _, stated, _ in against for path in stated)
    return tuple(named), next((why for *_, why in against if why), "")


def _defaults(problem: Problem, paths: Sequence[str]) -> frozenset[str]:
    """Those of some rules about the market and the engine that stand as they do where a file says nothing."""
    from optimizer.decide.understood import default_of
    from optimizer.problem import place_of, value_at

    found = set()
    for path in paths:
        place = place_of(path)
        if not place.workload:
            stated = ".".join(place.keys[:2])  # hardware.providers.classes: part of what hardware.providers says
            found |= {path} if value_at(problem, stated) == default_of(stated) else set()
    return frozenset(found)


def broken_promises(rest: Case) -> tuple[tuple[Broken, ...], str]:
    """Promises that even the configuration closest to keeping them breaks with one request at a time."""
    from optimizer.demand import Metric, part_name
    from optimizer.performance import band_source, behaviours, promised_seconds
    from optimizer.problem import parts_of

    problem, rules = rest.inputs.problem, rest.candidates.rules
    parts = parts_of(problem)
    keeping = {one.workload for one in rest.candidates.candidates if _keeps(one, rest)}
    stuck = [ways for ways in rules.ways_to_serve() if not any(keeping.issuperset(way) for way in ways)]
    for number in sorted({part for ways in stuck for way in ways for part in way} - keeping):
        part, promises = parts[number], rules.workloads[number].slo.promises
        mine = [one for one in rest.candidates.candidates if one.workload == number]
        if not promises:
            continue
        alone = behaviours([one.spec for one in mine], part.lengths, rest.inputs.params, inflights=[1.0] * len(mine))
        best: tuple[float, tuple[Broken, ...], str] | None = None
        for one, behaviour in zip(mine, alone, strict=True):
            confidence, engine = problem.margins.confidence, band_source(one.spec, rest.inputs.params)
            values = [promised_seconds(behaviour, p, one.grade, confidence, engine) for p in promises]
            worst = max(value / p.limit_s for value, p in zip(values, promises, strict=True))
            if best is None or worst < best[0]:
                pairs = [(v, p) for v, p in zip(values, promises, strict=True) if v > p.limit_s]
                scale = {Metric.E2E: (1.0, "s")}
                broken = tuple(
                    Broken(p.path, part_name(part.name, p.length_class), v * f, p.limit_s * f, unit)
                    for v, p in pairs
                    for f, unit in (scale.get(p.metric, (1e3, "ms")),)
                )
                best = (worst, broken, label(one))
        if best is not None and best[1]:
            return best[1], best[2]
    return (), ""


def _keeps(candidate: Candidate, case: Case) -> bool:
    from optimizer.fleet.funnel import kept_points

    return bool(kept_points(candidate, case.candidates.rules))


def label(candidate: Candidate) -> str:
    """A configuration in catalog words: ``a100_sxm_80 int4, KV auto, TP2``."""
    spec = candidate.spec
    return f"{spec.gpu.id} {spec.weight_quant}, KV {spec.kv_cache}, {spec.split}"
