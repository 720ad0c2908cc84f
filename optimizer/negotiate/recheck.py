"""``optimize verify plan.json``: what a plan file says, told anew as far as that takes no solving, and held against it.

For somebody who has the file and this package, and trusts neither whoever wrote it nor a solver: no network, no
search, nothing read from disk but the packaged catalogs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optimizer.errors import InputError, OptimizerError, UsageError
from optimizer.files.carried import files_closed
from optimizer.negotiate.plan_file import ChangedError, PlanText, every_plan, offers_used, read_plan
from optimizer.plan.carried import encode
from optimizer.plan.types import Outcome, Plan, status_of
from optimizer.progress import on_day
from optimizer.units import from_cents

if TYPE_CHECKING:
    from optimizer.planning.inputs import Inputs

Told = Callable[[Outcome], str]
"""The JSON report of an outcome."""

NOT_RECHECKED = (
    "that nothing cheaper exists: only a solve can tell, optimize FILE --resolve -o again.json",
    "what a replay saw, request by request: only replaying can tell; its margins and limits are rechecked",
)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One thing that is not as the file says."""

    part: str  # file, report, question, seals, offers, plans, proof
    what: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """One part of the file that was rechecked."""

    part: str
    what: str


@dataclass(frozen=True, slots=True)
class Rechecked:
    """What was looked at, and what does not agree."""

    path: str
    agreed: tuple[Agreement, ...]
    disagreements: tuple[Disagreement, ...]
    not_rechecked: tuple[str, ...] = NOT_RECHECKED

    @property
    def holds(self) -> bool:
        """Whether all of it agrees."""
        return not self.disagreements


def recheck(path: Path | str, told: Told) -> Rechecked:
    """Recheck a plan file. ``told`` makes the JSON report. Raises ``UsageError`` where the file is none."""
    changed: tuple[Disagreement, ...] = ()
    try:
        text = read_plan(Path(path))
    except ChangedError as error:
        changed = (Disagreement("file", error.findings[0].message),)
        try:
            text = read_plan(Path(path), sealed=False)
        except UsageError as odd:
            return Rechecked(str(path), (), (*changed, Disagreement("file", odd.findings[0].message)))
    found = (*changed, *_report(text, told), *_answer(text))
    parts = {one.part for one in found}
    return Rechecked(str(path), tuple(one for one in _agreements(text) if one.part not in parts), found)


def _agreements(text: PlanText) -> Iterator[Agreement]:
    """What is said of each part where nothing in it disagrees."""
    plans = len(list(every_plan(text.outcome)))
    yield Agreement("file", "as it was written, byte for byte (checksum)")
    yield Agreement("report", "what people read says what the answer for machines does")
    yield Agreement("question", "the problem in the file leads to the load, promises and rules that it shows")
    yield Agreement("seals", "problem, catalogs, calibration and code are those here")
    yield Agreement("offers", f"{len(text.carried.offers)} offers word for word as in the catalogs here")
    yield Agreement("plans", f"{plans} plans: money to the cent, placement, limits, quality, memory, load, margins")
    yield Agreement("proof", "value, bound and ranks agree with the plans")


def _report(text: PlanText, told: Told) -> Iterator[Disagreement]:
    """What people read against what machines do."""
    expected = json.loads(told(text.outcome))
    for path, stated, now in differences(text.told, expected):
        yield Disagreement("report", f"{path} is {_short(stated)}; the answer inside has {_short(now)}")


def _answer(text: PlanText) -> Iterator[Disagreement]:
    from optimizer.catalog import default_root
    from optimizer.planning.inputs import read_inputs

    carried = text.carried
    root = None if carried.catalogs is None else Path(carried.catalogs)
    with files_closed(text.files, default_root()), on_day(date.fromisoformat(carried.day)):
        try:
            inputs = read_inputs(Path(carried.outcome.problem_path), sets=carried.sets, catalogs=root)
        except InputError as error:
            yield from (Disagreement("question", f"the problem inside: {finding}") for finding in error.findings)
            return
        yield from told_anew(text, inputs)


def told_anew(text: PlanText, inputs: Inputs) -> Iterator[Disagreement]:
    """What the problem in the file leads to, against what the file says."""
    for part, look in _PARTS.items():
        try:
            yield from look(text, inputs)
        except _ODD as error:
            yield Disagreement(part, f"cannot be rechecked: {type(error).__name__}: {error}")


def _seals(text: PlanText, inputs: Inputs) -> Iterator[Disagreement]:
    from optimizer.planning.seal import changed, seal_of

    stated = text.outcome.seal
    if stated is None:
        yield Disagreement("seals", "there are none")
        return
    now = seal_of(inputs)
    for name in changed(stated, now):
        yield Disagreement(
            "seals", f"{name}: {getattr(stated, name)[:12]}... in the file, {getattr(now, name)[:12]}... here"
        )
    if spare := sorted(set(text.files) - set(inputs.files)):
        yield Disagreement("seals", f"files that the problem does not name: {', '.join(spare)}")


