"""The door to OR-Tools' CP-SAT: the model builder and the solver, without what ``cp_model`` imports beside them.

``ortools.sat.python.cp_model`` imports pandas for series of variables, which costs more time than solving the
front-page problem. Everything it does for a model like ours is in its compiled core, ``cp_model_helper``; the classes
here are the same thin layer over it, cut down to what the fleet model uses. ``ortools`` is pinned to the version this
was written for, and a test holds both doors to the same models and the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from ortools.sat.python import cp_model_helper as core
from ortools.util.python.sorted_interval_list import Domain  # type: ignore[import-untyped]

IntVar: TypeAlias = Any
LinearExprT: TypeAlias = Any
"""A variable, a linear expression of variables, or an integer."""

Constraint: TypeAlias = Any
"""A row of a model."""

LinearExpr: Any = core.LinearExpr
"""Sums of variables, plain (``sum``) and weighted (``weighted_sum``)."""

OPTIMAL = core.CpSolverStatus.OPTIMAL
FEASIBLE = core.CpSolverStatus.FEASIBLE
INFEASIBLE = core.CpSolverStatus.INFEASIBLE


class CpModel(core.CpBaseModel):
    """A CP-SAT model; the methods are those of ``cp_model.CpModel`` of the same names."""

    def __init__(self) -> None:
        core.CpBaseModel.__init__(self, None)

    @property
    def _core(self) -> Any:
        """This model as the compiled class, whose stubs leave its private methods out."""
        return self

    @property
    def proto(self) -> Any:
        """The protobuf message of the model."""
        return self.model_proto

    def new_int_var(self, low: int, high: int, name: str) -> IntVar:
        """An integer variable with bounds, both included."""
        return core.IntVar(self.model_proto).with_name(name).with_domain(Domain(low, high))

    def new_bool_var(self, name: str) -> IntVar:
        """A 0-1 variable."""
        return self.new_int_var(0, 1, name)

    def add(self, row: Any) -> Any:
        """State a linear row; a comparison of constants becomes an empty clause where it is false."""
        if isinstance(row, core.BoundedLinearExpression):
            return self._core._add_bounded_linear_expression(row)
        return self.add_bool_or([True]) if row else self.add_bool_or([])

    def add_bool_or(self, literals: Iterable[Any]) -> Any:
        """At least one of the literals."""
        return self._core._add_bool_argument_constraint(core.BoolArgumentConstraint.bool_or, literals)

    def add_exactly_one(self, literals: Iterable[Any]) -> Any:
        """Exactly one of the literals."""
        return self._core._add_bool_argument_constraint(core.BoolArgumentConstraint.exactly_one, literals)

    def add_implication(self, first: Any, second: Any) -> Any:
        """The first literal implies the second."""
        clause = self._core._add_bool_argument_constraint(core.BoolArgumentConstraint.bool_and, second)
        return clause.only_enforce_if(first)

    def minimize(self, expression: LinearExprT) -> None:
        """Set the objective."""
        self._set_objective(expression, 1)

    def maximize(self, expression: LinearExprT) -> None:
        """Set the objective."""
        self._set_objective(expression, -1)

    def clone(self) -> CpModel:
        """A copy that shares nothing; variables keep their indices."""
        copy = CpModel()
        copy.proto.copy_from(self.proto)
        copy.rebuild_constant_map()
        return copy

    def validate(self) -> str:
        """What is wrong with the model; empty when nothing is."""
        return str(core.CpSatHelper.validate_model(self.model_proto))

    def _set_objective(self, expression: LinearExprT, sign: int) -> None:
        self.model_proto.clear_objective()
        objective = self.model_proto.objective
        objective.scaling_factor = float(sign)
        if isinstance(expression, int):
            objective.offset, objective.scaling_factor = expression, 1.0
            return
        flat = core.FlatIntExpr(expression)
        objective.offset = sign * flat.offset
        objective.vars.extend([variable.index for variable in flat.vars])
        objective.coeffs.extend([sign * coefficient for coefficient in flat.coeffs])


class CpSolver:
    """Solves a model and keeps the answer."""

    def __init__(self) -> None:
        self.parameters = core.SatParameters()
        self._response: Any = None

    def solve(self, model: CpModel) -> Any:
        """Solve; the status is one of those above, or another that holds no solution."""
        wrapper = core.SolveWrapper()
        self.parameters.catch_sigint_signal = False  # Python is told, not the search, which would go on with less
        wrapper.set_parameters(self.parameters)
        self._response = _interruptibly(wrapper, model.proto)
        return self._response.status

    def value(self, expression: LinearExprT) -> int:
        """Value of a variable or expression in the solution."""
        return int(core.ResponseHelper.value(self._response, expression))

    @property
    def objective_value(self) -> float:
        """Value of the objective."""
        return float(self._response.objective_value)

    @property
    def best_objective_bound(self) -> float:
        """What is proven about the objective."""
        return float(self._response.best_objective_bound)


def _interruptibly(wrapper: Any, proto: Any) -> Any:
    """The solver's response, from a thread of its own: no signal reaches Python while the solver has the main one, so
    that Ctrl-C would end nothing."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(wrapper.solve, proto)
        try:
            return running.result()
        except BaseException:
            wrapper.stop_search()
            raise
