"""Facts that a plan key is made of, in the form of ``optimizer.plan.key``, from the choices of the model."""

from __future__ import annotations

from collections.abc import Iterable

from optimizer.candidates.rules import UserRules
from optimizer.candidates.types import Candidate
from optimizer.plan.types import PlanKey
from optimizer.pricing.types import NodeOption

Fact = tuple[str, ...]
"""A tagged fact: (name in ``distinct_by``, content...)."""


def slot_facts(candidate: Candidate, rules: UserRules) -> tuple[Fact, ...]:
    """Facts that a candidate brings into the key of a plan that uses it."""
    return tuple(fact for name in rules.distinct_by for fact in _of_candidate(name, candidate, rules))


def option_facts(option: NodeOption, rules: UserRules) -> tuple[Fact, ...]:
    """Facts that an option brings into the key of a plan that uses it, beyond those of its node type."""
    return (("provider", option.offer.provider),) if "provider" in rules.distinct_by else ()


def key_of(facts: Iterable[Fact]) -> PlanKey:
    """The key that a set of facts makes."""
    return PlanKey(tuple(sorted(set(facts))))


def fact_text(fact: Fact) -> str:
    """A fact on one line, for names in the model."""
    return "|".join(fact)


def _of_candidate(name: str, candidate: Candidate, rules: UserRules) -> tuple[Fact, ...]:
    spec, node_type = candidate.spec, candidate.node_type
    match name:
        case "configuration":
            return (
                (
                    name,
                    rules.workloads[candidate.workload].name,
                    node_type.gpu.id,
                    str(node_type.link),
                    spec.weight_quant,
                    spec.kv_cache,
                    str(spec.tensor_parallel),
                    str(spec.pipeline_parallel),
                ),
            )
        case "weight_quant":
            return ((name, spec.weight_quant),)
        case "gpu":
            return ((name, node_type.gpu.id),)
        case "node":
            return ((name, str(node_type.gpus_per_node), node_type.gpu.id, str(node_type.link)),)
    return ()
