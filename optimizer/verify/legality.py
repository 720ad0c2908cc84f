"""Rules about what a replica is: precision, parallelism, engine settings, quality, memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from optimizer.catalog.checkpoints import checkpoint_for
from optimizer.performance import (
    grade_of,
    kv_caches,
    native_quant,
    pp_refusal,
    recovery,
    tp_refusal,
    weight_quants,
)
from optimizer.performance.memory import kv_need_of
from optimizer.performance.startup import default_share
from optimizer.pricing import has_nvlink
from optimizer.problem import is_split, parts_of
from optimizer.units import SHARE_UNITS
from optimizer.verify.case import CheckedCase, GroupCase, Mismatch
from optimizer.vocabulary import GRADES, Link, Role, split_version

GIB = 2.0**30
GIB_TOLERANCE = 0.01
"""Printed memory may be rounded to two decimals."""


def identity(case: CheckedCase) -> Iterator[Mismatch]:
    """A group repeats its workload's model, its node's card, size and link, and says how its GPUs are joined."""
    for group in case.groups:
        node, printed, spec = group.node_type, group.group, group.spec
        weights = checkpoint_for(case.catalog, spec.model.id, spec.weight_quant, spec.engine.profile, spec.gpu.vendor)
        expected = {
            "model": spec.model.id,
            "gpu": node.gpu.id,
            "gpus_per_node": node.gpus_per_node,
            "link": node.link,
            "engine": case.problem.engine.name,
            "engine_version": case.problem.engine.version or "",
            "interconnect": _interconnect(group),
            "checkpoint": _checkpoint(case, group),
            "published_as": weights.checkpoint if weights else "",
            "needs_engine": weights.min_version if weights else "",
            "length_class": group.part.length_class,
            "class_share": group.part.share,
        }
        for name, value in expected.items():
            if getattr(printed, name) != value:
                yield Mismatch("identity", f"{group.path}.{name}", value, getattr(printed, name), "differs")


def _interconnect(group: GroupCase) -> str:
    if group.spec.gpus == 1:
        return "none"
    ranks_over_nodes = group.spec.attention_dp > 1 and group.spec.gpus > group.node_type.gpus_per_node
    return "nvlink" if in_nvlink_domain(group) or (ranks_over_nodes and has_nvlink(group.node_type)) else "pcie"


def _checkpoint(case: CheckedCase, group: GroupCase) -> str:
    published = (group.spec.model.id, group.spec.weight_quant) in case.catalog.checkpoints
    return "published" if published else "quantize_yourself"


def in_nvlink_domain(group: GroupCase) -> bool:
    """Whether the GPUs of a replica sit inside one NVLink domain: two of a bridged pair, else all of one node."""
    node = group.node_type
    domain = 2 if node.link is Link.NVLINK_PAIR else node.gpus_per_node
    return has_nvlink(node) and group.spec.gpus <= domain


def precision(case: CheckedCase) -> Iterator[Mismatch]:
    """Card, model and engine can run the weight format and the KV-cache type at all."""
    for group in case.groups:
        spec = group.spec
        weights = weight_quants(spec.gpu, spec.model, spec.engine, spec.engine_version)
        if spec.weight_quant not in weights:
            yield Mismatch("precision", f"{group.path}.weight_quant", weights, spec.weight_quant, "cannot run")
        caches = kv_caches(spec.gpu, spec.engine, spec.engine_version)
        if spec.kv_cache not in caches:
            yield Mismatch("precision", f"{group.path}.kv_cache", caches, spec.kv_cache, "cannot run")


def parallelism(case: CheckedCase) -> Iterator[Mismatch]:
    """Heads divide, stages have layers, a tensor-parallel group stays inside a node, stages cross a stated fabric."""
    for group in case.groups:
        spec, node = group.spec, group.node_type
        tensor, pipeline = spec.tensor_parallel, spec.pipeline_parallel
        if reason := tp_refusal(spec.model, spec.weight_quant, tensor, experts_dealt=spec.expert_parallel > 1):
            yield Mismatch("parallelism", f"{group.path}.tensor_parallel", "a legal degree", tensor, reason)
        if reason := pp_refusal(spec.model, pipeline):
            yield Mismatch("parallelism", f"{group.path}.pipeline_parallel", "a legal degree", pipeline, reason)
        crosses = spec.gpus > node.gpus_per_node
        yield from _expert_degrees(group)
        if tensor > node.gpus_per_node or (crosses and node.gpus_per_node % tensor):
            path = f"{group.path}.tensor_parallel"
            yield Mismatch("parallelism", path, node.gpus_per_node, tensor, "a stage leaves its node")
        if crosses != spec.crosses_nodes:
            yield Mismatch("parallelism", f"{group.path}.crosses_nodes", crosses, spec.crosses_nodes, "several nodes")
        if crosses and not node.fabric_gbps and spec.attention_dp == 1:
            path = f"{group.path}.pipeline_parallel"
            yield Mismatch("parallelism", path, "a stated fabric of 100 Gb/s", "none", "stages on several nodes")


def _expert_degrees(group: GroupCase) -> Iterator[Mismatch]:
    """Attention ranks and dealt experts: of mixtures, on one stage, to every GPU, evenly, inside one switched domain.

    As the engines' own manuals have it: vLLM deals to all GPUs, TensorRT-LLM has attention ranks on all or on none.
    """
    spec, node = group.spec, group.node_type
    ranks, experts = spec.attention_dp, spec.expert_parallel
    if ranks == experts == 1:
        return
    gpus = spec.tensor_parallel * ranks
    domain = min(node.gpus_per_node, node.gpu.link_domain_gpus)
    switched = (Link.NVSWITCH, Link.XGMI, Link.HCCS)
    rules = (
        ("expert_parallel", spec.model.num_experts > 0, "a mixture of experts", spec.model.id),
        ("expert_parallel", spec.engine.profile in ("vllm", "sglang", "trtllm"), "an engine that does", spec.engine.id),
        ("pipeline_parallel", spec.pipeline_parallel == 1, 1, spec.pipeline_parallel),
        ("expert_parallel", experts == gpus, gpus, experts),
        ("expert_parallel", spec.model.num_experts % experts == 0, "experts dealt evenly", experts),
        ("attention_dp", ranks == 1 or node.link in switched, "a switched domain", str(node.link)),
        ("attention_dp", ranks == 1 or gpus <= domain or gpus > node.gpus_per_node, "one domain", gpus),
        ("attention_dp", spec.engine.profile != "trtllm" or 1 in (ranks, spec.tensor_parallel), "all or none", ranks),
    )
    for name, holds, expected, found in rules:
        if not holds:
            yield Mismatch("parallelism", f"{group.path}.{name}", expected, found, "attention ranks, dealt experts")
    if ranks > 1 and gpus > node.gpus_per_node:
        yield from _ranks_over_nodes(group)


_KERNELS_SINCE = {"vllm": (0, 26), "sglang": (0, 5), "trtllm": (1, 0)}
"""Release from which an engine has all-to-all kernels over nodes for both phases, as its manual says."""


def _ranks_over_nodes(group: GroupCase) -> Iterator[Mismatch]:
    """Attention ranks over several nodes fill 2, 4 or 8 of them, each one whole domain with an adapter of 400 Gb/s for
    every GPU, on NVIDIA's data-centre cards, under a release that has the kernels."""
    spec, node = group.spec, group.node_type
    gpus, inside = spec.tensor_parallel * spec.attention_dp, node.gpus_per_node
    numbers = split_version(spec.engine_version)[:2]
    release = numbers if len(numbers) == 2 else _KERNELS_SINCE.get(spec.engine.profile, (0, 0))
    rules = (
        (gpus in (2 * inside, 4 * inside, 8 * inside), f"2, 4 or 8 nodes of {inside}", gpus),
        (inside == node.gpu.link_domain_gpus, node.gpu.link_domain_gpus, inside),
        (inside % spec.tensor_parallel == 0, "ranks inside a node", spec.tensor_parallel),
        (node.fabric_gbps >= 400 * inside, f"{400 * inside} Gb/s of a node", node.fabric_gbps),
        (node.gpu.vendor == "nvidia" and node.gpu.datacenter_licensed, "a card with the kernels", node.gpu.id),
        (release >= _KERNELS_SINCE.get(spec.engine.profile, (0, 0)), "a release with the kernels", spec.engine_version),
    )
    for holds, expected, found in rules:
        if not holds:
            yield Mismatch("parallelism", f"{group.path}.attention_dp", expected, found, "attention ranks over nodes")


