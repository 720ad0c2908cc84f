"""Which prefill and decode pools could cost less than replicas that do both phases, and with how many workers.

Pair by pair the cheapest numbers of workers that nothing rules out yet are replayed, the cheapest pair first. What
misses rules out all that is no more (fewer workers of both pools keep no more); what keeps every promise tells what the
pair costs. Pairs that cost no less than what they compete with are never replayed. The solver then chooses over the
pairs that are left, under the same cuts (``fleet.constraints_pools``).
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optimizer.candidates.pools import PoolChoice, PoolPair, PoolSet
from optimizer.fleet.constraints_pools import Site, site_of
from optimizer.fleet.cost_floors import NEVER
from optimizer.fleet.instance import slot_facts
from optimizer.fleet.lower_bounds import UsableOptions
from optimizer.performance.pooling import may_share_node, network_refusal, pair_refusal, worker_refusal
from optimizer.planning.pool_workers import PoolWorkers
from optimizer.planning.pools_replayed import PoolReplayer, PoolTrial
from optimizer.units import ceil_guarded

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.fleet.candidate_set import CandidateSet
    from optimizer.fleet.types import FleetSolution
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.replicas_replayed import ReplayMemory
    from optimizer.pricing import NodeOption
    from optimizer.progress import Clock

IDLE, MORE = 4, 8
"""Workers that are as good as idle: so many times those of a fluid, and so many on top."""


@dataclass(slots=True)
class KnownPair:
    """What is known of a pair."""

    pair: PoolPair
    least: tuple[int, int]
    most: tuple[int, int]
    cents: int = NEVER  # at least
    missed: list[tuple[int, int]] = field(default_factory=list)
    exact: bool = False
    hopeless: bool = False  # misses a promise however many workers there are
    beaten: bool = False  # another pair of its key costs no more

    @property
    def gpus(self) -> int:
        """GPUs of the workers that a fluid takes."""
        return self.least[0] * self.pair.prefill.spec.gpus + self.least[1] * self.pair.decode.spec.gpus

    def points(self) -> Iterator[tuple[int, int]]:
        """The smallest numbers of workers that no trial ruled out, none of them beyond another."""
        for before in sorted({self.least[0], *(a + 1 for a, _ in self.missed)}):
            after = max([self.least[1], *(b + 1 for a, b in self.missed if a >= before)])
            if self.least[0] <= before <= self.most[0] and after <= self.most[1]:
                yield before, after


class PoolSearch:
    """The pairs of pools of one problem, as far as they are known."""

    def __init__(
        self,
        inputs: Inputs,
        candidates: CandidateSet,
        racing: Sequence[Candidate],
        options: Sequence[NodeOption],
        memory: ReplayMemory,
        clock: Clock,
    ) -> None:
        self._rules, self._clock = candidates.rules, clock
        limits, lots = self._rules.limits, any(option.ordered_in_lots for option in options)
        beside = (limits.gpus, limits.nodes, limits.power_w, limits.gpu_kinds, limits.provider_share)
        self._by_key = not (limits.quotas or lots or "provider" in self._rules.distinct_by) and not any(
            one is not None for one in beside
        )
        """Whether the cheapest pair of a key is listed at what it costs here, so that no other of the key is needed."""
        self._workers = PoolWorkers(inputs)
        self.replayer = PoolReplayer(inputs, self._workers, memory)
        of_site: dict[Site, list[NodeOption]] = defaultdict(list)
        for option in options:
            if not self._rules.forbidden_by(option):
                of_site[site_of(option)].append(option)
        self._sites = {site: UsableOptions(mine) for site, mine in sorted(of_site.items())}
        self._at: dict[object, set[Site]] = defaultdict(set)
        for site, mine in of_site.items():
            for option in mine:
                self._at[option.node_type.key].add(site)
        self._costs: dict[object, int] = {}
        self._refused: Counter[str] = Counter()
        able = [one for one in racing if self._is_worker(one)]
        self.pairs = [known for known in self._bounded(able) if known.cents < NEVER]

    def _is_worker(self, candidate: Candidate) -> bool:
        why = worker_refusal(candidate.spec)
        self._refused.update([why] if why else [])
        return not why and not self._rules.is_flagged(candidate)

    def why_none(self) -> str:
        """What keeps pools out altogether, the commonest reason first; empty where pairs are left."""
        if self.pairs:
            return ""
        told = "; ".join(reason for reason, _ in self._refused.most_common(2))
        return f"no prefill and decode workers that exchange caches: {told or 'no two workers suit each other'}"

    def _bounded(self, able: Sequence[Candidate]) -> Iterator[KnownPair]:
        """Every pair that a connector joins, with the workers that a fluid takes."""
        formats: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
        for one in able:
            formats[one.spec.weight_quant, one.spec.kv_cache].append(one)
        rate, load = self._workers.needed_rate(), self._workers.part.load
        for mine in formats.values():
            before = [self._workers.prefill(one) for one in mine]
            after = [self._workers.decode(one) for one in mine]
            for prefill in before:
                for decode in after:
                    why = pair_refusal(prefill.spec, decode.spec)
                    if not why and not self._in_time(prefill, decode):
                        why = "even a lone request misses a promise"
                    if why:
                        self._refused[why] += 1
                        continue
                    for inside in (True, False):
                        known = self._known(PoolPair(prefill, decode, inside), rate, load.inflight)
                        if known is not None:
                            yield known

    def _in_time(self, prefill: Candidate, decode: Candidate) -> bool:
        """Whether a lone request keeps every promise, its transfer left out."""
        one, other = prefill.points[0].latencies_s, decode.points[0].latencies_s
        promises = self._workers.part.slo.promises
        return all(a + b <= promise.limit_s for a, b, promise in zip(one, other, promises, strict=True))

    def _known(self, pair: PoolPair, rate: float, held: float) -> KnownPair | None:
        """The pair with its least and most workers; None where it cannot be."""
        before, after = pair.prefill.worker, pair.decode.worker
        assert before is not None
        assert after is not None
        if pair.inside:
            same = pair.prefill.node_type.key == pair.decode.node_type.key
            if not same or not may_share_node(pair.prefill.spec):
                return None
        else:
            reasons = [network_refusal(one.spec, one.node_type.fabric_gbps) for one in (pair.prefill, pair.decode)]
            if not self._at[pair.prefill.node_type.key] & self._at[pair.decode.node_type.key]:
                reasons.append("their nodes are not of one provider and region")
            why = next((reason for reason in reasons if reason), "")
            if why:
                self._refused[why] += 1
                return None
        if min(before.requests_per_second, after.requests_per_second) <= 0:
            return None
        least = [max(ceil_guarded(rate / one.requests_per_second), 1) for one in (before, after)]
        least[1] = max(least[1], ceil_guarded(held / after.slots))
        if not pair.inside:
            sent = [ceil_guarded(rate / one.sent_per_second) for one in (before, after)]
            least = [max(pair_of) for pair_of in zip(least, sent, strict=True)]
        most = (IDLE * least[0] + MORE, IDLE * least[1] + MORE)
        known = KnownPair(pair, (least[0], least[1]), most)
        if pair.inside:
            per_node = pair.prefill.node_type.gpus_per_node
            room = tuple(
                (per_node - other * its.spec.gpus) // mine.spec.gpus
                for mine, its, other in (
                    (pair.prefill, pair.decode, least[1]),
                    (pair.decode, pair.prefill, least[0]),
                )
            )
            known.most = (min(most[0], room[0]), min(most[1], room[1]))
            if min(room) < 1 or known.most[0] < least[0] or known.most[1] < least[1]:
                return None
        self._price(known)
        return known

    def _price(self, known: KnownPair) -> tuple[int, int] | None:
        """Set what the pair costs at least; the cheapest numbers of workers that are left, the fewest of them."""
        found = [(self._cents(known.pair, *point), sum(point), point) for point in known.points()]
        found = [one for one in found if one[0] < NEVER]
        if not found:
            known.cents, known.hopeless = NEVER, True
            return None
        cents, _, point = min(found)
        known.cents = cents
        return point

    def _cents(self, pair: PoolPair, before: int, after: int) -> int:
        """The least money for the nodes of so many workers at one site, spares included."""
        needed = self._nodes(pair, before, after)
        about = (pair.prefill.node_type.key, pair.decode.node_type.key, pair.inside, tuple(needed.values()))
        if about not in self._costs:
            self._costs[about] = min(self._at_sites(pair, needed), default=NEVER)
        return self._costs[about]

    def _nodes(self, pair: PoolPair, before: int, after: int) -> dict[object, int]:
        """Nodes of each type that so many workers fill, without spares; both pools may share a node."""
        one, other = pair.prefill, pair.decode
        if one.node_type.key != other.node_type.key:
            return {one.node_type.key: one.nodes_for(before), other.node_type.key: other.nodes_for(after)}
        per_node, counted = one.node_type.gpus_per_node, ((one.spec.gpus, before), (other.spec.gpus, after))
        nodes = max(
            -(-sum(size * count for size, count in counted if size >= least) // (least * (per_node // least)))
            for least, _ in counted
        )
        if pair.inside:
            return {one.node_type.key: 1 if nodes == 1 else NEVER}
        return {one.node_type.key: max(nodes, 2)}

    def _at_sites(self, pair: PoolPair, needed: dict[object, int]) -> Iterator[int]:
        types = {one.node_type.key: one.node_type for one in (pair.prefill, pair.decode)}
        if any(count >= NEVER for count in needed.values()):
            return
        for site in set.intersection(*(self._at[key] for key in types)):
            market = self._sites[site]
            paid = [
                market.cheapest(node_type, needed[key] + self._rules.spare_nodes) for key, node_type in types.items()
            ]
            if None not in paid:
                yield sum(cents for cents in paid if cents is not None) + self._rules.fixed_cents

    def run(self, below: int | None, top: int) -> int | None:
        """Find what the cheapest pairs cost, until so many keys of the ranking are known or none is left below; the
        limit under which nothing is left open. None: everything was looked at."""
        limit, reached = NEVER if below is None else below, dict[object, int]()
        heap = [(known.cents, known.gpus, place) for place, known in enumerate(self.pairs)]
        heapq.heapify(heap)
        while heap and not self._clock.over:
            cents, gpus, place = heapq.heappop(heap)
            known = self.pairs[place]
            if cents >= limit:
                break
            facts = (*slot_facts(known.pair.prefill, self._rules), *slot_facts(known.pair.decode, self._rules))
            if known.cents > cents:
                heapq.heappush(heap, (known.cents, gpus, place))
            elif known.exact:
                reached.setdefault(facts, known.cents)
                if len(reached) >= top:
                    limit = min(limit, known.cents + 1)
            elif self._by_key and facts in reached:
                known.beaten = True
            else:
                self._try(known)
                if not known.hopeless:
                    heapq.heappush(heap, (known.cents, gpus, place))
        return None if limit >= NEVER else limit

    def _try(self, known: KnownPair) -> None:
        """Replay at the cheapest numbers that are left, all their nodes filled; what is kept is made as few as can."""
        point = self._price(known)
        if point is None:
            return
        full = self._filled(known, point)
        if not self._keeps(known, full):
            if len(known.missed) == 1 and not self.replayer.keeps(PoolTrial(known.pair, *known.most)):
                known.cents, known.hopeless = NEVER, True
            else:
                self._price(known)
            return
        known.exact = True
        before = self._fewest(known, known.least[0], full[0], lambda count: (count, full[1]))
        self._fewest(known, known.least[1], full[1], lambda count: (before, count))

    def _fewest(self, known: KnownPair, low: int, high: int, at) -> int:  # type: ignore[no-untyped-def]
        """The fewest workers of one pool beside so many of the other."""
        low -= 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._keeps(known, at(middle)) else (middle, high)
        return high

    def _keeps(self, known: KnownPair, point: tuple[int, int]) -> bool:
        """Whether so many keep every promise; what misses is noted."""
        if self.replayer.keeps(PoolTrial(known.pair, *point)):
            return True
        beyond = [(a, b) for a, b in known.missed if not (a <= point[0] and b <= point[1])]
        known.missed = [*beyond, point]
        return False

    def _filled(self, known: KnownPair, point: tuple[int, int]) -> tuple[int, int]:
        """The same nodes with as many workers as they hold: what costs the same and carries more."""
        pair, (before, after) = known.pair, point
        one, other = pair.prefill, pair.decode
        if one.node_type.key != other.node_type.key:
            before = one.nodes_for(before) * one.replicas_per_node
            after = other.nodes_for(after) * other.replicas_per_node
        else:
            cents = self._cents(pair, before, after)
            while after < known.most[1] and self._cents(pair, before, after + 1) == cents:
                after += 1
        return min(before, known.most[0]), min(after, known.most[1])

    def rows(self, below: int | None, limit: int | None) -> PoolSet | None:
        """The pairs that may cost less than the limit, for the solver; None: there are none."""
        end = NEVER if limit is None else limit
        open_pairs = [one for one in self.pairs if one.cents < end and not (one.hopeless or one.beaten)]
        open_pairs.sort(key=lambda one: (one.pair.prefill.key, one.pair.decode.key, one.pair.inside))
        choices = tuple(PoolChoice(one.pair, one.least, one.most, tuple(sorted(one.missed))) for one in open_pairs)
        return PoolSet(choices, below) if choices else None

    def certified(self, solution: FleetSolution) -> bool:
        """Whether the pools of a solution keep every promise as replayed; if not, that is noted."""
        known, trial = self._of(solution)
        if self.replayer.replay(trial).kept:
            return True
        self._keeps(known, (trial.prefill, trial.decode))
        known.exact = False
        self._price(known)
        return False

    def _of(self, solution: FleetSolution) -> tuple[KnownPair, PoolTrial]:
        trial = trial_in(solution)
        return next(one for one in self.pairs if one.pair.key == trial.pair.key), trial

    def carries(self, trial: PoolTrial) -> bool:
        """Whether pools carry a factor of the planned load: below saturation, slots and network, promises kept."""
        return trial.factor <= self.most_load(trial) and self.replayer.keeps(trial)

    def most_load(self, trial: PoolTrial) -> float:
        """How many times the planned load pools carry at most: below saturation, slots and network."""
        held, rate, pair = self._workers.part.load.inflight, self._workers.needed_rate(), trial.pair
        found = []
        for one, count in ((pair.prefill.worker, trial.prefill), (pair.decode.worker, trial.decode)):
            assert one is not None
            sent = one.requests_per_second if pair.inside else min(one.requests_per_second, one.sent_per_second)
            found.append(count * sent / rate)
            if one.slots and held:
                found.append(count * one.slots / held)
        return min(found)


def trial_in(solution: FleetSolution) -> PoolTrial:
    """The trial that a solution with pools is: on one node they exchange caches inside it."""
    before, after = solution.groups
    nodes = sum(bought.count - bought.spare for bought in solution.nodes)
    pair = PoolPair(before.candidate, after.candidate, nodes == 1)
    return PoolTrial(pair, before.replicas, after.replicas)
