"""Rules of the user about cards, links, formats and sizes: stated on decision literals, one row each."""

from __future__ import annotations

from collections import defaultdict

from optimizer.candidates.rules import WorkloadRules
from optimizer.fleet.instance import Decisions, Slot, link_of
from optimizer.fleet.variables import Variables
from optimizer.vocabulary import NVLINK_CLASS

QUALITY = "quality.min_recovery"


def channel(v: Variables) -> None:
    """``gpu[w,g] = sum over the slots of w on card g of at[c,k]``; the same for quant, kv, tp, pp, link, interconnect.

    A value that no slot of the model has gets the literal all the same, and the sum over nothing: 0. In a mix the
    literal is 1 as soon as a slot is chosen: ``gpu[w,g] <= sum of at[c,k] <= most gpu[w,g]``, with as many as may be.
    """
    for workload, decisions in enumerate(v.instance.decisions):
        members: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, slot in v.slots(workload):
            for what, content in _values(slot):
                members[what, content].append(index)
        for what, literals in _ranges(decisions):
            for value in literals:
                literal, slots = v.decision(what, workload, value), members[what, str(value)]
                name = f"channel.{what}[{workload},{value}]"
                if not v.instance.rules.mixed:
                    v.cp.add(literal == v.chosen(slots)).with_name(name)
                    continue
                v.cp.add(v.chosen(slots) <= v.most(literal)).with_name(name)
                v.cp.add(literal <= v.chosen(slots)).with_name(f"{name}.none")


def allowed_gpus(v: Variables) -> None:
    """``sum over cards g not allowed of gpu[w,g] <= 0`` (``hardware.gpus``)."""
    rules = v.instance.rules
    if rules.options.gpus is None and not rules.options.excluded_gpus:
        return
    for workload, decisions in enumerate(v.instance.decisions):
        _forbid(v, "hardware.gpus", "gpu", workload, [g for g in decisions.gpu if not rules.gpu_allowed(g)])


def licences(v: Variables) -> None:
    """``sum over unlicensed cards g of gpu[w,g] <= 0`` (``hardware.datacenter_licensed_only``)."""
    if not v.instance.rules.options.licensed_only:
        return
    for workload, decisions in enumerate(v.instance.decisions):
        _forbid(v, "hardware.datacenter_licensed_only", "gpu", workload, sorted(decisions.unlicensed))


def nvlink(v: Variables) -> None:
    """``hardware.nvlink``: required: ``interconnect[w,pcie] <= 0``; forbidden: ``sum over NVLink l of link[w,l] <= 0``.

    ``interconnect`` is ``pcie`` for every replica on several GPUs that is not inside one NVLink domain.
    """
    mode = v.instance.rules.nvlink
    for workload, decisions in enumerate(v.instance.decisions):
        if mode == "required":
            values = [value for value in decisions.interconnect if value == "pcie"]
            _forbid(v, "hardware.nvlink", "interconnect", workload, values)
        elif mode == "forbidden":
            direct = {str(link) for link in NVLINK_CLASS}
            _forbid(v, "hardware.nvlink", "link", workload, [value for value in decisions.link if value in direct])


def weight_quants(v: Variables) -> None:
    """``sum over weight formats q not allowed of quant[w,q] <= 0`` (``engine.weight_quant``)."""
    rules = v.instance.rules
    for workload, decisions in enumerate(v.instance.decisions):
        if rules.workloads[workload].quants is not None:
            values = [q for q in decisions.quant if not rules.quant_allowed(workload, q)]
            _forbid(v, "engine.weight_quant", "quant", workload, values)


def kv_caches(v: Variables) -> None:
    """``sum over KV types not allowed of kv[w,v] <= 0`` (``engine.kv_cache``)."""
    allowed = v.instance.rules.kv_caches
    for workload, decisions in enumerate(v.instance.decisions):
        _forbid(v, "engine.kv_cache", "kv", workload, [value for value in decisions.kv if value not in allowed])


