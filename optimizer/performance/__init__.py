"""What one replica can do: memory, gates, behaviour under load, operating points, error bands. No money, no solver.

Names are imported on first use, so that reading a problem file or printing help never pays for numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimizer.performance.accuracy import band, band_source, error_factor, grade_of, is_upper_bound
    from optimizer.performance.behaviour import behaviours, promised_seconds
    from optimizer.performance.compatibility import (
        Gate,
        compute_precision,
        engine_refusal,
        kv_cache_gates,
        kv_caches,
        legal_tp,
        native_quant,
        offload_refusal,
        pp_refusal,
        recovery,
        tp_refusal,
        weight_quant_gates,
        weight_quants,
    )
    from optimizer.performance.memory import memory_bill, memory_bills, weight_bytes
    from optimizer.performance.parameter_files import load_parameters
    from optimizer.performance.parameters import Parameters

_HOME = {
    "accuracy": ("band", "band_source", "error_factor", "grade_of", "is_upper_bound"),
    "behaviour": ("behaviours", "promised_seconds"),
    "compatibility": (
        "Gate", "compute_precision", "engine_refusal", "kv_cache_gates", "kv_caches", "legal_tp", "native_quant",
        "offload_refusal", "pp_refusal", "recovery", "tp_refusal", "weight_quant_gates", "weight_quants",
    ),
    "memory": ("memory_bill", "memory_bills", "weight_bytes"),
    "parameter_files": ("load_parameters",),
    "parameters": ("Parameters",),
}  # fmt: skip

__all__ = [
    "Gate",
    "Parameters",
    "band",
    "band_source",
    "behaviours",
    "compute_precision",
    "engine_refusal",
    "error_factor",
    "grade_of",
    "is_upper_bound",
    "kv_cache_gates",
    "kv_caches",
    "legal_tp",
    "load_parameters",
    "memory_bill",
    "memory_bills",
    "native_quant",
    "offload_refusal",
    "pp_refusal",
    "promised_seconds",
    "recovery",
    "tp_refusal",
    "weight_bytes",
    "weight_quant_gates",
    "weight_quants",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"optimizer.performance.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