def _question(text: PlanText, inputs: Inputs) -> Iterator[Disagreement]:
    """What is echoed of the question, worked out again from the problem in the file."""
    from optimizer.decide.understood import asked, demand, loads, rules, understood

    problem, outcome = inputs.problem, text.outcome
    expected: Mapping[str, object] = {
        "problem_name": problem.name,
        "problem_sha256": problem.sha256,
        "loads": loads(problem, outcome.plans[0] if outcome.plans else None),
        "asked": asked(problem),
        "demand": demand(problem),
        "understood": understood(problem),
        "rules": rules(problem),
        "currency": problem.payment.currency,
        "confidence": problem.margins.confidence,
        "distinct_by": tuple(str(name) for name in problem.ranking.distinct_by),
        "mixes": problem.ranking.max_configurations_per_workload > 1,
    }
    for name, value in expected.items():
        for path, stated, now in differences(encode(getattr(outcome, name)), encode(value), name):
            yield Disagreement("question", f"{path} is {_short(stated)}; the problem leads to {_short(now)}")
    if missing := [one for one in problem.warnings if one not in outcome.warnings]:
        yield Disagreement("question", f"a warning is left out: {missing[0]}")


def _offers(text: PlanText, inputs: Inputs) -> Iterator[Disagreement]:
    used = offers_used(text.outcome, inputs.catalog)
    if [one.id for one in used] != [one.id for one in text.carried.offers]:
        yield Disagreement("offers", "the offers in the file are not those that its plans buy from")
        return
    for stated, now in zip(text.carried.offers, used, strict=True):
        for path, before, here in differences(encode(stated), encode(now), stated.id):
            yield Disagreement("offers", f"{path} is {_short(before)}; the catalogs here have {_short(here)}")


def _plans(text: PlanText, inputs: Inputs) -> Iterator[Disagreement]:
    from optimizer.verify import verify_plans, verify_ranking

    outcome, plans = text.outcome, list(every_plan(text.outcome))
    checked = verify_plans(inputs.problem, inputs.catalog, inputs.params, plans)
    for plan, mismatches in zip(plans, checked, strict=True):
        yield from (Disagreement("plans", f"plan #{plan.rank}: {mismatch}") for mismatch in mismatches)
    for mismatch in verify_ranking(inputs.problem, outcome.plans):
        yield Disagreement("plans", str(mismatch))
    yield from _listed(outcome)


def _listed(outcome: Outcome) -> Iterator[Disagreement]:
    """A winner under another view that has a rank is the plan of that rank; one of a grade is of that grade, and one
    that goes on with a node gone says so."""
    others, ranking = outcome.others, {plan.rank: plan for plan in outcome.plans}
    for grade, winner in others.by_grade:
        if winner.plan is not None and winner.plan.grade != grade:
            yield Disagreement("plans", f"the winner of grade {grade} is of grade {winner.plan.grade}")
    if others.surviving is not None and others.surviving.plan is not None and not others.surviving.plan.without_a_node:
        yield Disagreement("plans", "the plan that goes on with any one node gone does not say that it does")
    for winner in others.every():
        if winner.rank is None:
            continue
        for path, stated, now in differences(encode(winner.plan), encode(ranking.get(winner.rank))):
            yield Disagreement("plans", f"winner #{winner.rank}: {path} is {_short(stated)}, not {_short(now)}")


def _proof(text: PlanText, inputs: Inputs) -> Iterator[Disagreement]:
    """What the verdict says of itself, against the plans."""
    outcome, proof = text.outcome, text.outcome.proof
    best = outcome.plans[0] if outcome.plans else None
    expected: dict[str, tuple[object, object]] = {
        "objective": (proof.objective, str(inputs.problem.objective)),
        "performance_model": (proof.performance_model, inputs.params.version),
        "replay_rejected": (proof.replay_rejected, len(outcome.rejected)),
        "expires": (outcome.others.expires, best.expires if best else None),
    }
    reached = None if best is None else _reached(best, proof.objective)
    if reached is not None:
        expected["value"] = (proof.value, reached)
    if status_of(outcome) == "optimal":
        expected["bound"] = (proof.bound, proof.value)
        expected["gap"] = (proof.gap, 0.0)
        expected["proven"] = (all(plan.proven for plan in outcome.plans), True)
    for name, (stated, now) in expected.items():
        if stated != now:
            yield Disagreement("proof", f"{name} is {_short(stated)}, not {_short(now)}")


_PARTS: Mapping[str, Callable[[PlanText, Inputs], Iterator[Disagreement]]] = MappingProxyType(
    {"seals": _seals, "question": _question, "offers": _offers, "plans": _plans, "proof": _proof}
)

_ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, OptimizerError)
"""What figures that nobody worked out may lead to on the way."""


def _reached(plan: Plan, objective: str) -> float | None:
    """What a plan reaches of what is sought, where the plan says so to the last digit."""
    match objective:
        case "minimize_cost":
            return from_cents(plan.monthly_cents)
        case "minimize_gpus":
            return float(plan.gpus)
        case "maximize_load":
            return plan.load_factor
        case _:
            return None


def differences(stated: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two nested values differ: the path, and the values on both sides."""
    if isinstance(stated, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*stated, *now)):
            yield from differences(stated.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(stated, list) and isinstance(now, list) and len(stated) == len(now):
        for at, (one, other) in enumerate(zip(stated, now, strict=True)):
            yield from differences(one, other, f"{path}[{at}]")
    elif type(stated) is not type(now) or stated != now:
        yield path, stated, now


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
