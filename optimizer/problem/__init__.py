"""The problem room: a file of business targets, strictly read, and the load and promises it means."""

from optimizer.problem.demand import demand_of
from optimizer.problem.figures import Figure, StatedPromise, figure_of, figures_of, place_of, stated_promises, value_at
from optimizer.problem.load import (
    Part,
    is_split,
    lengths_of,
    load_of,
    parts_of,
    periods_of,
    population_of,
    rate_floors,
    session_means,
    sessions_of,
    slo_of,
)
from optimizer.problem.pooling import judged_by_replays, obstacles, pools_left_out, pools_wanted
from optimizer.problem.reader import load_problem, parse_problem, problem_from_bytes, problem_with, stated_at
from optimizer.problem.references import KnownIds, calibration_path, config_path, trace_path
from optimizer.problem.schema import READ_FROM, Problem, Workload
from optimizer.problem.session_lengths import session_lengths_of
from optimizer.problem.session_words import people_words, session_words
from optimizer.problem.speculating import may_draft
from optimizer.vocabulary import KV_CACHES, WEIGHT_QUANT_ALIASES, WEIGHT_QUANTS

__all__ = [
    "KV_CACHES",
    "READ_FROM",
    "WEIGHT_QUANTS",
    "WEIGHT_QUANT_ALIASES",
    "Figure",
    "KnownIds",
    "Part",
    "Problem",
    "StatedPromise",
    "Workload",
    "calibration_path",
    "config_path",
    "demand_of",
    "figure_of",
    "figures_of",
    "is_split",
    "judged_by_replays",
    "lengths_of",
    "load_of",
    "load_problem",
    "may_draft",
    "obstacles",
    "parse_problem",
    "parts_of",
    "people_words",
    "periods_of",
    "place_of",
    "pools_left_out",
    "pools_wanted",
    "population_of",
    "problem_from_bytes",
    "problem_with",
    "rate_floors",
    "session_lengths_of",
    "session_means",
    "session_words",
    "sessions_of",
    "slo_of",
    "stated_at",
    "stated_promises",
    "trace_path",
    "value_at",
]