def engine_settings(case: CheckedCase) -> Iterator[Mismatch]:
    """Formats, degrees and limits are among those the ``engine`` section allows, or the engine's defaults."""
    stated = case.problem.engine
    for group in case.groups:
        spec, native = group.spec, native_quant(group.spec.model)
        allowed = None
        if stated.weight_quant is not None:
            allowed = tuple(native if quant == "native" else quant for quant in stated.weight_quant)
        choices: tuple[tuple[str, object, tuple[object, ...] | None], ...] = (
            ("weight_quant", spec.weight_quant, allowed),
            ("kv_cache", spec.kv_cache, stated.kv_cache),
            ("tensor_parallel", spec.tensor_parallel, stated.tensor_parallel),
            ("pipeline_parallel", spec.pipeline_parallel, stated.pipeline_parallel),
            ("attention_dp", spec.attention_dp, stated.attention_dp if spec.model.num_experts else None),
            ("expert_parallel", spec.expert_parallel > 1, _dealt(group, str(stated.expert_parallel))),
            ("crosses_nodes", spec.expert_parallel > 1 and spec.crosses_nodes, _spread(str(stated.expert_parallel))),
            ("gpu_memory_utilization", spec.gpu_memory_utilization, (_utilization(case, group),)),
            ("max_num_seqs", spec.max_num_seqs, (stated.max_num_seqs,) if stated.max_num_seqs else None),
            (
                "max_num_batched_tokens",
                spec.max_num_batched_tokens,
                (
                    stated.max_num_batched_tokens
                    or spec.engine.max_num_batched_tokens_on(spec.gpu, spec.engine_version),
                ),
            ),
            ("max_model_len", spec.max_model_len, (group.lengths.context_max,)),
        )
        for name, found, known in choices:
            if known is not None and found not in known:
                yield Mismatch("engine settings", f"{group.path}.{name}", known, found, f"engine.{name}")


