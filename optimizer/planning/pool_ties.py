"""Of prefill and decode pools on the same nodes at the same money the better pair is listed, with paid cards at work.

The solver finds the fewest workers of some pair. Here every pair that may stand on the nodes of a plan, under its key,
is filled into them, split by split where both pools are on nodes of one type, and the best is listed: better grade,
then published weights, more load carried, lower latency as replayed, fewer GPUs per worker, and content last. A plan
leaves the list that pools of another key beat on the same nodes at the same money.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.fleet.funnel import kept_points
from optimizer.fleet.instance import key_of, option_facts, slot_facts
from optimizer.planning.pool_search import KnownPair, PoolSearch, trial_in
from optimizer.planning.same_nodes import fits

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.fleet.requirements import UserRules
    from optimizer.fleet.types import FleetSolution
    from optimizer.plan.types import Replay

MOST_LOAD, STEPS = 2.0, 5
"""Up to so many times the planned load it is asked what pools carry, halving the open interval so often."""

_Static = tuple[str, bool, float]
"""Grade, own weights, minus the load that is carried; less is better."""


@dataclass(frozen=True, slots=True)
class _Filled:
    """Pools on the nodes of a plan, and what they are at best."""

    solution: FleetSolution
    bound: _Static  # with the load that saturation, network and slots leave
    least_cents: int  # that the pair costs with the fewest workers that may do


class PoolTies:
    """Settles ties among plans with pools."""

    def __init__(self, search: PoolSearch, catalog: Catalog, rules: UserRules, below: int | None) -> None:
        self._search, self._catalog, self._rules, self._below = search, catalog, rules, below

    def listed(self, solutions: Sequence[FleetSolution]) -> tuple[FleetSolution, ...]:
        """The plans, each pair of pools the best of its key on its nodes."""
        return tuple(self._settled(one) if one.has_pools else one for one in solutions)

    def _settled(self, solution: FleetSolution) -> FleetSolution:
        best = self._as_replayed(solution)
        rivals = sorted(self._rivals(solution), key=lambda one: (one.bound, _content(one.solution)))
        for rival in rivals:
            if self._rules.top > 1 and rival.solution.key != solution.key:
                continue
            mine = self._static(best)
            if rival.bound > mine:
                break
            if rival.bound[:2] == mine[:2]:
                trial = trial_in(rival.solution)
                if not self._search.carries(replace(trial, factor=best.load_factor)):
                    continue
            elif not self._search.carries(trial_in(rival.solution)):
                continue
            replayed = self._as_replayed(rival.solution)
            if self._worth(replayed) < self._worth(best):
                best = replayed
        return best

    def is_beaten(self, plan: FleetSolution) -> bool:
        """Whether pools of another key on its nodes, which may not be had for less, are no worse in anything and better
        in something."""
        mine = self._static(plan)
        for rival in self._rivals(plan):
            if rival.solution.key == plan.key or rival.least_cents < plan.monthly_cents:
                continue
            if not _no_worse(rival.bound, mine):
                continue
            if self._search.carries(replace(trial_in(rival.solution), factor=plan.load_factor)):
                replayed = self._as_replayed(rival.solution)
                found = self._static(replayed)
                if not (_no_worse(found, mine) and _no_slower(replayed, plan)):
                    continue
                if (found, _told(replayed)) != (mine, _told(plan)):
                    return True
        return False

    def _as_replayed(self, solution: FleetSolution) -> FleetSolution:
        """The plan with what its requests see, how many times the planned load its pools carry (the largest factor that
        was tried and kept), and what it costs without pools."""
        trial = trial_in(solution)
        low, high = 1.0, MOST_LOAD
        for _ in range(STEPS):
            middle = 0.5 * (low + high)
            carried = self._search.carries(replace(trial, factor=middle))
            low, high = (middle, high) if carried else (low, middle)
        seen = self._search.replayer.replay(trial)
        return replace(solution, pooled=seen, load_factor=low, without_pools_cents=self._below)

    def _rivals(self, solution: FleetSolution) -> Iterator[_Filled]:
        """Every pair that may stand on the nodes of a plan, the nodes filled."""
        working: dict[object, int] = {}
        for bought in solution.nodes:
            key = bought.option.node_type.key
            working[key] = working.get(key, 0) + bought.count - bought.spare
        inside = sum(working.values()) == 1
        for known in self._search.pairs:
            pair = known.pair
            if known.hopeless or pair.inside is not inside:
                continue
            if {pair.prefill.node_type.key, pair.decode.node_type.key} != working.keys():
                continue
            for before, after in _splits(known, working):
                made = self._with(solution, known, before, after)
                load = self._search.most_load(trial_in(made))
                if load >= 1.0:
                    yield _Filled(made, (*self._standing(made), -min(load, MOST_LOAD)), known.cents)

    def _with(self, solution: FleetSolution, known: KnownPair, before: int, after: int) -> FleetSolution:
        workers = ((known.pair.prefill, before), (known.pair.decode, after))
        groups = tuple(
            replace(group, candidate=one, point=0, kept=kept_points(one, self._rules), replicas=count)
            for group, (one, count) in zip(solution.groups, workers, strict=True)
        )
        facts = [fact for one, _ in workers for fact in slot_facts(one, self._rules)]
        facts += [fact for bought in solution.nodes for fact in option_facts(bought.option, self._rules)]
        return replace(solution, groups=groups, key=key_of(facts))

    def _standing(self, plan: FleetSolution) -> tuple[str, bool]:
        specs = [one.candidate.spec for one in plan.groups]
        own = any((one.model.id, one.weight_quant) not in self._catalog.checkpoints for one in specs)
        return max(str(one.candidate.grade) for one in plan.groups), own

    def _static(self, plan: FleetSolution) -> _Static:
        return (*self._standing(plan), -plan.load_factor)

    def _worth(self, plan: FleetSolution) -> tuple[object, ...]:
        assert plan.pooled is not None
        return (self._static(plan), _shares(plan.pooled), plan.pooled.e2e_s.mean, _content(plan))


def _splits(known: KnownPair, working: dict[object, int]) -> Iterator[tuple[int, int]]:
    """Numbers of workers that fill the nodes: of each pool those of its own nodes; on nodes of one type every number of
    prefill workers with as many decode workers as there is room for."""
    one, other = known.pair.prefill, known.pair.decode
    least, most = known.least, known.most
    if one.node_type.key != other.node_type.key:
        full = [working[its.node_type.key] * its.replicas_per_node for its in (one, other)]
        counts = min(full[0], most[0]), min(full[1], most[1])
        if counts[0] >= least[0] and counts[1] >= least[1]:
            yield counts
        return
    nodes, per_node = working[one.node_type.key], one.node_type.gpus_per_node
    for before in range(least[0], most[0] + 1):
        after = min((nodes * per_node - before * one.spec.gpus) // other.spec.gpus, most[1])
        while after >= least[1] and not fits([one.spec.gpus] * before + [other.spec.gpus] * after, nodes, per_node):
            after -= 1
        if after < least[1]:
            return
        yield before, after


def _no_worse(one: _Static, other: _Static) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one[2] <= other[2]


def _told(plan: FleetSolution) -> dict[tuple[str, str], float]:
    assert plan.pooled is not None
    return {(one.path, one.length_class): one.simulated_s for one in plan.pooled.promises}


def _no_slower(one: FleetSolution, other: FleetSolution) -> bool:
    fast, slow = _told(one), _told(other)
    return all(fast[about] <= slow[about] for about in slow)


def _shares(replay: Replay) -> tuple[float, ...]:
    """Shares of their limits that the promised percentiles reach, the largest first."""
    return tuple(sorted((one.simulated_s / one.limit_s for one in replay.promises), reverse=True))


def _content(plan: FleetSolution) -> tuple[object, ...]:
    sizes = tuple(sorted((one.candidate.spec.gpus for one in plan.groups), reverse=True))
    return (sizes, tuple((one.candidate.key[1:], one.replicas) for one in plan.groups))
