"""Cross-validation: every row is scored by a fit that saw nothing of its source x GPU x model group.

Groups are dealt to folds by size. Each fold's parameters come from the shared linearisation of all rows (derivatives
hardly depend on the parameters) solved on the other folds' targets only, re-centred once on its own solution: the
predictions themselves are always simulated with the fold's own parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from optimizer.calibrate.fit import Floats, Linearised, Problem, _log_predictions, solve
from optimizer.calibrate.forward import kv_tokens_of
from optimizer.calibrate.rows import Case

FOLDS = 5


def folds_of(cases: Sequence[Case], folds: int = FOLDS) -> npt.NDArray[np.int64]:
    """Fold of every case: groups, largest first, each to the fold with the fewest rows (ties by name and number)."""
    sizes: dict[str, int] = {}
    for case in cases:
        sizes[case.row.group] = sizes.get(case.row.group, 0) + 1
    load = [0] * folds
    home: dict[str, int] = {}
    for group in sorted(sizes, key=lambda name: (-sizes[name], name)):
        home[group] = min(range(folds), key=lambda k: (load[k], k))
        load[home[group]] += sizes[group]
    return np.array([home[case.row.group] for case in cases])


def cross_validate(problem: Problem, linear: Linearised, folds: npt.NDArray[np.int64]) -> tuple[list[Floats], Floats]:
    """Parameters of every fold, and each target's log prediction by the fold that did not see it."""
    cache = kv_tokens_of(problem.cases)
    fold_of_target = np.array([folds[target.case] for target in problem.targets])
    result = np.full(len(problem.targets), np.nan)
    thetas = []
    for fold in range(int(folds.max()) + 1):
        seen = fold_of_target != fold
        theta = solve(problem, linear, seen)
        params = problem.parameters(theta)
        everyone = range(len(problem.cases))
        here = _log_predictions(problem, params, everyone, cache)
        theta = solve(problem, Linearised(theta, here, linear.jacobian), seen, limit=0.3)
        params = problem.parameters(theta)
        held_out = [i for i in everyone if folds[i] == fold]
        predicted = _log_predictions(problem, params, held_out, cache)
        result[~seen] = predicted[~seen]
        thetas.append(theta)
    return thetas, result
