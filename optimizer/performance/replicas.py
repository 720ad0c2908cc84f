"""Specifications as columns for the closed form: step-time coefficients, slots, scheduler and front end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimizer.performance.coefficients import coefficients
from optimizer.performance.lengths import LengthMoments, moments_of
from optimizer.performance.memory import PLANNED_SHARE, memory_table
from optimizer.performance.parameters import Parameters
from optimizer.performance.step import StepCoefficients, step_seconds
from optimizer.performance.types import ReplicaSpec
from optimizer.workload import Lengths

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Replicas:
    """Many replicas as columns: step-time coefficients, scheduler limits, front end."""

    c: StepCoefficients
    slots: Array  # most requests resident at once
    budget: Array  # tokens of a step
    mixed: Array  # 1: prompt chunks and decode share steps
    frontend_s: Array
    service_s: Array
    alone_s: Array  # decode step of one request by itself
    idle_s: Array  # step with neither decode nor prompt
    fits: npt.NDArray[np.bool_]


def replica_fits(specs: Sequence[ReplicaSpec], lengths: Lengths, params: Parameters) -> npt.NDArray[np.bool_]:
    """Whether weights, one request of ``context_max`` and one planned request within 90 % of the blocks fit."""
    return _room_for_kv(specs, moments_of(lengths), _engine_columns(specs, params)[3])[1]


def replicas_of(specs: Sequence[ReplicaSpec], lengths: Lengths, params: Parameters) -> Replicas:
    """Columns for the closed form."""
    moments = moments_of(lengths)
    c = coefficients(specs, params)
    budget = np.array([spec.max_num_batched_tokens * spec.pipeline_parallel for spec in specs], dtype=np.float64)
    most = np.array([spec.max_num_seqs for spec in specs], dtype=np.float64)
    frontend, service, mixed, reserve = _engine_columns(specs, params)
    requests, fits = _room_for_kv(specs, moments, reserve)
    slots = np.maximum(np.minimum(most, np.minimum(requests, budget)), 1.0)
    one = np.ones(len(specs))
    alone = step_seconds(c, one, one * moments.resident_seen, 0.0 * one, 0.0 * one)
    idle = step_seconds(c, 0.0 * one, 0.0 * one, 0.0 * one, 0.0 * one)
    return Replicas(c, slots, budget, mixed, frontend, service, alone, idle, fits)


def _room_for_kv(specs: Sequence[ReplicaSpec], m: LengthMoments, reserve: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Requests of planned length in 90 % of the KV blocks, and whether a replica can run at all."""
    table = memory_table(specs)
    planned = PLANNED_SHARE * table.kv_budget / table.kv.sequence(np.where(reserve > 0.5, m.reserved, m.resident))
    return planned, (table.kv_budget >= table.kv.sequence(float(m.context_max))) & (planned >= 1.0)


def _engine_columns(specs: Sequence[ReplicaSpec], params: Parameters) -> Array:
    """Front end (s), its service time (s), shared steps (0/1), reservation (0/1); looked up once per engine."""
    found: dict[tuple[str, str], tuple[float, ...]] = {}
    rows = []
    for spec in specs:
        key = (spec.engine.profile, spec.engine_version)
        if key not in found:
            found[key] = _engine_row(spec, params)
        rows.append(found[key])
    return np.array(rows, dtype=np.float64).reshape(-1, 4).T


def _engine_row(spec: ReplicaSpec, params: Parameters) -> tuple[float, float, float, float]:
    profile = spec.engine.profile
    scopes = (f"engine:{profile}@{params.generation(profile, spec.engine_version)}", f"engine:{profile}")
    return (
        params.first("frontend_ms", *scopes) * 1e-3,
        params.first("frontend_service_ms", *scopes) * 1e-3,
        params.first("mixed_steps", *scopes),
        params.first("reserve_output", *scopes),
    )
