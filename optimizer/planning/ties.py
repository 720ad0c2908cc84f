"""Of plans at equal money the better one is listed, cards that are paid for work, and no plan is beaten by another.

The solver finds what is cheapest, carries most or is quickest; of what costs the same and reaches as much it takes any.
Here every plan of its ranking meets the others that cost exactly as much and reach as much (of one workload on whatever
nodes, of several on the same nodes) and have the same key, and the best of them is listed: better grade, then published
weights, more load carried, lower latency as replayed (as estimated, where nothing is replayed), fewer GPUs per replica,
and content last. Then a plan leaves the list that another beats on the same nodes at the same money: no worse in grade,
published weights, load and every promised percentile, and better in one; the other being what its configuration costs
at least and reaches at most. Under a latency objective the other is no slower in that either. Of plans listed at equal
money the better one comes first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.fleet.funnel import configuration_allowed
from optimizer.fleet.instance import key_of, load_factor, option_facts, slot_facts
from optimizer.fleet.lower_bounds import THOUSANDTHS, NodeKey, UsableOptions
from optimizer.fleet.starting_plans import keeps_limits
from optimizer.fleet.types import NodeChoice
from optimizer.planning.inputs import loads_of
from optimizer.planning.same_nodes import spread
from optimizer.planning.sought import Sought
from optimizer.vocabulary import Survive

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.fleet.candidate_set import CandidateSet
    from optimizer.fleet.types import FleetResult, FleetSolution, GroupChoice, SolveSettings
    from optimizer.plan.types import PlanKey
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.judges import Judge
    from optimizer.pricing import NodeOption
    from optimizer.pricing.types import NodeType

MORE = 3
"""At most so many times as many plans as are listed are asked for, to list none that is beaten."""

Rank = Callable[[int], "FleetResult | None"]
"""The best so many plans, before ties are settled; None where the time was up."""

Static = tuple[bool, str, bool, int]
"""What is known of a plan before anything is replayed: flagged, grade, own weights, minus the load; less is better."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What tells plans at equal money apart; less is better."""

    static: Static
    shares: tuple[float, ...]  # of their limits that the promised percentiles reach, the largest first
    stay: float  # mean end-to-end seconds
    sizes: tuple[int, ...]  # GPUs per replica, the largest first
    content: tuple[object, ...]

    @property
    def order(self) -> tuple[object, ...]:
        """The order of plans at equal money."""
        return (self.static, self.shares, self.stay, self.sizes, self.content)


@dataclass(frozen=True)
class TieSettling:
    """What plans are listed from, and how many of them."""

    inputs: Inputs
    candidates: CandidateSet
    options: Sequence[NodeOption]
    top: int
    anywhere: bool = True  # plans at the same money may stand on other nodes

    def settled(self, result: FleetResult, asked: int, judge: Judge) -> tuple[FleetResult, int]:
        """The best ``asked`` plans with their ties settled, and how many more are needed to know the list; 0: done."""
        if not result.solutions:
            return result, 0
        full = len(result.solutions) == asked and result.status == "proven" and self.top > 1
        ties = _Ties(self, judge)
        listed, keys = ties.listed(result.solutions, full=full)
        numbered = (replace(one, rank=place) for place, one in enumerate(listed[: self.top], start=1))
        missing = keys + self.top - len(listed) if full and len(listed) < self.top else asked
        more = missing - asked if missing <= MORE * self.top else 0
        return replace(result, solutions=tuple(numbered)), more

    def of(self, rank: Rank, judge: Callable[[], Judge]) -> FleetResult | None:
        """The list from the rankings of ``rank``; ``judge`` is asked for once the plans are there."""
        asked = self.top
        while (result := rank(asked)) is not None:
            result, more = self.settled(result, asked, judge())
            if not more:
                break
            asked += more
        return result


def solve_first(
    inputs: Inputs, candidates: CandidateSet, options: Sequence[NodeOption], settings: SolveSettings
) -> FleetResult:
    """The ranking as the closed form has it; of plans that tie any."""
    from optimizer.fleet import solve_fleet

    return solve_fleet(inputs.problem, candidates, options, loads_of(inputs.problem), settings)


