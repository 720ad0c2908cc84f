"""Rows of a table that describe a prefill pool and a decode pool: disaggregated serving.

Columns ``prefill_*`` and ``decode_*`` (workers, tensor_parallel, attention_dp, expert_parallel, moe_tensor_parallel;
also gpu, formats and overlap where the pools differ) stand in place of tp, pp, replicas and the degrees of one replica;
``decode_slots`` is the most sequences that all decode workers take at once. The load is that of the whole system.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from optimizer.calibrate.benchmark_results import MOST_IN_FLIGHT, RowCells, parse_row
from optimizer.calibrate.forward import OPEN_LOOP_REQUESTS, MedianEstimate, settings_of
from optimizer.calibrate.rows import MeasuredRow, RowCase, RowError, case_of, degree_defects
from optimizer.catalog.types import Catalog
from optimizer.performance.compatibility import run_refusals
from optimizer.performance.degrees import degree_refusals
from optimizer.performance.expert_ranks import domain_gpus
from optimizer.performance.parameters import Parameters, version_number
from optimizer.performance.types import ReplicaSpec
from optimizer.simulate.pool_times import between, decode_pool, decode_slots, prefill_pool
from optimizer.simulate.pools import simulate_pools
from optimizer.simulate.replica import Arrivals, Pattern

POOLS = ("prefill", "decode")
OWN = ("gpu", "kv_cache", "weight_quant", "overlap", "max_num_batched_tokens")
"""Columns of a row that a pool may state for itself."""

DEGREES = ("tensor_parallel", "attention_dp", "expert_parallel", "moe_tensor_parallel")
WORKERS = "workers"

FIRST_WITH_POOLS = (0, 10)
"""TensorRT-LLM releases before it have no pools: a disaggregated row that names one states the tag of NVIDIA Dynamo,
whose 0.5 to 0.9 hold TensorRT-LLM 1.1 to 1.3."""

HELD_BY_DYNAMO = "1.2"

_WHOLE_SYSTEM = ("tp", "pp", "dp", "replicas", "attention_dp", "expert_parallel", "moe_tensor_parallel", "nodes")
_SPECULATION = ("speculative", "speculative_tokens", "acceptance", "task", "draft_model")
_NOT_KNOWN = ("router", "input_p95", "output_p95", "shared_prefix", "requests_per_prefix")


@dataclass(frozen=True, slots=True)
class PoolCase:
    """A disaggregated row in the terms of the model."""

    row: MeasuredRow  # load, lengths and what was measured; degrees of neither pool
    prefill: ReplicaSpec
    prefill_workers: int
    decode: ReplicaSpec
    decode_workers: int
    slots: int  # of all decode workers, as stated; 0: not stated
    unknown_engine: bool = False

    @property
    def gpus(self) -> int:
        """Cards of both pools."""
        return self.prefill_workers * self.prefill.gpus + self.decode_workers * self.decode.gpus

    @property
    def worker_slots(self) -> int:
        """Requests that one decode worker takes at once."""
        resident = self.row.input_tokens + 0.5 * self.row.output_tokens
        return decode_slots(self.decode, self.decode_workers, resident, self.slots)

    @property
    def beyond_slots(self) -> bool:
        """Whether clients hold more requests than the decode pool takes at once."""
        return self.row.load != "open_loop" and self.row.concurrency > self.worker_slots * self.decode_workers


def describes_pools(cells: Mapping[str, str | None]) -> bool:
    """Whether a row states anything of a prefill or a decode pool."""
    ours = ("decode_slots", *(f"{pool}_{name}" for pool in POOLS for name in (WORKERS, *DEGREES, *OWN)))
    return any((cells.get(name) or "").strip() for name in ours)


def pool_case(cells: Mapping[str, str | None], catalog: Catalog) -> PoolCase:
    """The case of a disaggregated row; raises RowError with everything that is wrong with it or cannot run."""
    whole = RowCells(cells)
    slots = whole.degree("decode_slots", MOST_IN_FLIGHT)
    defects = [*whole.defects, *_out_of_place(cells)]
    sides = {pool: _side(cells, pool, catalog, defects) for pool in POOLS}
    if defects or any(side is None for side in sides.values()):
        raise RowError(defects)
    (before, n_before), (after, n_after) = (side for side in sides.values() if side is not None)
    unknown = before.unknown_engine or after.unknown_engine
    case = PoolCase(before.row, before.spec, n_before, after.spec, n_after, slots, unknown)
    defects += _between_pools(case, cells)
    if defects:
        raise RowError(defects)
    return case


def _out_of_place(cells: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Columns that say something of one replica, or of what pools are not predicted with."""
    for name in _WHOLE_SYSTEM:
        if _text(cells, name) not in ("", "1"):
            yield name, f"{name} {_text(cells, name)}: of pools state prefill_* and decode_* columns"
    for name in _NOT_KNOWN:
        if _text(cells, name):
            yield name, f"{name}: pools are predicted for independent requests of one length, without a router"
    if _text(cells, "load") in ("offline", "static_batch"):
        yield "load", f"load {_text(cells, 'load')}: pools are predicted for closed_loop and open_loop"


