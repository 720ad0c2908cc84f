"""How far a prediction can be trusted: which of card, model family and precision were measured, and what lowers it.

A: all three; B: two; C: fewer, or a configuration nobody measured under load (design.md section 4, "Never assume in
silence"). Every step down comes with its sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.catalog.types import Model
from optimizer.performance.parameters import Parameters
from optimizer.performance.types import Grade, ReplicaSpec
from optimizer.vocabulary import NVLINK_CLASS

_LADDER = (Grade.A, Grade.B, Grade.C)

LARGE_EXPERT_MODEL = 200e9
"""Mixture-of-experts models from this size on (DeepSeek-V3 class) usually run with expert parallelism, attention data
parallelism or disaggregation, none of which is modelled."""


def is_upper_bound(model: Model) -> bool:
    """Whether such models usually run with techniques that are not modelled: a plan's cost is then an upper bound."""
    return model.is_moe and model.total_params >= LARGE_EXPERT_MODEL


def grade_of(spec: ReplicaSpec, params: Parameters) -> tuple[Grade, tuple[str, ...]]:
    """Grade of a specification and the sentences that explain it."""
    missing, reasons = _coverage(spec, params)
    step = min(missing, 2)
    gpu = spec.gpu
    if gpu.sibling:
        step += 1
        reasons.append(f"{gpu.id} takes the efficiencies of its sibling {gpu.sibling}: one grade down")
    if gpu.memory_is_fallback:
        step += 1
        reasons.append(f"the usable memory of {gpu.id} is estimated from cards of its kind: one grade down")
    if spec.pipeline_parallel > 1:
        step = 2
        reasons.append("pipeline parallelism has never been measured under load")
    if spec.tensor_parallel >= 4 and spec.link not in NVLINK_CLASS:
        step = 2
        reasons.append("tensor parallelism over PCIe depends on the host tenfold; the pessimistic host is assumed")
    return _LADDER[min(step, 2)], tuple(reasons)


def grades_of(specs: Sequence[ReplicaSpec], params: Parameters) -> list[Grade]:
    """Grades of many specifications; what decides a grade is looked up once."""
    found: dict[tuple[object, ...], Grade] = {}
    result = []
    for spec in specs:
        key = (id(spec.gpu), id(spec.model), spec.weight_quant, spec.tensor_parallel, spec.pipeline_parallel, spec.link)
        if key not in found:
            found[key] = grade_of(spec, params)[0]
        result.append(found[key])
    return result


def _coverage(spec: ReplicaSpec, params: Parameters) -> tuple[int, list[str]]:
    """How many of card, family and format differ from the nearest measured triple, and which."""
    own = (spec.gpu.sibling or spec.gpu.id, spec.model.family, spec.weight_quant)
    if own in params.coverage:
        return 0, []
    nearest = max(params.coverage, key=lambda triple: (_shared(own, triple), triple), default=None)
    shared = _shared(own, nearest) if nearest else 0
    if nearest is None or shared < 2:
        return 2, [f"{own[1]} in {own[2]} on {own[0]}: nothing close to it was measured under load"]
    asked, known = (f"{family} in {quant} on {card}" for card, family, quant in (own, nearest))
    return 1, [f"measured under load: {known}, not {asked}"]


def _shared(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    return sum(a == b for a, b in zip(first, second, strict=True))
