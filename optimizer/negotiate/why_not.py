"""Why not this card, provider or configuration: what it breaks and by how much, or what it costs more and where."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.errors import Finding, UsageError
from optimizer.plan.types import Relaxation

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.decide import Inputs
    from optimizer.decide.case import Case
    from optimizer.plan.types import Plan
    from optimizer.pricing import NodeOption


_NO_FIT = "no replica of it fits: it needs more memory for weights and one request than its GPUs have, or a larger node"


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
    tiers: frozenset[str] = frozenset()

    def candidate(self, one: Candidate) -> bool:
        """Whether a configuration is what was asked for."""
        spec = one.spec
        return (
            _in(spec.gpu.id, self.gpus)
            and _in(spec.weight_quant, self.quants)
            and _in(spec.kv_cache, self.kv_caches)
            and _in(spec.tensor_parallel, self.tensor_parallel)
            and _in(spec.pipeline_parallel, self.pipeline_parallel)
        )

    def option(self, one: NodeOption) -> bool:
        """Whether nodes are what was asked for."""
        return _in(one.offer.provider, self.providers) and _in(str(one.tier), self.tiers)


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
    ways_out: tuple[Relaxation, ...] = field(default=())


def why_not(
    path: Path | str,
    wish: str,
    *,
    sets: Sequence[str] = (),
    catalogs: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> WhyNot:
    """Why the best plan is not ``wish``: words such as ``"a100_sxm_80 int4 tp2"`` or a provider.

    Raises ``InputError`` where a word is neither card, provider, format, size nor way to pay.
    """
    from optimizer.decide import read_inputs
    from optimizer.decide.case import Within, open_case

    progress("solving")
    inputs = read_inputs(path, sets=sets, catalogs=catalogs)
    wanted = parse(inputs, wish)
    case = open_case(inputs)
    best = case.plans(case.solve())
    rest = case.confined(Within(wanted.candidate, wanted.option))
    progress("solving with nothing but what was asked for")
    granted = rest.plans(rest.solve())
    answer = WhyNot(
        wish=wanted,
        problem_name=inputs.problem.name,
        problem_path=inputs.problem.path,
        currency=inputs.problem.payment.currency,
        several_workloads=len(inputs.problem.workloads) > 1,
        best=best[0] if best else None,
        plan=granted[0] if granted else None,
    )
    return answer if granted else _refused(answer, case, rest, wanted, progress)


def parse(inputs: Inputs, text: str) -> Wish:
    """The wish that words mean. Raises ``UsageError`` with a suggestion for a word nobody knows."""
    from optimizer.problem import KV_CACHES, WEIGHT_QUANT_ALIASES, WEIGHT_QUANTS
    from optimizer.vocabulary import Tier

    catalog, problem = inputs.catalog, inputs.problem
    quants = {quant: quant for quant in WEIGHT_QUANTS if quant != "native"} | dict(WEIGHT_QUANT_ALIASES)
    caches = {f"kv-{cache}": cache for cache in KV_CACHES} | {f"kv_{cache}": cache for cache in KV_CACHES}
    providers = {offer.provider for offer in catalog.offers.values()} | {quote.provider for quote in problem.offers}
    known: dict[str, Collection[str]] = {
        "gpus": list(catalog.gpus),
        "providers": providers,
        "tiers": [str(tier) for tier in Tier],
    }
    found: dict[str, set[str]] = {key: set() for key in (*known, "quants", "kv_caches", "tp", "pp")}
    for word in re.split(r"[\s,;|]+", text.strip().lower()):
        size = re.fullmatch(r"(tp|pp)[=:]?(\d+)", word)
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
            _guess_gpu(
                word, catalog.gpus, found["gpus"], [*catalog.gpus, *sorted(providers), *quants, "tp2", "pp2", "kv-fp8"]
            )
    return Wish(
        text=text.strip(),
        gpus=frozenset(found["gpus"]),
        providers=frozenset(found["providers"]),
        quants=frozenset(found["quants"]),
        kv_caches=frozenset(found["kv_caches"]),
        tensor_parallel=frozenset(int(size) for size in found["tp"]),
        pipeline_parallel=frozenset(int(size) for size in found["pp"]),
        tiers=frozenset(found["tiers"]),
    )


def _guess_gpu(word: str, gpus: Collection[str], found: set[str], known: Sequence[str]) -> None:
    """``h100`` stands for every card whose id has that part."""
    matches = {gpu for gpu in gpus if word and (word in gpu.split("_") or gpu.startswith(f"{word}_"))}
    if not matches:
        from optimizer.documents.suggest import did_you_mean

        hint = did_you_mean(word, known) or 'e.g. --why-not "a100_sxm_80 int4 tp2", or a provider'
        raise UsageError([Finding(f"{word!r} is no card, provider, format, size or way to pay", hint=hint)])
    found |= matches


def _in(value: str | int, wanted: Collection[str] | Collection[int]) -> bool:
    return not wanted or value in wanted


def _refused(answer: WhyNot, case: Case, rest: Case, wish: Wish, progress: Callable[[str], None]) -> WhyNot:
    """Reasons, from those nobody can change to those the user states."""
    from dataclasses import replace

    from optimizer.decide.ways_out import ways_out

    served = {one.workload for one in rest.candidates.candidates}
    if not all(any(served.issuperset(parts) for parts in ways) for ways in case.candidates.rules.ways_to_serve()):
        reasons = tuple(dict.fromkeys(_impossible(case.inputs, rest, wish)))
        return replace(answer, impossible=reasons or (_NO_FIT,))
    progress("looking for what it breaks")
    broken, closest = _broken(rest)
    return replace(
        answer,
        rules=_rules(rest),
        broken=broken,
        closest=closest,
        ways_out=ways_out(rest, progress) if rest.options else (),
        impossible=() if rest.options else ("nobody in the catalog offers it: no price at that provider or tier",),
    )


def _impossible(inputs: Inputs, rest: Case, wish: Wish) -> Iterator[str]:
    """Why no replica of the wish exists: no node, or a format or size that does not go together."""
    from optimizer.performance import engine_refusal, kv_cache_gates, pp_refusal, tp_refusal, weight_quant_gates

    engine = inputs.catalog.engines[inputs.problem.engine.name]
    cards = {option.node_type.gpu.id for option in rest.options}
    for gpu_id in sorted(wish.gpus):
        gpu = inputs.catalog.gpus[gpu_id]
        if gpu_id not in cards:
            where = f" from {', '.join(sorted(wish.providers))}" if wish.providers else ""
            yield f"no node with {gpu_id}{where} is in the catalog or in your offers"
        if reason := engine_refusal(gpu, engine):
            yield reason
            continue
        for model in dict.fromkeys(workload.model for workload in inputs.problem.workloads):
            shape = inputs.catalog.models[model]
            yield from (g.reason for g in weight_quant_gates(gpu, shape, engine) if g.value in wish.quants and g.reason)
            yield from (g.reason for g in kv_cache_gates(gpu, engine) if g.value in wish.kv_caches and g.reason)
            sizes = [tp_refusal(shape, q, t) for q in sorted(wish.quants) or ["bf16"] for t in wish.tensor_parallel]
            sizes += [pp_refusal(shape, size) for size in wish.pipeline_parallel]
            yield from (reason for reason in sorted(sizes) if reason)


def _rules(rest: Case) -> tuple[str, ...]:
    """The fewest rules of the user, promises left out, that stand against any one way to grant the wish."""
    from optimizer.fleet import broken_by

    rules = rest.candidates.rules
    promises = {promise.path for asked in rules.workloads for promise in asked.slo.promises}
    offers: dict[object, list[frozenset[str]]] = {}
    for option in rest.options:
        paths = frozenset(rule.path for rule in rules.forbidden_by(option))
        offers.setdefault(option.node_type.key, []).append(paths)
    ways: list[frozenset[str]] = [
        (broken_by(one, 0, rules) - promises) | paths
        for one in rest.candidates.candidates
        for paths in offers.get(one.node_type.key, [])
    ]
    fewest = min(ways, key=lambda way: (len(way), sorted(way)), default=None)
    return tuple(sorted(fewest or ()))


def _broken(rest: Case) -> tuple[tuple[Broken, ...], str]:
    """Promises that even the configuration closest to keeping them breaks with one request at a time."""
    from optimizer.performance import behaviours, promised_seconds
    from optimizer.problem import parts_of
    from optimizer.workload import Metric, part_name

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
            confidence, engine = problem.margins.confidence, one.spec.engine.profile
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
    from optimizer.candidates import kept_points

    return bool(kept_points(candidate, case.candidates.rules))


def label(candidate: Candidate) -> str:
    """A configuration in catalog words: ``a100_sxm_80 int4, KV auto, TP2``."""
    spec = candidate.spec
    stages = f" PP{spec.pipeline_parallel}" if spec.pipeline_parallel > 1 else ""
    return f"{spec.gpu.id} {spec.weight_quant}, KV {spec.kv_cache}, TP{spec.tensor_parallel}{stages}"