def _side(
    cells: Mapping[str, str | None], pool: str, catalog: Catalog, defects: list[tuple[str, str]]
) -> tuple[RowCase, int] | None:
    """One pool's worker as the case of a replica, and how many workers there are; notes what is wrong."""

    def named(column: str) -> str:
        return f"{pool}_{column}"

    tensor = _text(cells, named("tensor_parallel"))
    missing = [named(name) for name in (WORKERS, "tensor_parallel") if not _text(cells, named(name))]
    if missing:
        defects += [(name, f"{name} is not stated: it is needed of both pools") for name in missing]
        return None
    whole = RowCells(cells)
    workers = whole.whole(named(WORKERS), 1)
    defects += whole.defects
    own = {name: value for name, value in cells.items() if name not in (*_WHOLE_SYSTEM, "gpu_count")}
    own |= {"tp": tensor, **{name: _text(cells, named(name)) for name in DEGREES[1:]}}
    own |= {name: _text(cells, named(name)) or _text(cells, name) for name in OWN}
    own["engine_version"] = _release(_text(cells, "engine"), _text(cells, "engine_version"))
    own["start"] = _text(cells, "start") or ("steady" if _text(cells, "load") == "open_loop" else "burst")
    if not own["kv_cache"] and own.get("engine") == "trtllm":
        own["kv_cache"] = _recipe_kv(own["gpu"] or "", catalog)
    if pool == "prefill":  # drafts are made where tokens are written
        own |= dict.fromkeys(_SPECULATION)
    try:
        case = case_of(parse_row(own), catalog)
    except RowError as error:
        names = {"tp": named("tensor_parallel"), **{name: named(name) for name in DEGREES[1:]}}
        defects += [(names.get(cell, cell), text) for cell, text in error.defects]
        return None
    row = case.row
    found = [*degree_defects(row, case.spec.model, gpu_count_stated=False), *degree_refusals(case.spec)]
    found += [("gpu", reason) for reason in run_refusals(case.spec)]
    defects += [(named(cell), f"{pool} pool: {text}") for cell, text in dict.fromkeys(found)]
    return case, workers


def _release(engine: str, version: str) -> str:
    """The engine's own release of a row."""
    number = version_number(version)
    tag = engine == "trtllm" and number is not None and number < FIRST_WITH_POOLS
    return HELD_BY_DYNAMO if tag else version


def _recipe_kv(card: str, catalog: Catalog) -> str:
    """Cache format of TensorRT-LLM pools that state none: their published recipes set an 8-bit one on Blackwell
    (``kv_cache_config: dtype: fp8``), and rows of them hold more sequences than a 16-bit cache could."""
    gpu = catalog.gpus.get(card)
    return "fp8" if gpu is not None and gpu.arch in ("blackwell", "blackwell_ultra") else ""


