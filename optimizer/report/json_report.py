"""The JSON report: one object, keys and nesting fixed by the contract in docs, the same bytes for the same outcome.

Money has two decimals, other figures six significant digits, non-finite figures are null.
"""

from __future__ import annotations

from optimizer.plan.types import (
    FunnelStep,
    Outcome,
    Proof,
    Relaxation,
)
from optimizer.report import status_of
from optimizer.report.api import api_document
from optimizer.report.json_plan import plan_document, served
from optimizer.report.json_values import Json, Money, dump, in_money
from optimizer.report.quotes import quote_document
from optimizer.report.replayed_json import rejection_document


def render_json(outcome: Outcome) -> str:
    """The whole report as indented JSON with a final newline."""
    return dump(document(outcome))


def document(outcome: Outcome) -> dict[str, Json]:
    """The report as nested values, in the order they print."""
    return {
        "problem": {
            "name": outcome.problem_name,
            "path": outcome.problem_path,
            "sha256": outcome.problem_sha256,
        },
        "status": status_of(outcome),
        "load": [
            {
                **served(load.workload, load.length_class),
                "requests_per_second": load.requests_per_second,
                "output_tokens_per_second": load.output_tokens_per_second,
                "inflight": load.inflight,
                "decided_by": load.decided_by,
            }
            for load in outcome.loads
        ],
        "warnings": list(outcome.warnings),
        "proof": _proof(outcome.proof, outcome.currency),
        "funnel": [_funnel_step(step) for step in outcome.funnel],
        "plans": [plan_document(plan) for plan in outcome.plans],
        "api": api_document(outcome.plans[0]) if outcome.plans else None,
        "quotes": [quote_document(quote, outcome) for quote in outcome.quotes],
        **({"rejected": [rejection_document(one) for one in outcome.rejected]} if outcome.rejected else {}),
        **({"single_gpu_kinds": _single_kinds(outcome)} if outcome.single_kinds else {}),
        "relaxations": [_relaxation(relaxation) for relaxation in outcome.relaxations],
        "unpriced": [
            {
                "gpu": one.gpu,
                "gpus_per_node": one.gpus_per_node,
                "nodes": one.nodes,
                "workloads": list(one.workloads),
                "ask_below_per_node_month": None if one.ask_below_cents is None else Money(one.ask_below_cents),
            }
            for one in outcome.unpriced
        ],
        "targets": [
            {
                "gpu": target.gpu,
                "provider": target.provider,
                "wins_below_per_gpu_hour": in_money(target.wins_below_per_gpu_hour),
            }
            for target in outcome.targets
        ],
    }


def _single_kinds(outcome: Outcome) -> list[Json]:
    """The best plan on one kind of GPU alone, and what the first plan saves against it as a share."""
    best = outcome.plans[0].monthly_cents
    return [
        {
            "gpu": one.gpu,
            "gpus": one.gpus,
            "monthly_cost": None if one.monthly_cents is None else Money(one.monthly_cents),
            "saving": None if not one.monthly_cents else 1.0 - best / one.monthly_cents,
        }
        for one in outcome.single_kinds
    ]


def _proof(proof: Proof, currency: str) -> dict[str, Json]:
    priced = currency in proof.unit
    return {
        "objective": {
            "name": proof.objective,
            "value": in_money(proof.value) if priced else proof.value,
            "bound": in_money(proof.bound) if priced else proof.bound,
            "unit": proof.unit,
        },
        "gap": proof.gap,
        "candidates_enumerated": proof.candidates_enumerated,
        "candidates_feasible": proof.candidates_feasible,
        "candidates_screened": proof.candidates_screened,
        "replay_rejected": proof.replay_rejected,
        "prices_from": proof.prices_from,
        "prices_to": proof.prices_to,
        "performance_model": proof.performance_model,
    }


def _funnel_step(step: FunnelStep) -> dict[str, Json]:
    removed = step.cheapest_removed_cents
    return {
        "rule": step.rule,
        "remaining": step.remaining,
        "cheapest_removed_monthly": None if removed is None else Money(removed),
    }


def _relaxation(relaxation: Relaxation) -> dict[str, Json]:
    """``also`` is there only where further edits must go with this one."""
    together = [_edit(*edit) for edit in relaxation.also]
    edit = _edit(relaxation.change, relaxation.before, relaxation.after)
    return {**edit, **({"also": together} if together else {}), "monthly_cost": Money(relaxation.monthly_cents)}


def _edit(path: str, before: object, after: object) -> dict[str, Json]:
    return {"change": path, "from": _plain(before), "to": _plain(after)}


def _plain(value: object) -> Json:
    """A value of a problem file as JSON; anything that is not a scalar or a list of them becomes text."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)
