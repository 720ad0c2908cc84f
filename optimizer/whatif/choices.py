"""Rules of a problem file that are choices, not numbers: opened whole, then narrowed to what an answer used.

From whom and from where to buy (regions, countries, market, providers, licences, certificates) is no choice to open: an
answer outside them is none, however cheap (``pricing.rules.BUYERS``).

An edit of a problem file in the words of ``--set``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optimizer.pricing.types import Origin
from optimizer.problem.checks import is_purchase_bounded
from optimizer.vocabulary import RANKABLE_EVIDENCE, KvTiers, Objective, Speculative, Tier

if TYPE_CHECKING:
    from optimizer.fleet.types import Edit, FleetSolution
    from optimizer.problem import Problem
    from optimizer.problem.schema import Hardware


_TIERS = [str(tier) for tier in Tier if tier is not Tier.OWNED]
_ENGINE: tuple[tuple[str, list[Any] | None], ...] = (
    ("weight_quant", None),
    ("kv_cache", ["auto", "fp8"]),
    ("tensor_parallel", [1, 2, 4, 8]),
    ("pipeline_parallel", [1, 2, 4]),
    ("attention_dp", None),
)
_SETTINGS = ("gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens")


@dataclass(frozen=True, slots=True)
class RuleChoice:
    """One rule: what stands there, what opens it whole, and the least of that which an answer needs."""

    path: str
    stated: object
    open: object
    narrowed: Callable[[FleetSolution], object]


def stated_choices(problem: Problem) -> tuple[RuleChoice, ...]:
    """Every rule of the problem that forbids something and may be given up."""
    return tuple(choice for choice in _all(problem) if choice.stated != choice.open)


def _all(problem: Problem) -> Iterator[RuleChoice]:
    hardware, payment, engine = problem.hardware, problem.payment, problem.engine
    yield _switch("hardware.nvlink", str(hardware.nvlink), "any")
    bounded = problem.objective is not Objective.MAXIMIZE_LOAD or is_purchase_bounded(problem)
    if bounded:  # else the most load has no end
        yield _switch("hardware.only_owned", hardware.only_owned, False)
    yield from _gpus(hardware)
    tiers = [str(tier) for tier in payment.tiers]
    missing = [tier for tier in _TIERS if tier not in tiers]
    yield RuleChoice("payment.tiers", tiers, [*tiers, *missing], lambda found: _plus(tiers, _tiers(found)))
    evidence = [str(kind) for kind in payment.price_evidence]
    weaker = [str(kind) for kind in RANKABLE_EVIDENCE if str(kind) not in evidence]
    yield RuleChoice(
        "payment.price_evidence", evidence, [*evidence, *weaker], lambda found: _plus(evidence, _evidence(found))
    )
    for key, everything in _ENGINE:
        yield from _engine(key, getattr(engine, key), everything)
    grade = problem.ranking.min_grade
    yield RuleChoice("ranking.min_grade", grade, None, lambda found: max(str(g.candidate.grade) for g in found.groups))
    yield _switch("engine.expert_parallel", str(engine.expert_parallel), "any")
    if engine.speculative is Speculative.REQUIRED:
        yield _switch("engine.speculative", str(engine.speculative), "any")
    if engine.kv_tiers is KvTiers.HOST:
        yield _switch("engine.kv_tiers", str(engine.kv_tiers), "any")
    for key in _SETTINGS:
        yield _switch(f"engine.{key}", getattr(engine, key), None)
    for workload in problem.workloads:
        if len(workload.tokens.classes) > 1:
            yield _switch(f"workloads.{workload.name}.tokens.split_classes", workload.tokens.split_classes, True)


def _switch(path: str, stated: object, opened: object) -> RuleChoice:
    return RuleChoice(path, stated, opened, lambda _: opened)


def _gpus(hardware: Hardware) -> Iterator[RuleChoice]:
    path, stated = "hardware.gpus", hardware.gpus
    if isinstance(stated, tuple):
        cards = list(stated)
        yield RuleChoice(path, cards, None, lambda found: _plus(cards, _cards(found)))
    elif stated is not None:
        excluded = list(stated.exclude)

        def fewer(found: FleetSolution) -> object:
            left = [card for card in excluded if card not in _cards(found)]
            return {"exclude": left} if left else None

        yield RuleChoice(path, {"exclude": excluded}, None, fewer)


def _engine(key: str, stated: Collection[Any] | None, everything: list[Any] | None) -> Iterator[RuleChoice]:
    if stated is None:
        return
    values = list(stated)
    opened = None if everything is None else [*values, *(one for one in everything if one not in values)]

    def narrowed(found: FleetSolution) -> object:
        return _plus(values, [getattr(group.candidate.spec, key) for group in found.groups])

    yield RuleChoice(f"engine.{key}", values, opened, narrowed)


def _plus(stated: list[Any], used: Collection[Any]) -> list[Any]:
    return [*stated, *sorted({one for one in used if one not in stated}, key=str)]


def _cards(found: FleetSolution) -> set[str]:
    return {bought.option.offer.gpu for bought in found.nodes}


def _tiers(found: FleetSolution) -> set[str]:
    return {str(bought.option.tier) for bought in found.nodes if bought.option.origin is not Origin.OWNED}


def _evidence(found: FleetSolution) -> set[str]:
    return {str(bought.option.evidence) for bought in found.nodes if bought.option.evidence is not None}


def as_set(edit: Edit) -> str:
    """The edit as ``--set`` takes it: JSON is YAML."""
    return f"{edit.path}={json.dumps(edit.after, default=_plain)}"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, (tuple, set, frozenset)) else str(value)
