"""What a plan costs at least that has a certain candidate in it, however loose the latency promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from optimizer.fleet.lower_bounds import UsableOptions, least_cents, replicas_needed
from optimizer.fleet.objective_floors import beside

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.fleet.candidate_set import CandidateSet
    from optimizer.pricing.types import NodeOption

NEVER = 2**62
"""More than any plan costs."""


class CostFloors:
    """Lower bounds on the cost of plans; not for mixes, where a configuration may carry little of a workload.

    Two bounds, the larger counts. The cheapest nodes that hold all replicas of the candidate, spares included; and the
    GPUs of all replicas at the lowest price a GPU of their node type, to which the least of the same comes for
    everything else that the plan has to serve: nodes may be shared, GPUs are not.
    """

    def __init__(
        self,
        candidates: CandidateSet,
        options: Sequence[NodeOption],
        *,
        alone: bool,
        needed: Callable[[Candidate], int | None] | None = None,
    ) -> None:
        """``needed``: replicas that a candidate takes at least, where its operating points do not say."""
        self._rules = rules = candidates.rules
        self._needed = needed or self._by_points
        self._fewest: dict[tuple[int, int], tuple[object, int | None]] = {}
        self._market = UsableOptions(option for option in options if not rules.forbidden_by(option))
        self._alone = alone or bool(rules.periods)
        self._rest = [0] * len(rules.workloads)
        if not self._alone:
            parts = [NEVER] * len(rules.workloads)
            for one in candidates.candidates:
                parts[one.workload] = min(parts[one.workload], self._shared(one))
            self._rest = beside(parts, rules)

    def cents(self, candidate: Candidate) -> int:
        """The bound."""
        own = self._own(candidate)
        if own is None:
            return NEVER
        together = 0 if self._alone else self._shared(candidate) + self._rest[candidate.workload]
        return max(own, together) + self._rules.fixed_cents

    def _own(self, candidate: Candidate) -> int | None:
        """The cheapest nodes that hold all its replicas: more of them never cost less."""
        if self._rules.periods:
            load, points = self._rules.workloads[candidate.workload].load, range(len(candidate.points))
            return least_cents(candidate, load, self._market, self._rules, points)
        replicas = self._by_points(candidate)
        if replicas is None:
            return None
        return self._market.cheapest_for(candidate, replicas, self._rules)

    def own_cents(self, candidate: Candidate, replicas: int) -> int:
        """The cheapest nodes of its own for so many replicas, with what the plan survives and spares."""
        own = self._market.cheapest_for(candidate, replicas, self._rules)
        return NEVER if own is None else own

    def nodes_for(self, candidate: Candidate, replicas: int) -> Sequence[tuple[NodeOption, int]] | None:
        """The cheapest nodes of its own for so many replicas that are left, spares among them; None: there are none."""
        return self._market.fill_for(candidate, replicas, self._rules)

    def cents_with(self, candidate: Candidate, replicas: int) -> int:
        """The bound for so many replicas that are left with whatever the plan survives gone, whatever its operating
        points; not under a day profile."""
        own = self.own_cents(candidate, replicas)
        if own == NEVER:
            return NEVER
        together = 0
        if not self._alone:
            gpus, offered = replicas * candidate.spec.gpus, self._market.options(candidate.node_type)
            together = gpus * offered[0].monthly_cents // candidate.node_type.gpus_per_node
            together += self._rest[candidate.workload]
        return max(own, together) + self._rules.fixed_cents

    def _shared(self, candidate: Candidate) -> int:
        """The GPUs of all its replicas, at the lowest price a GPU of the node type."""
        offered, replicas = self._market.options(candidate.node_type), self._needed(candidate)
        if replicas is None or not offered:
            return NEVER
        return replicas * candidate.spec.gpus * offered[0].monthly_cents // candidate.node_type.gpus_per_node

    def _by_points(self, candidate: Candidate) -> int | None:
        """Fewest replicas; those on several node types share their operating points."""
        about = (candidate.workload, id(candidate.points))
        known = self._fewest.get(about)
        if known is None:
            load = self._rules.workloads[candidate.workload].load
            counts = [replicas_needed(point, load) for point in candidate.points]
            fewest = min((count for count in counts if count is not None), default=None)
            known = self._fewest[about] = (candidate.points, fewest)
        return known[1]