def _between_pools(case: PoolCase, cells: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """What must agree between the pools, and how a cache gets from one to the other."""
    if case.prefill.kv_cache != case.decode.kv_cache:
        yield (
            "decode_kv_cache",
            f"the prefill pool's cache is {case.prefill.kv_cache}, the decode pool's {case.decode.kv_cache}: "
            "a cache is sent as it stands, so both need the same format",
        )
    stated = _text(cells, "gpu_count")
    if stated and float(stated) != case.gpus:
        yield (
            "gpu_count",
            f"gpu_count {stated} is not {case.prefill_workers} x {case.prefill.gpus} prefill and "
            f"{case.decode_workers} x {case.decode.gpus} decode GPUs, {case.gpus} in all",
        )
    for pool, spec in zip(POOLS, (case.prefill, case.decode), strict=True):
        inside = case.prefill.gpu.id == case.decode.gpu.id and case.gpus <= domain_gpus(spec)
        if not inside and not spec.gpu.datacenter_licensed:
            yield (
                f"{pool}_workers",
                f"{case.gpus} GPUs are more than a node, and {spec.gpu.id} has no fabric to send a cache over: "
                "GeForce drivers refuse RDMA into GPU memory",
            )


def _text(cells: Mapping[str, str | None], name: str) -> str:
    value = (cells.get(name) or "").strip()
    return "" if value.lower() == "nan" else value


def predict_pools(case: PoolCase, params: Parameters) -> MedianEstimate:
    """What a client of the two pools would report; of each figure means and percentiles over requests."""
    row = case.row
    longest = 2.0 * row.input_tokens / (1.0 + row.length_low)
    before = prefill_pool(case.prefill, case.prefill_workers, row.input_tokens, longest, params)
    held = max(round(row.concurrency), 1) if math.isfinite(row.concurrency) else case.worker_slots
    slots = min(case.worker_slots, held)
    after = decode_pool(case.decode, case.decode_workers, slots, row.input_tokens, row.output_tokens, params)
    settings = settings_of(case.decode, 1.0, params, row.load == "open_loop")
    front = (settings.frontend_s, settings.service_s / case.prefill_workers)  # each prefill worker has its own
    outside = between(case.prefill, case.decode, front, case.gpus, params)
    each = min(math.ceil(held / case.decode_workers), slots)
    step = after.fixed[each] + after.token[each] * each * (row.input_tokens + 0.5 * row.output_tokens)
    trace = simulate_pools(before, after, outside, _pattern(row, held, row.output_tokens / after.advance * step))
    figures: list[float] = []
    for seconds in (trace.ttft, trace.tpot):
        figures += [1e3 * float(v) for v in (seconds.mean(), *np.percentile(seconds, (50, 95, 99)))]
    return MedianEstimate(*(max(value, 1e-6) for value in [*figures, trace.output_tokens_per_second]))


RUNS_PER_CLIENT = 10
"""Requests of a closed-loop run per client where a row does not say: what public benchmark recipes send."""


def _pattern(row: MeasuredRow, held: int, request_s: float) -> Pattern:
    """The load of a row: clients that begin at once, or over the ``request_s`` of one request, and send again; or
    Poisson arrivals."""
    base = Pattern(Arrivals.BURST, 1, row.input_tokens, row.output_tokens, length_low=row.length_low)
    if row.load == "open_loop":
        count = int(np.clip(row.requests if row.requests > 0 else OPEN_LOOP_REQUESTS, 20, 2000))
        cap = held if row.concurrency >= 1 else 0
        return replace(base, arrivals=Arrivals.POISSON, requests=count, rate=row.request_rate, cap=cap)
    count = int(row.requests) if row.requests > 0 else RUNS_PER_CLIENT * held
    if row.start == "steady":
        return replace(base, arrivals=Arrivals.STEADY, requests=count, concurrency=held, spread_s=request_s)
    return replace(base, requests=max(count, held), concurrency=held)
