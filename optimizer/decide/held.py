"""An answer that was given, held open again: the solver's choice as it travels, and the case around it.

Candidates and ways to pay are named by their content keys and looked up among those that the same problem leads to
again, which takes no solving. What replays taught of candidates travels with the choice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.decide.solve import Answer
from optimizer.plan.carried import Json, NotCarriedError, Reference, References, decode, encode
from optimizer.progress import NO_LIMIT, Clock, Say, silent
from optimizer.vocabulary import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optimizer.candidates.types import Candidate
    from optimizer.plan.types import Outcome
    from optimizer.planning.inputs import Inputs
    from optimizer.pricing import NodeOption


def choice_of(answer: Answer) -> Json:
    """What the solver chose and what replays taught, as JSON."""
    from optimizer.fleet.types import FleetResult

    before = {one.key: one for one in answer.enumerated.candidates}
    now = {one.key: one for one in answer.case.candidates.candidates}
    cut = [one for key, one in now.items() if one is not before.get(key)]
    return {
        "result": encode(answer.result, FleetResult, _references((), ())),
        "cut": [_named(one) for one in cut],
        "gone": [list(key) for key in before if key not in now],
    }


def held_open(
    inputs: Inputs,
    outcome: Outcome,
    choice: Json,
    *,
    simulate: bool,
    clock: Clock = NO_LIMIT,
    progress: Say = silent,
) -> Answer:
    """The answer again, ready to be asked under edits. Raises ``NotCarriedError`` where the choice names what the
    problem does not lead to."""
    from optimizer.fleet.candidate_set import enumerate_candidates
    from optimizer.fleet.types import FleetResult
    from optimizer.planning.replay import remember
    from optimizer.planning.replicas_replayed import ReplayMemory
    from optimizer.pricing import node_options
    from optimizer.whatif.case import case_of

    options, memo = node_options(inputs.problem, inputs.catalog), inputs.known.memo
    progress("predicting every possible replica")
    enumerated = enumerate_candidates(inputs.problem, inputs.catalog, options, inputs.params, clock=clock, memo=memo)
    references = _references(enumerated.candidates, options)
    result = decode(choice["result"], FleetResult, references)
    read = references[_candidate()].read
    cut = {one.key: one for one in (read(data) for data in choice["cut"])}
    gone = {tuple(key) for key in choice["gone"]}
    kept = tuple(cut.get(one.key, one) for one in enumerated.candidates if one.key not in gone)
    learnt = replace(enumerated, candidates=kept) if cut or gone else enumerated
    memory = ReplayMemory(inputs.known.replays) if simulate else None
    if memory is not None:
        remember(inputs, result, outcome.plans, memory)
    case = case_of(inputs, options, learnt, clock, memo, memory)
    return Answer(outcome, case, result, enumerated)


def _candidate() -> type[Candidate]:
    from optimizer.candidates.types import Candidate

    return Candidate


def _references(candidates: Sequence[Candidate], options: Sequence[NodeOption]) -> References:
    from optimizer.candidates.types import PoolWorker
    from optimizer.performance.types import OperatingPoint
    from optimizer.pricing import NodeOption

    by_key = {one.key: one for one in candidates}
    ways = {one.key: one for one in options}

    def candidate(data: Json) -> Candidate:
        key = tuple(data["key"])
        role = Role(key[-1]) if key and key[-1] in tuple(Role) else Role.SERVE
        known = by_key.get(key if role is Role.SERVE else key[:-1])
        if known is None:
            raise NotCarriedError(f"the problem leads to no candidate {data['key']}")
        points = decode(data["points"], tuple[OperatingPoint, ...])
        worker = decode(data["worker"], PoolWorker) if "worker" in data else None
        return replace(known, role=role, points=points, worker=worker)

    def option(data: Json) -> NodeOption:
        known = ways.get((data[0], data[1]))
        if known is None:
            raise NotCarriedError(f"the catalogs have no offer {data[0]} ({data[1]})")
        return known

    return {
        _candidate(): Reference(_named, candidate),
        NodeOption: Reference(lambda one: list(one.key), option),
    }


def _named(candidate: Candidate) -> Json:
    from optimizer.candidates.types import PoolWorker
    from optimizer.performance.types import OperatingPoint

    named = {"key": list(candidate.key), "points": encode(candidate.points, tuple[OperatingPoint, ...])}
    return named if candidate.worker is None else {**named, "worker": encode(candidate.worker, PoolWorker)}
