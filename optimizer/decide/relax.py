"""Ways out of an infeasible problem: each edit the fleet model proposes is applied, solved again and priced."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from optimizer.decide.inputs import loads_of
from optimizer.errors import ProblemError
from optimizer.plan.types import Relaxation

if TYPE_CHECKING:
    from optimizer.candidates.types import CandidateSet
    from optimizer.decide.inputs import Inputs
    from optimizer.fleet.types import Edit, FleetResult
    from optimizer.pricing import NodeOption


def relaxations(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    result: FleetResult,
    say: Callable[[str], None],
) -> tuple[Relaxation, ...]:
    """Edits that make the problem feasible, cheapest first; empty where it is feasible already or nothing helps."""
    if result.status != "infeasible":
        return ()
    from optimizer.fleet import propose_edits

    found: list[Relaxation] = []
    for edit in propose_edits(inputs.problem, inputs.catalog, inputs.params, candidates, options):
        say(f"trying {edit.path}")
        cents = _cost_with(inputs, edit)
        if cents is not None:
            together = tuple((other.path, other.before, other.after) for other in edit.also)
            found.append(Relaxation(edit.path, edit.before, edit.after, cents, together))
    return tuple(sorted(found, key=lambda way: (way.monthly_cents, way.change)))


def _cost_with(inputs: Inputs, edit: Edit) -> int | None:
    """Cents per month of the best plan under the edit; None where it does not help after all."""
    from optimizer.candidates import enumerate_candidates
    from optimizer.fleet import solve_fleet
    from optimizer.pricing import node_options

    try:
        edited = inputs.with_sets([as_set(one) for one in (edit, *edit.also)])
    except ProblemError:  # two keys that only make sense together: the edit alone is no problem file
        return None
    options = node_options(edited.problem, edited.catalog)
    candidates = enumerate_candidates(edited.problem, edited.catalog, options, edited.params)
    solutions = solve_fleet(edited.problem, candidates, options, loads_of(edited.problem)).solutions
    return solutions[0].monthly_cents if solutions else None


def as_set(edit: Edit) -> str:
    """The edit as ``--set`` takes it: JSON is YAML."""
    return f"{edit.path}={json.dumps(edit.after, default=_plain)}"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, (tuple, set, frozenset)) else str(value)
