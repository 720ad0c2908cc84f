"""Our door to CP-SAT and ``cp_model``'s build the same models and find the same answers."""

from __future__ import annotations

from typing import Any

from optimizer.fleet import cpsat


def _build(cp: Any) -> tuple[Any, Any]:
    at = [cp.new_bool_var(f"at{i}") for i in range(3)]
    nodes = cp.new_int_var(0, 9, "nodes")
    cp.add_exactly_one(at)
    cp.add(2 * nodes >= 7 * at[0] + 5 * at[1] + 9 * at[2]).with_name("packing")
    cp.add_implication(at[1], at[2])
    cp.add_bool_or([~at[0], at[2]])
    cp.add(nodes <= 8).only_enforce_if(~at[0])
    cp.minimize(3 * nodes + at[0] + 5)
    return nodes, at


def test_both_doors_build_the_same_model_and_agree() -> None:
    from ortools.sat.python import cp_model

    ours, theirs = cpsat.CpModel(), cp_model.CpModel()
    nodes, _ = _build(ours)
    their_nodes, _ = _build(theirs)
    assert str(ours.proto) == str(theirs.proto)
    assert ours.validate() == theirs.validate() == ""
    solver, other = cpsat.CpSolver(), cp_model.CpSolver()
    assert solver.solve(ours) == other.solve(theirs) == cpsat.OPTIMAL
    assert solver.value(nodes) == other.value(their_nodes) == 5
    assert solver.objective_value == other.objective_value == solver.best_objective_bound


def test_a_clone_shares_nothing() -> None:
    model = cpsat.CpModel()
    variable = model.new_int_var(0, 9, "x")
    copy = model.clone()
    copy.add(variable >= 4)
    assert len(model.proto.constraints) == 0
    assert len(copy.proto.constraints) == 1


def test_constant_rows() -> None:
    model = cpsat.CpModel()
    model.add(True)
    assert cpsat.CpSolver().solve(model) == cpsat.OPTIMAL
    model.add(False)
    assert cpsat.CpSolver().solve(model) == cpsat.INFEASIBLE
