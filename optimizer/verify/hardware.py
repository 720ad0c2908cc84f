"""Rules about nodes: what may be used, how many, and whether the replicas really fit on them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from optimizer.pricing import NodeType, RuleName
from optimizer.units import floor_guarded
from optimizer.verify.case import Case
from optimizer.verify.legality import in_nvlink_domain
from optimizer.verify.placement import Pool, can_place, survives
from optimizer.verify.types import Mismatch
from optimizer.vocabulary import Tier


def permitted(case: Case) -> Iterator[Mismatch]:
    """No node that a rule of the user forbids: providers, regions, tiers, commitment, cards, age of the price."""
    for node in case.nodes:
        for rule in case.rules.forbidden_by(node.option):
            why = case.rules.why_not_rankable(node.option) if rule is RuleName.PRICE else None
            yield Mismatch("permitted", node.path, rule.path, node.line.offer_id, why or f"forbidden: {rule}")


def nvlink_required(case: Case) -> Iterator[Mismatch]:
    """``nvlink: required``: every replica on more than one GPU sits inside one NVLink domain."""
    if case.problem.hardware.nvlink != "required":
        return
    for group in case.groups:
        if group.spec.gpus > 1 and not in_nvlink_domain(group):
            found = f"{group.spec.gpus} GPUs over {group.node_type.link}"
            yield Mismatch("nvlink required", group.path, "one NVLink domain", found, "a replica leaves the domain")


def packing(case: Case) -> Iterator[Mismatch]:
    """Every replica finds its GPUs on the plan's nodes: shown by placing them."""
    for node_type, pool in pools(case).items():
        if not can_place(pool):
            found = f"replicas of {dict(pool.replicas)} GPUs on {sum(pool.nodes)} nodes of {pool.gpus_per_node}"
            yield Mismatch("packing", f"nodes[{node_type.gpu.id}]", "every replica placed", found, "no placement")


def spare_nodes(case: Case) -> Iterator[Mismatch]:
    """With any k nodes gone the replicas are placed on the rest; k spares are printed for every node type in use."""
    yield from printed_spares(case)
    yield from losses(case)


def printed_spares(case: Case) -> Iterator[Mismatch]:
    """k spares are printed for every node type in use."""
    lost = case.problem.margins.spare_nodes
    printed: Counter[NodeType] = Counter()
    for node in case.nodes:
        printed[node.option.node_type] += node.line.spare
        if not 0 <= node.line.spare <= node.line.count:
            yield Mismatch("spare nodes", f"{node.path}.spare", f"0..{node.line.count}", node.line.spare, "spares")
    for node_type, spare in printed.items():
        if spare != lost:
            yield Mismatch("spare nodes", f"nodes[{node_type.gpu.id}].spare", lost, spare, "spares of a node type")


def losses(case: Case) -> Iterator[Mismatch]:
    """With any k nodes gone the replicas are placed on the rest."""
    lost = case.problem.margins.spare_nodes
    if lost and not survives(tuple(pools(case).values()), lost):
        message = f"a replica is homeless once {lost} nodes are gone"
        yield Mismatch("spare nodes", "margins.spare_nodes", "all replicas re-placed", "not all", message)


def counts(case: Case) -> Iterator[Mismatch]:
    """GPUs and idle GPUs printed are those of the nodes less those of the replicas; no line is empty."""
    plan = case.plan
    total = sum(node.line.count * node.option.offer.gpus_per_node for node in case.nodes)
    if plan.gpus != total:
        yield Mismatch("counts", "gpus", total, plan.gpus, "GPUs of all nodes")
    used: Counter[NodeType] = Counter()
    owned: Counter[NodeType] = Counter()
    idle: Counter[NodeType] = Counter()
    for group in case.groups:
        used[group.node_type] += group.group.replicas * group.spec.gpus
    for node in case.nodes:
        gpus = node.line.count * node.option.offer.gpus_per_node
        owned[node.option.node_type] += gpus
        idle[node.option.node_type] += node.line.idle_gpus
        if node.line.count < 1 or not 0 <= node.line.idle_gpus <= gpus:
            found = f"{node.line.count} nodes, {node.line.idle_gpus} idle GPUs"
            yield Mismatch("counts", node.path, f"1 node or more, 0..{gpus} idle GPUs", found, "numbers of a node line")
    for node_type, gpus in owned.items():
        if idle[node_type] != gpus - used[node_type]:
            path = f"nodes[{node_type.gpu.id}].idle_gpus"
            yield Mismatch("counts", path, gpus - used[node_type], idle[node_type], "idle GPUs of a node type")