def best_as_estimated(
    inputs: Inputs, candidates: CandidateSet, options: Sequence[NodeOption], settings: SolveSettings
) -> FleetResult:
    """The ranking as the closed form has it, ties settled."""
    from optimizer.planning.judges import Judge

    def rank(top: int) -> FleetResult:
        wanted = replace(candidates, rules=replace(candidates.rules, top=top))
        return solve_first(inputs, wanted, options, settings)

    if settings.first_level:
        return rank(candidates.rules.top)
    listing = TieSettling(inputs, candidates, options, candidates.rules.top, anywhere=not settings.must_use)
    found = listing.of(rank, lambda: Judge(inputs, candidates, options))
    assert found is not None
    return found


class _Ties:
    """Plans at equal money, compared."""

    def __init__(self, listing: TieSettling, judge: Judge) -> None:
        inputs, candidates, options = listing.inputs, listing.candidates, listing.options
        self._rules, self._judge, self._top = candidates.rules, judge, listing.top
        self._loads = loads_of(inputs.problem)
        self._catalog = inputs.catalog
        allowed = [option for option in options if not self._rules.forbidden_by(option)]
        self._market = UsableOptions(allowed)
        self._in_lots = {option.node_type.key for option in allowed if option.ordered_in_lots}
        standing = {option.node_type.key for option in allowed}
        racing = [
            one
            for one in candidates.candidates
            if one.node_type.key in standing and configuration_allowed(one, self._rules)
        ]
        self._types: dict[NodeKey, NodeType] = {one.node_type.key: one.node_type for one in racing}
        self._racing = _by_node_type(racing)
        self._first = _by_node_type(one for one in racing if not self._rules.is_flagged(one))
        self._anywhere = listing.anywhere and len(self._rules.workloads) == 1 and not self._rules.periods
        self._sought = Sought(self._rules, self._loads)

    def listed(self, solutions: Sequence[FleetSolution], *, full: bool) -> tuple[list[FleetSolution], int]:
        """The plans, each the best of its key at its money, without those that are beaten, the better first; and how
        many keys are known. ``full``: there may be more plans at the money of the last one, which are found too."""
        best = [self._settled(one) for one in solutions]
        if full and self._anywhere:
            best += self._left_out(best, {one.key for one in solutions})
        return self._in_order(self._unbeaten(best)), len(best)

    def _left_out(self, best: Sequence[FleetSolution], known: set[PlanKey]) -> list[FleetSolution]:
        """The best of each further key at the money of the last plan, as far as they may still have a place.

        The search ended there because the list was full: of keys that tie it took some. A key that could be had for
        less was found before.
        """
        last = best[-1]
        if last.has_pools:
            return []
        found: dict[PlanKey, FleetSolution] = {}
        block = [one for one in best if (one.objective, one.monthly_cents) == (last.objective, last.monthly_cents)]
        places = self._top - (len(best) - len(block))
        if places <= 0:  # dearer than all that the list has room for
            return []
        pool = [(self._static(one), one) for one in self._rivals(last) if one.key not in known]
        pool.sort(key=lambda pair: (pair[0], _sizes(pair[1]), _content(pair[1])))
        standing = [self._static(one) for one in block]
        for static, rival in pool:
            if len(standing) >= places and static > sorted(standing)[places - 1]:
                break
            before = found.get(rival.key)
            if before is not None and static > self._static(before):
                continue
            alike = (one for one in (*block, *found.values()) if _purchase(one) == _purchase(rival))
            if not self._judge.keeps(rival) or any(self._beats(one, rival) for one in alike):
                continue
            if before is None:
                standing.append(static)
            elif self._worth(before).order <= self._worth(rival).order:
                continue
            found[rival.key] = rival
        return list(found.values())

    def _settled(self, solution: FleetSolution) -> FleetSolution:
        """The best at its money; where groups are changed one at a time, until no change is for the better. Pools are
        settled where they are replayed (``pool_ties``): their numbers of workers hang together."""
        if solution.has_pools:
            return solution
        for _ in solution.groups:
            best = self._best(solution)
            if best is solution:
                break
            solution = best
        return solution

    def _best(self, solution: FleetSolution) -> FleetSolution:
        """The best of all plans at its money that have its key; of a single plan that is asked for, of any key."""
        pool = [(self._static(one), one) for one in self._rivals(solution)]
        mine = self._static(solution)
        pool = [pair for pair in pool if pair[0] <= mine and (self._top == 1 or pair[1].key == solution.key)]
        pool.sort(key=lambda pair: (pair[0], _sizes(pair[1]), _content(pair[1])))
        best: FleetSolution | None = None
        for static, rival in pool:
            if best is not None and static > self._static(best):
                break
            if self._judge.keeps(rival) and (best is None or self._worth(rival).order < self._worth(best).order):
                best = rival
        if best is None or (self._static(best) == mine and self._worth(solution).order <= self._worth(best).order):
            return solution
        return best

    def _rivals(self, solution: FleetSolution) -> Iterator[FleetSolution]:
        """Other plans at the same money: on the same nodes, and of one workload on others."""
        flagged = any(self._rules.is_flagged(one.candidate) for one in solution.groups)
        able = self._racing if flagged else self._first
        choices: list[list[Candidate]] = [
            [one for one in able.get(group.candidate.node_type.key, ()) if one.workload == group.candidate.workload]
            for group in solution.groups
        ]
        for chosen in _combinations(choices, [one.candidate for one in solution.groups]):
            yield from self._spread(solution, chosen)
        if not self._anywhere or len(solution.groups) != 1:
            return
        here = solution.groups[0].candidate.node_type.key
        for key in sorted(self._types):
            nodes = None if key == here or key in self._in_lots else self._nodes_at(key, solution.monthly_cents)
            if nodes is None:
                continue
            elsewhere = replace(solution, nodes=nodes, gpus=_gpus(nodes))
            for one in able.get(key, ()):
                yield from self._spread(elsewhere, [one])

    def _spread(self, solution: FleetSolution, chosen: Sequence[Candidate]) -> Iterator[FleetSolution]:
        """The plan with other candidates on its nodes, where those hold them and reach what it reaches."""

        def fewest(candidate: Candidate, share: int) -> int | None:
            return self._judge.fewest(candidate, share, solution.objective)

        groups = spread(solution, chosen, self._loads, self._judge.capable, fewest, self._rules.survive)
        if groups is not None:
            made = self._with(solution, groups)
            if self._sought.reached(made):
                yield made

    def _nodes_at(self, key: tuple[str, int, str, float, float], cents: int) -> tuple[NodeChoice, ...] | None:
        """The cheapest nodes of a type that come to exactly so much, spares among them; None where none do."""
        node_type, spare, fixed = self._types[key], self._rules.spare_nodes, self._rules.fixed_cents
        if self._rules.survive is Survive.SITE:  # the cheapest nodes need not be of several sites
            return None
        first = self._market.options(node_type)[0].monthly_cents
        if first <= 0 or (self._rules.objective == "minimize_gpus"):
            return None
        low, high = spare, spare + (cents - fixed) // first
        while low < high:
            middle = (low + high + 1) // 2
            found = self._market.cheapest(node_type, middle)
            low, high = (middle, high) if found is not None and found <= cents - fixed else (low, middle - 1)
        if low <= spare or self._market.cheapest(node_type, low) != cents - fixed:
            return None
        nodes = self._market.fill(node_type, low) or []
        if not keeps_limits(nodes, self._rules):
            return None
        left, choices = spare, list[NodeChoice]()
        for option, count in sorted(nodes, key=lambda pair: (-pair[0].monthly_cents, pair[0].key)):
            taken = min(left, count)
            choices.append(NodeChoice(option, count, taken))
            left -= taken
        return tuple(sorted(choices, key=lambda choice: choice.option.key))

    def _with(self, solution: FleetSolution, groups: Sequence[GroupChoice]) -> FleetSolution:
        """The plan with other groups on its nodes."""
        facts = [fact for group in groups for fact in slot_facts(group.candidate, self._rules)]
        facts += [fact for choice in solution.nodes for fact in option_facts(choice.option, self._rules)]
        factor = solution.objective if self._sought.load else load_factor(groups, self._loads)
        return replace(solution, groups=tuple(groups), key=key_of(facts), load_factor=factor / THOUSANDTHS)

    def _unbeaten(self, plans: Sequence[FleetSolution]) -> list[FleetSolution]:
        """Without plans that another beats; of two that are alike, the one that costs less work comes first anyway."""
        if self._rules.mixed or len(plans) < 2:
            return list(plans)
        return [one for one in plans if not self._is_beaten(one, plans)]

    def _is_beaten(self, plan: FleetSolution, plans: Sequence[FleetSolution]) -> bool:
        same = [other for other in plans if other.key != plan.key and _purchase(other) == _purchase(plan)]
        if any(self._beats(other, plan) for other in same):
            return True
        if plan.has_pools:
            return self._judge.is_beaten_by_pools(plan)
        if len(plan.groups) != 1 or self._rules.periods:
            return False
        mine = self._static(plan)
        for rival in self._rivals(plan):
            if rival.key == plan.key or _purchase(rival) != _purchase(plan):
                continue
            if not _no_worse(self._static(rival), mine):
                continue
            if self._judge.has_for_less(rival) or not self._judge.keeps(rival):
                continue
            if self._beats(rival, plan):
                return True
        return False

    def _beats(self, one: FleetSolution, other: FleetSolution) -> bool:
        """Whether one is no worse in anything and better in something. The two have bought the same."""
        mine, theirs = self._static(one), self._static(other)
        if not _no_worse(mine, theirs):
            return False
        if self._sought.latency and one.objective > other.objective:
            return False
        fast, slow = self._judge.seen(one).of_limits, self._judge.seen(other).of_limits
        if fast.keys() != slow.keys() or any(fast[about] > slow[about] for about in slow):
            return False
        return mine != theirs or fast != slow

    def _in_order(self, plans: Sequence[FleetSolution]) -> list[FleetSolution]:
        """At equal money the better first; of several workloads, among those on the same nodes."""
        blocks: dict[tuple[object, ...], list[FleetSolution]] = {}
        for plan in plans:
            nodes = () if self._anywhere else _purchase(plan)
            blocks.setdefault((plan.objective, plan.monthly_cents, *nodes), []).append(plan)
        found: list[FleetSolution] = []
        for block in blocks.values():
            found += block if len(block) == 1 else sorted(block, key=lambda plan: self._worth(plan).order)
        return found

    def _static(self, plan: FleetSolution) -> Static:
        flagged = any(self._rules.is_flagged(one.candidate) for one in plan.groups)
        grade = max(str(one.candidate.grade) for one in plan.groups)
        own = any(
            (one.candidate.spec.model.id, one.candidate.spec.weight_quant) not in self._catalog.checkpoints
            for one in plan.groups
        )
        return (flagged, grade, own, -round(plan.load_factor * THOUSANDTHS))

    def _worth(self, plan: FleetSolution) -> Worth:
        seen = self._judge.seen(plan)
        shares = tuple(sorted(seen.of_limits.values(), reverse=True))
        return Worth(self._static(plan), shares, seen.stay_s, _sizes(plan), _content(plan))