def _dealt(group: GroupCase, stated: str) -> tuple[bool, ...] | None:
    """Whether experts may be dealt, under ``engine.expert_parallel``; None: either way."""
    if stated == "required" and group.spec.model.num_experts and group.spec.gpus > 1:
        return (True,)
    return (False,) if stated == "off" else None


def _spread(stated: str) -> tuple[bool, ...] | None:
    """Whether dealt experts may lie on several nodes; None: either way."""
    return (False,) if stated in ("off", "node") else None


def _utilization(case: CheckedCase, group: GroupCase) -> float:
    spec = group.spec
    stated = case.problem.engine.gpu_memory_utilization
    sizes = (spec.tensor_parallel * spec.attention_dp, spec.pipeline_parallel)
    return stated or default_share(spec.engine, spec.gpu, spec.engine_version, *sizes)


def sequences(case: CheckedCase) -> Iterator[Mismatch]:
    """max_num_seqs is at most the engine's own, and a hybrid model has a block for the state of each sequence.

    Recomputed here: a page holds one layer's state of one sequence, a block one page of each layer of the smaller kind.
    """
    for group in case.groups:
        spec, model = group.spec, group.spec.model
        path = f"{group.path}.max_num_seqs"
        launched, most = group.group.max_num_seqs, spec.max_num_seqs
        if not 1 <= launched <= most:
            yield Mismatch("sequences", path, f"1 to {most}", launched, "what starts, up to the engine's default")
        tokens = group.group.max_num_batched_tokens
        if spec.engine.profile == "vllm" and launched > tokens:
            yield Mismatch("sequences", path, f"at most {tokens}", launched, "a step has a token for each sequence")
        servers = group.group.replicas * spec.attention_dp
        if group.group.role is Role.PREFILL:
            continue
        least = -(-group.load.inflight * group.group.share // (SHARE_UNITS * servers))
        if launched < min(least, most):
            yield Mismatch("sequences", path, f"at least {least:.0f}", launched, "requests held in flight on a rank")
        if model.linear_layers and model.linear_state_bytes and spec.engine.profile == "vllm":
            layers = min(model.full_attention_layers or model.linear_layers, model.linear_layers)
            state = model.linear_state_bytes / spec.tensor_parallel / spec.pipeline_parallel
            blocks = group.bill.kv_budget / (state * layers / model.linear_layers)
            if launched > blocks:
                yield Mismatch("sequences", path, f"at most {blocks:.0f}", launched, "blocks for states")


def quality(case: CheckedCase) -> Iterator[Mismatch]:
    """Weight recovery x KV recovery reaches the floor of the workload and is the one printed."""
    for group in case.groups:
        spec = group.spec
        kept = recovery(case.catalog, spec.model, spec.weight_quant, spec.kv_cache)
        floor = group.workload.quality.min_recovery
        if kept < floor:
            path = f"workloads.{group.workload.name}.quality.min_recovery"
            yield Mismatch("quality", path, f"at least {floor}", kept, "accuracy below the floor")
        if group.group.recovery is not None and abs(group.group.recovery - kept) > 1e-9:
            yield Mismatch("quality", f"{group.path}.recovery", kept, group.group.recovery, "printed recovery")


def least_grade(case: CheckedCase) -> Iterator[Mismatch]:
    """No group is graded below ``ranking.min_grade``, whatever grade is printed."""
    least = case.problem.ranking.min_grade
    for group in case.groups:
        grade = str(grade_of(group.spec, case.params)[0])
        if least is not None and GRADES.index(grade) > GRADES.index(least):
            yield Mismatch(
                "least grade", "ranking.min_grade", f"{least} or better", grade, f"the grade of {group.path}"
            )


DRIVER_CONTEXT_GIB = 0.6
"""What the driver holds of a card before an engine of today (vLLM 0.8 and later) asks for its share."""


def memory(case: CheckedCase) -> Iterator[Mismatch]:
    """Everything fits the fullest GPU, one request of ``context_max`` fits, and the bill is the one printed."""
    for group in case.groups:
        bill = group.bill
        if not bill.fits:
            yield Mismatch("memory", group.path, "room for KV", bill.kv_budget / GIB, "the model does not fit (GiB)")
        yield from _longest_request(group)
        total, share = group.spec.gpu.total_mib / 1024, group.spec.gpu_memory_utilization
        if group.spec.engine.profile == "vllm" and share * total > total - DRIVER_CONTEXT_GIB:
            free = total - DRIVER_CONTEXT_GIB
            yield Mismatch("memory", f"{group.path}.gpu_memory_utilization", free, share * total, "more than is free")
        printed = group.group.memory
        expected = {
            "weights": bill.weights / GIB,
            "activations": bill.activations / GIB,
            "overhead": bill.overhead / GIB,
            "usable": bill.usable / GIB,
            "total": printed.weights + printed.activations + printed.overhead + printed.kv_cache,
        }
        for name, value in expected.items():
            if abs(getattr(printed, name) - value) > GIB_TOLERANCE * (4 if name == "total" else 1):
                yield Mismatch("memory", f"{group.path}.memory.{name}", value, getattr(printed, name), "GiB per GPU")
        if printed.total > printed.usable + GIB_TOLERANCE:
            path = f"{group.path}.memory.total"
            yield Mismatch("memory", path, f"at most {printed.usable}", printed.total, "more than is usable (GiB)")
        if not 0 < printed.kv_cache <= bill.kv_budget / GIB + GIB_TOLERANCE:
            path = f"{group.path}.memory.kv_cache"
            yield Mismatch("memory", path, bill.kv_budget / GIB, printed.kv_cache, "KV cache (GiB)")


def _longest_request(group: GroupCase) -> Iterator[Mismatch]:
    """Engines refuse to start unless one request of the longest context fits the whole KV cache."""
    per_token, per_window_token, window, per_sequence = kv_need_of(group.spec)
    longest = group.lengths.context_max
    need = per_token * longest + per_window_token * min(longest, window) + per_sequence
    if need > group.bill.kv_budget:
        path = f"workloads.{group.workload.name}.tokens.context_max"
        found = group.bill.kv_budget / GIB
        yield Mismatch("memory", path, f"{need / GIB:.3f} GiB", found, "one request of context_max does not fit")


def configurations(case: CheckedCase) -> Iterator[Mismatch]:
    """No more configurations share a workload, or a length class served apart, than
    ``ranking.max_configurations_per_workload`` permits."""
    most = case.problem.ranking.max_configurations_per_workload
    for part in parts_of(case.problem) if not case.plan.has_pools else ():
        kinds = {
            (
                *(group.node_type, spec.weight_quant, spec.kv_cache, spec.tensor_parallel, spec.pipeline_parallel),
                *(spec.attention_dp, spec.expert_parallel, spec.host_kv_gib),
            )
            for group in case.groups
            for spec in (group.spec,)
            if group.name == part.name
        }
        if len(kinds) > most:
            path = "ranking.max_configurations_per_workload"
            yield Mismatch("configurations", path, f"at most {most}", len(kinds), f"serve {part.name}")


def shares(case: CheckedCase) -> Iterator[Mismatch]:
    """The groups of a workload carry all of it: their shares add up to 2520.

    Or, where it has length classes that may be served apart, those of each class do and nothing serves the mix.
    """
    totals: Counter[str] = Counter()
    for group in case.groups:
        if group.group.role is not Role.DECODE:  # the same requests go through both pools
            totals[group.name] += group.group.share
        elif group.group.share != SHARE_UNITS:
            yield Mismatch("shares", group.path, SHARE_UNITS, group.group.share, "share of the decode pool")
    parts = parts_of(case.problem)
    whole = {part.workload.name: bool(totals[part.name]) for part in parts if part.whole is None}
    for part in parts:
        served = whole[part.workload.name] or not is_split(part.workload)
        expected = SHARE_UNITS if served == (part.whole is None) else 0
        if totals[part.name] != expected:
            path = f"workloads.{part.name}"
            yield Mismatch("shares", path, expected, totals[part.name], "shares of its groups")
