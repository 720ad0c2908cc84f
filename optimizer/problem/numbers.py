"""Numbers of a problem file: which way each is strict, in which steps it is told apart, in what unit it reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Strict(Enum):
    """Which values ask more of a plan. Where it is known, cost never falls in that direction."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"  # cost may rise and fall: sampled, then bisected between samples that differ


@dataclass(frozen=True, slots=True)
class Field:
    """What is known about a kind of field."""

    strict: Strict
    grain: str  # natural step, as a decimal
    unit: str


_UP, _DOWN, _ANY = Strict.UP, Strict.DOWN, Strict.UNKNOWN

_FIELDS: tuple[tuple[str, Field], ...] = (
    (r"traffic\.concurrency", Field(_UP, "1", "requests in flight")),
    (r"traffic\.requests_per_second", Field(_UP, "0.1", "requests/s")),
    (r"traffic\.output_tokens_per_second", Field(_UP, "10", "output tokens/s")),
    (r"traffic\.users\.active", Field(_UP, "1", "users")),
    (r"traffic\.users\.requests_per_user_per_hour", Field(_UP, "0.1", "requests per user and hour")),
    (r"traffic\.users\.think_time_s", Field(_DOWN, "0.1", "s between requests")),
    (r"traffic\.peak_factor", Field(_UP, "0.01", "times the stated load")),
    (r"traffic\.batch\.requests", Field(_UP, "100", "requests a run")),
    (r"traffic\.batch\.within_hours", Field(_ANY, "0.1", "hours")),
    (r"traffic\.batch\.runs_per_month", Field(_ANY, "1", "runs a month")),
    (r"traffic\.profile\.[^.]+\.factor", Field(_UP, "0.01", "times the stated load")),
    (r"traffic\.profile\.[^.]+\.hours_per_month", Field(_ANY, "1", "hours a month")),
    (r"traffic\.profile\.[^.]+\.starts_per_month", Field(_ANY, "1", "times a month")),
    (r"traffic\.min_replicas", Field(_UP, "1", "replicas")),
    (r"slo\.ttft_ms(\.p\d+)?", Field(_DOWN, "1", "ms")),
    (r"slo\.tpot_ms(\.p\d+)?", Field(_DOWN, "0.1", "ms")),
    (r"slo\.e2e_s(\.p\d+)?", Field(_DOWN, "0.1", "s")),
    (r"slo\.tokens_per_second_per_user", Field(_UP, "0.1", "tokens/s for each user")),
    (r"tokens\.(input|output)(\.mean|\.p95)?", Field(_ANY, "1", "tokens")),
    (r"tokens\.context_max", Field(_ANY, "1", "tokens")),
    (r"tokens\.classes\.[^.]+\.(input|output)(\.mean|\.p95)?", Field(_ANY, "1", "tokens")),
    (r"tokens\.classes\.[^.]+\.context_max", Field(_ANY, "1", "tokens")),
    (r"tokens\.shared_prefix", Field(_ANY, "0.01", "of the input")),
    (r"quality\.min_recovery", Field(_UP, "0.001", "of the published quality")),
    (r"hardware\.limits\.max_gpus", Field(_DOWN, "1", "GPUs")),
    (r"hardware\.limits\.max_nodes", Field(_DOWN, "1", "nodes")),
    (r"hardware\.limits\.max_gpu_kinds", Field(_DOWN, "1", "kinds of GPU")),
    (r"hardware\.limits\.max_power_kw", Field(_DOWN, "0.1", "kW")),
    (r"hardware\.quota\.\d+\.max_gpus", Field(_DOWN, "1", "GPUs")),
    (r"hardware\.owned\.\d+\.nodes", Field(_DOWN, "1", "nodes")),
    (r"offers\.[^.]+\.stock", Field(_DOWN, "1", "nodes")),
    (r"budget\.monthly", Field(_DOWN, "1", "a month")),
    (r"payment\.max_commitment_months", Field(_DOWN, "1", "months")),
    (r"margins\.confidence", Field(_UP, "0.01", "of the cases of model error")),
    (r"margins\.load_headroom", Field(_UP, "0.01", "of the load on top")),
    (r"margins\.spare_nodes", Field(_UP, "1", "spare nodes")),
    (r"payment\.tax_percent", Field(_ANY, "0.1", "%")),
    (r"payment\.startup_minutes", Field(_ANY, "1", "minutes")),
    (r"payment\.spot_uplift_percent", Field(_ANY, "1", "% of rent")),
    (r"payment\.hours_per_month", Field(_ANY, "1", "hours a month")),
    (r"ownership\.electricity_per_kwh", Field(_ANY, "0.001", "a kWh")),
    (r"ownership\.\w+", Field(_ANY, "0.01", "")),
)


def field_of(path: str) -> Field:
    """What is known about the field at a path; of others no more than that they are numbers."""
    short = re.sub(r"^workloads\.[^.]+\.(tokens\.classes\.[^.]+\.(?=slo\.))?", "", path)
    return next((field for pattern, field in _FIELDS if re.fullmatch(pattern, short)), Field(_ANY, "", ""))