def _no_worse(one: Static, other: Static) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one[2] <= other[2] and one[3] <= other[3]


def _combinations(choices: Sequence[Sequence[Candidate]], now: Sequence[Candidate]) -> Iterator[tuple[Candidate, ...]]:
    """Every choice of one candidate per group; where those are too many, all that change one group only, or none."""
    from itertools import product
    from math import prod

    if prod(map(len, choices)) <= _MOST_COMBINATIONS:
        yield from product(*choices)
        return
    yield tuple(now)
    if sum(map(len, choices)) > _MOST_COMBINATIONS:
        return
    for place, mine in enumerate(choices):
        for one in mine:
            yield (*now[:place], one, *now[place + 1 :])


_MOST_COMBINATIONS = 2000
"""Combinations of configurations on the nodes of a plan that are looked at, all of them or one group at a time."""


def _by_node_type(candidates: Iterable[Candidate]) -> Mapping[NodeKey, Sequence[Candidate]]:
    found: dict[NodeKey, list[Candidate]] = defaultdict(list)
    for one in candidates:
        found[one.node_type.key].append(one)
    return dict(found)


def _purchase(plan: FleetSolution) -> tuple[object, ...]:
    return (plan.monthly_cents, tuple((one.option.key, one.count, one.running) for one in plan.nodes))


def _sizes(plan: FleetSolution) -> tuple[int, ...]:
    return tuple(sorted((one.candidate.spec.gpus for one in plan.groups), reverse=True))


def _content(plan: FleetSolution) -> tuple[object, ...]:
    groups = tuple((one.candidate.key[1:], one.replicas) for one in plan.groups)
    return (groups, tuple((one.option.key, one.count) for one in plan.nodes))


def _gpus(nodes: Iterable[NodeChoice]) -> int:
    return sum(one.count * one.option.node_type.gpus_per_node for one in nodes)
