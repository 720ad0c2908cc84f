"""The line from a problem to a verified outcome. The only room that imports both the fleet model and the verifier."""

from optimizer.decide.solve import Answer, answer, decide, solve_problem
from optimizer.planning.inputs import Inputs, read_inputs

__all__ = ["Answer", "Inputs", "answer", "decide", "read_inputs", "solve_problem"]
