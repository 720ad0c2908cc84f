"""What a fleet of several kinds of GPU saves: the best plan on each kind alone, found and replayed in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.clock import NO_LIMIT, Clock
from optimizer.decide.case import OutOfTimeError
from optimizer.plan.kinds import SingleKind

if TYPE_CHECKING:
    from optimizer.candidates.types import CandidateSet
    from optimizer.decide.inputs import Inputs
    from optimizer.decide.trial import ReplayMemory
    from optimizer.plan.types import Plan
    from optimizer.pricing import NodeOption


def single_kinds(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    plans: tuple[Plan, ...],
    say: Callable[[str], None],
    *,
    replays: ReplayMemory | None,
    clock: Clock = NO_LIMIT,
) -> tuple[SingleKind, ...]:
    """The cheapest plan on each kind of GPU that stands in the ranking or can serve a class by itself.

    Asked where length classes went to several kinds of GPU; empty otherwise. Each kind may serve the classes apart or
    mixed, as the plan itself may. Raises ``OutOfTimeError`` where the clock leaves no time to know of every kind.
    """
    if not plans or inputs.problem.objective != "minimize_cost":
        return ()
    if len({group.gpu for group in plans[0].groups}) < 2 or not any(group.length_class for group in plans[0].groups):
        return ()
    kinds = sorted({group.gpu for plan in plans for group in plan.groups})
    say("asking what each kind of GPU alone would cost")
    return tuple(_alone(inputs, candidates, options, gpu, clock, replays) for gpu in kinds)


def _alone(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    gpu: str,
    clock: Clock,
    replays: ReplayMemory | None,
) -> SingleKind:
    from optimizer.decide.assemble import assemble
    from optimizer.decide.check import confirm
    from optimizer.decide.inputs import loads_of
    from optimizer.decide.replay import survivors
    from optimizer.fleet import SolveSettings, solve_fleet

    if clock.over:
        raise OutOfTimeError
    mine = tuple(one for one in candidates.candidates if one.node_type.gpu.id == gpu)
    only = replace(candidates, candidates=mine, rules=replace(candidates.rules, top=1))
    result = solve_fleet(inputs.problem, only, options, loads_of(inputs.problem), SolveSettings(clock=clock))
    plans = assemble(inputs, result.solutions, options)
    if replays is not None:
        plans = survivors(inputs, only, options, result, plans, lambda _: None, clock, replays).plans
    if clock.over:  # what was found by now need not be the best of its kind
        raise OutOfTimeError
    confirm(inputs, plans)
    best = plans[0] if plans else None
    return SingleKind(gpu, best.monthly_cents if best else None, best.gpus if best else 0)