def max_gpus(case: Case) -> Iterator[Mismatch]:
    """``limits.max_gpus``: GPUs of all nodes, idle and spare ones included."""
    gpus = sum(node.line.count * node.option.offer.gpus_per_node for node in case.nodes)
    yield from _at_most("max gpus", "hardware.limits.max_gpus", case.problem.hardware.limits.max_gpus, gpus)


def max_nodes(case: Case) -> Iterator[Mismatch]:
    """``limits.max_nodes``: nodes, spare ones included."""
    nodes = sum(node.line.count for node in case.nodes)
    yield from _at_most("max nodes", "hardware.limits.max_nodes", case.problem.hardware.limits.max_nodes, nodes)


def max_power(case: Case) -> Iterator[Mismatch]:
    """``limits.max_power_kw``: cards at TDP and the rest of the node, spare nodes included, without PUE."""
    watts = sum(
        node.line.count * node.option.offer.gpus_per_node * (gpu.tdp_w + gpu.node_overhead_w)
        for node in case.nodes
        for gpu in (node.option.node_type.gpu,)
    )
    limit_kw = case.problem.hardware.limits.max_power_kw
    if limit_kw is not None and floor_guarded(watts) > floor_guarded(limit_kw * 1000):
        path = "hardware.limits.max_power_kw"
        yield Mismatch("max power", path, f"at most {limit_kw} kW", watts / 1000, "a limit is exceeded")


def max_gpu_kinds(case: Case) -> Iterator[Mismatch]:
    """``limits.max_gpu_kinds``: different cards in the plan."""
    kinds = len({node.line.gpu for node in case.nodes})
    limit = case.problem.hardware.limits.max_gpu_kinds
    yield from _at_most("max gpu kinds", "hardware.limits.max_gpu_kinds", limit, kinds)


def stock(case: Case) -> Iterator[Mismatch]:
    """No more nodes of an offer than it has in stock, all tiers together; no more own nodes than owned."""
    taken: Counter[str] = Counter()
    for node in case.nodes:
        taken[node.line.offer_id] += node.line.count
    for node in case.nodes:
        path = "hardware.owned" if node.line.tier is Tier.OWNED else "offers.stock"
        yield from _at_most("stock", path, node.option.max_nodes, taken[node.line.offer_id])


def quota(case: Case) -> Iterator[Mismatch]:
    """``hardware.quota``: GPUs of one card (or of all) at one provider, all offers and tiers together."""
    for index, entry in enumerate(case.problem.hardware.quota):
        gpus = sum(
            node.line.count * node.option.offer.gpus_per_node
            for node in case.nodes
            if node.option.offer.provider == entry.provider and entry.gpu in (None, node.option.offer.gpu)
        )
        yield from _at_most("quota", f"hardware.quota[{index}]", entry.max_gpus, gpus)


def pools(case: Case) -> dict[NodeType, Pool]:
    """Nodes and replicas by node type, as the placement wants them."""
    nodes: dict[NodeType, Counter[str]] = defaultdict(Counter)
    replicas: dict[NodeType, Counter[int]] = defaultdict(Counter)
    for node in case.nodes:
        nodes[node.option.node_type][node.line.offer_id] += node.line.count
    for group in case.groups:
        replicas[group.node_type][group.spec.gpus] += group.group.replicas
    return {
        node_type: Pool(node_type.gpus_per_node, tuple(nodes[node_type].values()), replicas[node_type])
        for node_type in {**nodes, **replicas}
    }


def _at_most(rule: str, path: str, limit: float | None, found: float) -> Iterator[Mismatch]:
    if limit is not None and found > limit:
        yield Mismatch(rule, path, f"at most {limit}", found, "a limit is exceeded")
