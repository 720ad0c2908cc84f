"""Rules about nodes: what may be used, how many, and whether the replicas really fit on them.

An explicit placement of replicas on nodes: written as a packing, not as an inequality.

Nodes of one pool are alike (same GPU, GPUs per node, link, fabric). A replica sits inside one node, or takes whole
nodes of one offer (only there do two nodes share a fabric). Placing the largest first is exact when sizes divide one
another (powers of two); for other sizes a search decides. Replicas and nodes that are alike are placed by counts, so
that a hundred thousand of them take no longer than ten.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from optimizer.pricing import NodeType, RuleName
from optimizer.units import floor_guarded
from optimizer.verify.case import CheckedCase, Mismatch
from optimizer.verify.legality import in_nvlink_domain
from optimizer.vocabulary import Tier


def permitted(case: CheckedCase) -> Iterator[Mismatch]:
    """No node that a rule of the user forbids: providers, regions, tiers, commitment, cards, age of the price."""
    for node in case.nodes:
        for rule in case.rules.forbidden_by(node.option):
            why = case.rules.why_not_rankable(node.option) if rule is RuleName.PRICE else None
            yield Mismatch("permitted", node.path, rule.path, node.line.offer_id, why or f"forbidden: {rule}")


def nvlink_required(case: CheckedCase) -> Iterator[Mismatch]:
    """``nvlink: required``: every replica on more than one GPU sits inside one NVLink domain."""
    if case.problem.hardware.nvlink != "required":
        return
    for group in case.groups:
        if group.spec.gpus > 1 and not in_nvlink_domain(group):
            found = f"{group.spec.gpus} GPUs over {group.node_type.link}"
            yield Mismatch("nvlink required", group.path, "one NVLink domain", found, "a replica leaves the domain")


def packing(case: CheckedCase) -> Iterator[Mismatch]:
    """Every replica finds its GPUs on the plan's nodes: shown by placing them."""
    for node_type, pool in pools(case).items():
        if not can_place(pool):
            found = f"replicas of {dict(pool.replicas)} GPUs on {sum(pool.nodes)} nodes of {pool.gpus_per_node}"
            yield Mismatch("packing", f"nodes[{node_type.gpu.id}]", "every replica placed", found, "no placement")


def spare_nodes(case: CheckedCase) -> Iterator[Mismatch]:
    """With any k nodes gone the replicas are placed on the rest; k spares are printed for every node type in use."""
    yield from printed_spares(case)
    yield from losses(case)


def printed_spares(case: CheckedCase) -> Iterator[Mismatch]:
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


def losses(case: CheckedCase) -> Iterator[Mismatch]:
    """With any k nodes gone the replicas are placed on the rest."""
    lost = case.problem.margins.spare_nodes
    if lost and not survives(tuple(pools(case).values()), lost):
        message = f"a replica is homeless once {lost} nodes are gone"
        yield Mismatch("spare nodes", "margins.spare_nodes", "all replicas re-placed", "not all", message)


def counts(case: CheckedCase) -> Iterator[Mismatch]:
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


def max_gpus(case: CheckedCase) -> Iterator[Mismatch]:
    """``limits.max_gpus``: GPUs of all nodes, idle and spare ones included."""
    gpus = sum(node.line.count * node.option.offer.gpus_per_node for node in case.nodes)
    yield from _at_most("max gpus", "hardware.limits.max_gpus", case.problem.hardware.limits.max_gpus, gpus)


def max_nodes(case: CheckedCase) -> Iterator[Mismatch]:
    """``limits.max_nodes``: nodes, spare ones included."""
    nodes = sum(node.line.count for node in case.nodes)
    yield from _at_most("max nodes", "hardware.limits.max_nodes", case.problem.hardware.limits.max_nodes, nodes)


def max_power(case: CheckedCase) -> Iterator[Mismatch]:
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


def max_gpu_kinds(case: CheckedCase) -> Iterator[Mismatch]:
    """``limits.max_gpu_kinds``: different cards in the plan."""
    kinds = len({node.line.gpu for node in case.nodes})
    limit = case.problem.hardware.limits.max_gpu_kinds
    yield from _at_most("max gpu kinds", "hardware.limits.max_gpu_kinds", limit, kinds)


def stock(case: CheckedCase) -> Iterator[Mismatch]:
    """No more nodes of an offer than it has in stock, all tiers together; no more own nodes than owned."""
    taken: Counter[str] = Counter()
    for node in case.nodes:
        taken[node.line.offer_id] += node.line.count
    for node in case.nodes:
        path = "hardware.owned" if node.line.tier is Tier.OWNED else "offers.stock"
        yield from _at_most("stock", path, node.option.max_nodes, taken[node.line.offer_id])


def quota(case: CheckedCase) -> Iterator[Mismatch]:
    """``hardware.quota``: GPUs of one card (or of all) at one provider, all offers and tiers together."""
    for index, entry in enumerate(case.problem.hardware.quota):
        gpus = sum(
            node.line.count * node.option.offer.gpus_per_node
            for node in case.nodes
            if node.option.offer.provider == entry.provider and entry.gpu in (None, node.option.offer.gpu)
        )
        yield from _at_most("quota", f"hardware.quota[{index}]", entry.max_gpus, gpus)


def pools(case: CheckedCase) -> dict[NodeType, Pool]:
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


