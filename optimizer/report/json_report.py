"""The JSON report: one object, keys and nesting fixed by the contract in docs, the same bytes for the same outcome.

Money has two decimals, other figures six significant digits, non-finite figures are null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from optimizer.demand import SessionMeans
from optimizer.plan.types import (
    Demand,
    Figures,
    FunnelStep,
    OtherWinner,
    Outcome,
    Proof,
    Relaxation,
    WorkloadLoad,
    status_of,
)
from optimizer.report.api import api_document
from optimizer.report.json_plan import Exact, Json, Money, dump, in_money, plan_document, rejection_document, served
from optimizer.report.quotes import quote_document
from optimizer.version import SCHEMA_VERSION, VERSION


def render_json(outcome: Outcome) -> str:
    """The whole report as indented JSON with a final newline."""
    return dump(document(outcome))


def document(outcome: Outcome) -> dict[str, Json]:
    """The report as nested values, in the order they print."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool_version": VERSION,
        "problem": {
            "name": outcome.problem_name,
            "path": outcome.problem_path,
            "sha256": outcome.problem_sha256,
        },
        "understood": understood_document(outcome.understood),
        "status": status_of(outcome),
        "load": loads_document(outcome.loads),
        "demand": demand_document(outcome.demand),
        "warnings": list(outcome.warnings),
        "proof": _proof(outcome.proof, outcome.currency),
        "funnel": [_funnel_step(step) for step in outcome.funnel],
        "plans": [plan_document(plan) for plan in outcome.plans],
        "api": api_document(outcome.plans[0]) if outcome.plans else None,
        "quotes": [quote_document(quote, outcome) for quote in outcome.quotes],
        "at_list_prices": _winner(outcome.others.at_list),
        "best_by_grade": [{"grade": grade, **_best(winner)} for grade, winner in outcome.others.by_grade],
        "best_as_published": None if outcome.others.as_published is None else _best(outcome.others.as_published),
        "best_surviving_node": None if outcome.others.surviving is None else _best(outcome.others.surviving),
        "in_stock": _stock(outcome.others.first),
        "expires": outcome.others.expires,
        "winner_after_expiry": _winner(outcome.others.after_expiry),
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
        **({} if outcome.seal is None else {"seal": asdict(outcome.seal)}),
    }


def loads_document(loads: Sequence[WorkloadLoad]) -> Json:
    """The load of every workload as planned for."""
    return [
        {
            **served(load.workload, load.length_class),
            "requests_per_second": load.requests_per_second,
            "output_tokens_per_second": load.output_tokens_per_second,
            "inflight": load.inflight,
            "decided_by": load.decided_by,
            **({} if load.users is None else {"users": load.users, "think_time_s": load.think_s}),
            **({} if load.sessions is None else {"sessions": _sessions(load.sessions)}),
        }
        for load in loads
    ]


def _sessions(means: SessionMeans) -> Json:
    return {
        "turns": means.turns,
        "input_tokens": means.input,
        "input_tokens_p95": means.input_p95,
        "output_tokens": means.output,
        "output_tokens_p95": means.output_p95,
        "reachable_hit_rate": means.reachable,
        "ended_by_context_max": means.cut,
        "gap_s": {"mean": means.gap_mean_s, "p50": means.gap_p50_s, "p90": means.gap_p90_s},
    }


def demand_document(demands: Sequence[Demand]) -> Json:
    """The load of every workload as stated, at the peak and as planned for."""
    return [
        {
            "workload": demand.workload,
            "stated": _figures(demand.stated),
            "peak": _figures(demand.peak),
            "planned": _figures(demand.planned),
        }
        for demand in demands
    ]


def _winner(winner: OtherWinner | None) -> Json:
    """Who wins under a stricter view of prices: a rank, or a plan that is none of the ranking; null: not worked out."""
    if winner is None:
        return None
    plan = winner.plan
    return {
        "rank": winner.rank,
        "plan": plan_document(plan) if plan is not None and winner.rank is None else None,
        "monthly_cost": None if plan is None else Money(plan.monthly_cents),
        **({"in_stock": _stock(winner)} if winner.stock_notes else {}),
    }


def _best(winner: OtherWinner) -> dict[str, Json]:
    """A rank, or a plan that is none of the ranking; neither where there is no such plan."""
    told = winner.plan is not None and winner.rank is None
    return {"rank": winner.rank, "plan": plan_document(winner.plan) if told and winner.plan is not None else None}


def _stock(winner: OtherWinner | None) -> Json:
    """What was seen of the stock of a winner's nodes, and what wins without them; null where nothing was."""
    if winner is None or not winner.stock_notes:
        return None
    return {"notes": list(winner.stock_notes), "without": _winner(winner.in_stock)}


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
        "replay": {
            "configurations_replayed": proof.replay.replayed,
            "configurations_bounded": proof.replay.bounded,
        },
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


def understood_document(value: object) -> Json:
    """The problem as it was read: nothing rounded."""
    if isinstance(value, Mapping):
        return {str(key): understood_document(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [understood_document(item) for item in value]
    return Exact(value) if isinstance(value, float) else _plain(value)


def _figures(figures: Figures) -> dict[str, Json]:
    return {
        "requests_per_second": figures.requests_per_second,
        "output_tokens_per_second": figures.output_tokens_per_second,
        "inflight": figures.inflight,
        "users": figures.users,
    }