def parallel_sizes(v: Variables) -> None:
    """``sum over sizes t not allowed of tp[w,t] <= 0`` (``engine.tensor_parallel``); the same for pipeline stages."""
    rules = v.instance.rules
    for workload, decisions in enumerate(v.instance.decisions):
        tensor = [t for t in decisions.tp if t not in rules.tensor_parallel]
        _forbid(v, "engine.tensor_parallel", "tp", workload, tensor)
        pipeline = [p for p in decisions.pp if p not in rules.pipeline_parallel]
        _forbid(v, "engine.pipeline_parallel", "pp", workload, pipeline)


def quality(v: Variables) -> None:
    """``quant[w,q] + kv[w,c] <= 1`` for each pair whose recovery is below the floor (``quality.min_recovery``).

    In a mix a workload may have several of either, so ``sum over the slots of the pair of at[c,k] <= 0``.
    """
    for workload, decisions in enumerate(v.instance.decisions):
        path = quality_path(v, workload)
        for quant, cache in sorted(decisions.poor):
            name = f"{QUALITY}:{path}[{quant},{cache}]"
            if v.instance.rules.mixed:
                v.cp.add(v.chosen(_of_formats(v, workload, quant, cache)) <= 0).with_name(name)
                continue
            both = v.decision("quant", workload, quant) + v.decision("kv", workload, cache)
            v.cp.add(both <= 1 + v.relaxed(path)).with_name(name)


def _of_formats(v: Variables, workload: int, quant: str, cache: str) -> list[int]:
    formats = ((index, slot.candidate.spec) for index, slot in v.slots(workload))
    return [index for index, spec in formats if (spec.weight_quant, spec.kv_cache) == (quant, cache)]


def gpu_kinds(v: Variables) -> None:
    """``kind[g] >= gpu[w,g]`` and ``sum over g of kind[g] <= max_gpu_kinds`` (``hardware.limits.max_gpu_kinds``)."""
    most = v.instance.rules.limits.gpu_kinds
    if most is None:
        return
    path = "hardware.limits.max_gpu_kinds"
    cards = sorted({gpu for decisions in v.instance.decisions for gpu in decisions.gpu})
    for workload, decisions in enumerate(v.instance.decisions):
        for gpu in decisions.gpu:
            v.cp.add(v.kind(gpu) >= v.decision("gpu", workload, gpu)).with_name(f"kind[{workload},{gpu}]")
    total = sum(v.kind(gpu) for gpu in cards)
    v.cp.add(total <= most + v.excess(path, len(cards))).with_name(f"rule:{path}")


def quality_path(v: Variables, workload: int) -> str:
    """YAML path of a workload's quality floor."""
    return quality_path_of(v.instance.rules.workloads[workload])


def quality_path_of(asked: WorkloadRules) -> str:
    """YAML path of the quality floor of a workload."""
    return f"{asked.path}.quality.min_recovery"


def _forbid(v: Variables, path: str, what: str, workload: int, values: list[str] | list[int]) -> None:
    total = sum(v.decision(what, workload, value) for value in values)
    if values:
        v.cp.add(total <= v.relaxed(path)).with_name(f"rule:{path}[{workload}]")


def _values(slot: Slot) -> tuple[tuple[str, str], ...]:
    spec, node_type = slot.candidate.spec, slot.node_type
    return (
        ("gpu", node_type.gpu.id),
        ("quant", spec.weight_quant),
        ("kv", spec.kv_cache),
        ("tp", str(spec.tensor_parallel)),
        ("pp", str(spec.pipeline_parallel)),
        ("link", link_of(node_type)),
        ("interconnect", slot.candidate.interconnect),
    )


def _ranges(decisions: Decisions) -> tuple[tuple[str, tuple[str, ...] | tuple[int, ...]], ...]:
    return (
        ("gpu", decisions.gpu),
        ("quant", decisions.quant),
        ("kv", decisions.kv),
        ("tp", decisions.tp),
        ("pp", decisions.pp),
        ("link", decisions.link),
        ("interconnect", decisions.interconnect),
    )