_Bins = Sequence[tuple[int, int]]
"""Runs of bins that are alike, in order: the room left in each, and how many."""

_Items = Sequence[tuple[int, int]]
"""Sizes of items, largest first, and how many of each."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Nodes of one node type: how many of each offer, and the replicas that need them."""

    gpus_per_node: int
    nodes: tuple[int, ...]  # per offer
    replicas: Mapping[int, int]  # how many, by the GPUs that each needs

    def without(self, removed: Sequence[int]) -> Pool:
        """The pool with so many nodes of each offer gone."""
        left = tuple(count - gone for count, gone in zip(self.nodes, removed, strict=True))
        return Pool(self.gpus_per_node, left, self.replicas)

    @property
    def spanning(self) -> _Items:
        """Replicas that are larger than a node."""
        return self._sorted(lambda size: size > self.gpus_per_node)

    @property
    def inside(self) -> _Items:
        """Replicas that sit inside a node."""
        return self._sorted(lambda size: size <= self.gpus_per_node)

    def _sorted(self, chosen: Callable[[int], bool]) -> _Items:
        return sorted(((size, count) for size, count in self.replicas.items() if chosen(size)), reverse=True)


def can_place(pool: Pool) -> bool:
    """Whether every replica finds its GPUs."""
    if any(size % pool.gpus_per_node for size, _ in pool.spanning):
        return False
    whole = [(size // pool.gpus_per_node, count) for size, count in pool.spanning]
    if not _place(whole, [(count, 1) for count in pool.nodes]):
        return False
    left = sum(pool.nodes) - sum(size * count for size, count in whole)
    return _place(pool.inside, [(pool.gpus_per_node, left)])


def survives(pools: Sequence[Pool], lost: int) -> bool:
    """Whether the replicas can be re-placed whichever ``lost`` nodes of the plan are gone.

    A replica stays in its pool, and losing fewer nodes of a pool is never worse for it: the worst for each pool is that
    all the nodes lost are its own.
    """
    return all(_survives(pool, min(lost, sum(pool.nodes))) for pool in pools)


def _survives(pool: Pool, lost: int) -> bool:
    """Which offer the nodes belonged to matters only to replicas that span several of them."""
    if not pool.spanning:
        return can_place(Pool(pool.gpus_per_node, (sum(pool.nodes) - lost,), pool.replicas))
    return all(can_place(pool.without(removal)) for removal in removals(pool.nodes, lost))


def removals(counts: Sequence[int], lost: int) -> Iterator[tuple[int, ...]]:
    """Every way to lose so many nodes, as nodes lost per offer."""
    if not counts:
        if lost == 0:
            yield ()
        return
    for gone in range(max(0, lost - sum(counts[1:])), min(counts[0], lost) + 1):
        for rest in removals(counts[1:], lost - gone):
            yield (gone, *rest)


def _place(items: _Items, bins: _Bins) -> bool:
    """Place each item in one bin, largest first; where that fails and sizes do not divide, search."""
    if not _may_fit(items, bins):
        return False
    if _first_fit(items, bins):
        return True
    divide = all(larger % smaller == 0 for (larger, _), (smaller, _) in pairwise(items))
    return not divide and _search(items, bins)


def _may_fit(items: _Items, bins: _Bins) -> bool:
    """Whether there is room in all, and for as many items of every size and above as bins can hold at that size."""
    needed = 0
    for size, count in items:
        needed += count
        if needed > sum(room // size * alike for room, alike in bins):
            return False
    return sum(size * count for size, count in items) <= sum(room * alike for room, alike in bins)


def _first_fit(items: _Items, bins: _Bins) -> bool:
    """Each item in the first bin that still holds it, all items of one size at a time."""
    for size, count in items:
        waiting, left = count, list[tuple[int, int]]()
        for room, alike in bins:
            each = room // size
            full = min(alike, waiting // each) if each else 0
            last = waiting - full * each if each and full < alike else 0  # of the one bin that is filled in part
            waiting -= full * each + last
            partly = 1 if last else 0
            filled = ((room - each * size, full), (room - last * size, partly), (room, alike - full - partly))
            left += [(free, bins_alike) for free, bins_alike in filled if bins_alike]
        if waiting:
            return False
        bins = left
    return True


def _search(items: _Items, bins: _Bins) -> bool:
    """Depth first over (items placed, bins by the room left), each state once; bins with equal room are alike."""
    sizes = [size for size, count in items for _ in range(count)]
    rooms = Counter[int]()
    for room, alike in bins:
        rooms[room] += alike
    stack, seen = [(0, _state(rooms))], set[tuple[int, tuple[tuple[int, int], ...]]]()
    while stack:
        placed, state = stack.pop()
        if placed == len(sizes):
            return True
        for room, _ in state:
            if room >= sizes[placed]:
                left = Counter(dict(state))
                left[room] -= 1
                left[room - sizes[placed]] += 1
                following = (placed + 1, _state(left))
                if following not in seen:
                    seen.add(following)
                    stack.append(following)
    return False


def _state(rooms: Counter[int]) -> tuple[tuple[int, int], ...]:
    """Bins by room, fullest last: depth first then tries the tightest bin first."""
    return tuple(sorted(((room, count) for room, count in rooms.items() if count), reverse=True))
