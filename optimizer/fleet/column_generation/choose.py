"""The best choice of one pattern per workload and of nodes for them: a CP-SAT model with every rule about totals.

Its bound holds for every plan whose patterns are all there. What it leaves out (replicas that span nodes of one offer,
and the order among plans that tie) the model of what is left settles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.fleet.column_generation.columns import Shop, Ways
from optimizer.fleet.column_generation.master import Patterns, Use, use_of
from optimizer.fleet.instance import Fact, Instance, option_facts, slot_facts
from optimizer.fleet.solve import Nothing, solver_of
from optimizer.fleet.types import SolveSettings
from optimizer.progress import Clock

if TYPE_CHECKING:
    from optimizer.fleet.cpsat import CpModel, CpSolver, IntVar, LinearExprT


@dataclass(frozen=True, slots=True)
class PatternChoice:
    """Patterns and nodes, and what is proven about them."""

    ways: tuple[int, ...]
    nodes: dict[int, int]  # by option, used ones only
    value: int  # money units
    bound: int  # of all choices among the patterns
    gpus: int | None  # the fewest at this value, where proven


@dataclass(frozen=True, slots=True)
class ChoiceRequest:
    """What a choice has to keep."""

    instance: Instance
    shop: Shop
    ways: Ways
    keys: Sequence[Collection[Fact]]  # of the plans ranked before
    floor: int  # no plan costs less
    settings: SolveSettings


def choose(
    asked: ChoiceRequest, patterns: Patterns, known: PatternChoice | None, clock: Clock
) -> PatternChoice | Nothing:
    """The cheapest choice, none dearer than a known one, then the one with the fewest GPUs."""
    from optimizer.fleet.cpsat import FEASIBLE, INFEASIBLE, OPTIMAL

    model = _Model(asked, patterns)
    model.cp.add(model.cost() >= asked.floor)
    if known is not None:
        model.cp.add(model.cost() <= known.value)
        model.hint(known)
    model.cp.minimize(model.cost())
    solver = _solver(asked.settings, clock)
    status = solver.solve(model.cp)
    if status not in (OPTIMAL, FEASIBLE):
        return Nothing(proven=status == INFEASIBLE)
    value, bound = round(solver.objective_value), round(solver.best_objective_bound)
    choice = model.read(solver, value, bound)
    if value > bound:
        return choice
    model.cp.add(model.cost() == value)
    model.hint(choice)
    model.cp.minimize(model.gpus())
    solver = _solver(asked.settings, clock)
    if solver.solve(model.cp) != OPTIMAL:
        return choice
    return model.read(solver, value, bound, round(solver.objective_value))


def _solver(settings: SolveSettings, clock: Clock) -> CpSolver:
    from dataclasses import replace

    solver = solver_of(replace(settings, clock=clock), small=False)
    solver.parameters.linearization_level = 2
    return solver


class _Model:
    """Variables and rows."""

    def __init__(self, asked: ChoiceRequest, patterns: Patterns) -> None:
        from optimizer.fleet.cpsat import CpModel

        self._asked, self._patterns = asked, patterns
        self.cp: CpModel = CpModel()
        self._uses: list[Use] = [use_of(patterns.members(index), asked.ways) for index in range(len(patterns))]
        self._taken: list[IntVar] = [self.cp.new_bool_var("") for _ in self._uses]
        self._nodes: list[IntVar] = [self.cp.new_int_var(0, int(most), "") for most in asked.shop.most]
        self._used: dict[int, IntVar] = {}
        self._facts: dict[Fact, IntVar] = {}
        self._serve()
        self._pack()
        self._limit()
        if asked.keys:
            self._differ()

    def cost(self) -> LinearExprT:
        """Money of all nodes."""
        return _weighted(self._nodes, self._asked.instance.prices)

    def gpus(self) -> LinearExprT:
        """GPUs of all nodes."""
        return _weighted(self._nodes, [o.node_type.gpus_per_node for o in self._asked.instance.options])

    def hint(self, known: PatternChoice) -> None:
        """Start the search from a choice."""
        ways, hint = set(known.ways), self.cp.proto.solution_hint
        hint.vars.clear()
        hint.values.clear()
        for index, variable in enumerate(self._taken):
            hint.vars.append(variable.index)
            hint.values.append(int(ways.issuperset(self._patterns.members(index))))
        for index, variable in enumerate(self._nodes):
            hint.vars.append(variable.index)
            hint.values.append(known.nodes.get(index, 0))

    def read(self, solver: CpSolver, value: int, bound: int, gpus: int | None = None) -> PatternChoice:
        """The choice that the solver holds."""
        ways = [
            way
            for index, taken in enumerate(self._taken)
            if solver.value(taken)
            for way in self._patterns.members(index)
        ]
        counts = {index: solver.value(nodes) for index, nodes in enumerate(self._nodes)}
        return PatternChoice(
            tuple(ways), {index: count for index, count in counts.items() if count}, value, bound, gpus
        )

    def _serve(self) -> None:
        by_workload: dict[int, list[IntVar]] = defaultdict(list)
        for workload, taken in zip(self._patterns.workload, self._taken, strict=True):
            by_workload[int(workload)].append(taken)
        for workload in range(len(self._asked.instance.rules.workloads)):
            self.cp.add_exactly_one(by_workload[workload])

    def _pack(self) -> None:
        """GPUs on each node type, by size where nodes do not hold a power of two; and nodes for each workload alone."""
        members: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for index, use in enumerate(self._uses):
            for kind, (gpus, nodes) in use.items():
                members[kind].append((index, gpus, nodes))
        for kind, of_kind in members.items():
            free = self._free(kind, [index for index, _, _ in of_kind])
            room = int(self._asked.shop.room[kind])
            taken = [self._taken[index] for index, _, _ in of_kind]
            self.cp.add(_weighted(taken, [gpus for _, gpus, _ in of_kind]) <= room * free)
            alone: dict[int, list[tuple[int, int]]] = defaultdict(list)
            for index, _, nodes in of_kind:
                alone[int(self._patterns.workload[index])].append((index, nodes))
            for of_workload in alone.values():
                need = _weighted([self._taken[i] for i, _ in of_workload], [nodes for _, nodes in of_workload])
                self.cp.add(need <= free)
            if room & (room - 1):
                self._pack_by_size(kind, [index for index, _, _ in of_kind], free)

    def _pack_by_size(self, kind: int, indices: Sequence[int], free: LinearExprT) -> None:
        room, ways, slots = int(self._asked.shop.room[kind]), self._asked.ways, self._asked.instance.slots
        parts = [
            (index, slots[int(ways.slot[way])].gpus, int(ways.gpus[way]))
            for index in indices
            for way in self._patterns.members(index)
            if ways.kind[way] == kind
        ]
        whole = [(index, gpus // room) for index, size, gpus in parts if size > room]
        inside = [(index, size, gpus) for index, size, gpus in parts if size <= room]
        left = free - _weighted([self._taken[index] for index, _ in whole], [nodes for _, nodes in whole])
        for smallest in sorted({size for _, size, _ in inside}):
            large = [(index, gpus) for index, size, gpus in inside if size >= smallest]
            load = _weighted([self._taken[index] for index, _ in large], [gpus for _, gpus in large])
            self.cp.add(load <= smallest * (room // smallest) * left)

    def _free(self, kind: int, indices: Sequence[int]) -> LinearExprT:
        """Nodes of a type without the spare ones, which are there as soon as the type is used."""
        options = [i for i, of_kind in enumerate(self._asked.shop.kind_of_option) if of_kind == kind]
        nodes = _weighted([self._nodes[i] for i in options], [1] * len(options))
        spare = self._asked.instance.rules.spare_nodes
        if not spare:
            return nodes
        used = self._used[kind] = self.cp.new_bool_var("")
        self._follows(used, indices)
        return nodes - spare * used

    def _follows(self, literal: IntVar, indices: Sequence[int]) -> None:
        """1 as soon as one of the patterns is taken."""
        by_workload: dict[int, list[IntVar]] = defaultdict(list)
        for index in indices:
            by_workload[int(self._patterns.workload[index])].append(self._taken[index])
        for taken in by_workload.values():
            self.cp.add(_weighted(taken, [1] * len(taken)) <= literal)

    def _limit(self) -> None:
        """Stock, quotas, and limits over the plan."""
        instance = self._asked.instance
        options, rules = instance.options, instance.rules
        limits, gpus = rules.limits, [option.node_type.gpus_per_node for option in options]
        stock: dict[str, list[int]] = defaultdict(list)
        for index, option in enumerate(options):
            if option.max_nodes is not None:
                stock[option.offer.id].append(index)
        for indices in stock.values():
            self._at_most(indices, [1] * len(options), options[indices[0]].max_nodes)
        for quota in limits.quotas:
            self._at_most([i for i, option in enumerate(options) if quota.concerns(option)], gpus, quota.max_gpus)
        every = range(len(options))
        self._at_most(every, gpus, limits.gpus)
        self._at_most(every, [1] * len(options), limits.nodes)
        self._at_most(every, instance.power_w, limits.power_w)
        if limits.budget_cents is not None:
            self._at_most(every, instance.prices, (limits.budget_cents - rules.fixed_cents) // instance.money_unit)
        if limits.gpu_kinds is not None:
            self._few_kinds(limits.gpu_kinds)

    def _few_kinds(self, most: int) -> None:
        cards, node_types = defaultdict[str, list[int]](list), self._asked.instance.node_types
        for index, use in enumerate(self._uses):
            for kind in use:
                cards[node_types[kind].gpu.id].append(index)
        literals = [self.cp.new_bool_var("") for _ in cards]
        for literal, indices in zip(literals, cards.values(), strict=True):
            self._follows(literal, sorted(set(indices)))
        self.cp.add(_weighted(literals, [1] * len(literals)) <= most)

    def _at_most(self, indices: Sequence[int], weights: Sequence[int], limit: int | None) -> None:
        if limit is not None and len(indices):
            self.cp.add(_weighted([self._nodes[i] for i in indices], [weights[i] for i in indices]) <= limit)

    def _differ(self) -> None:
        """As the rules about ranks: facts are there exactly if the choice has them; the key is a new one."""
        rules, ways = self._asked.instance.rules, self._asked.ways
        of_patterns: dict[Fact, set[int]] = defaultdict(set)
        for index in range(len(self._uses)):
            for way in self._patterns.members(index):
                candidate = self._asked.instance.slots[int(ways.slot[way])].candidate
                for fact in slot_facts(candidate, rules):
                    of_patterns[fact].add(index)
        for fact, indices in sorted(of_patterns.items()):
            literal = self._facts[fact] = self.cp.new_bool_var("")
            self._follows(literal, sorted(indices))
            self.cp.add(literal <= _weighted([self._taken[i] for i in indices], [1] * len(indices)))
        of_options: dict[Fact, list[int]] = defaultdict(list)
        for index, option in enumerate(self._asked.instance.options):
            for fact in option_facts(option, rules):
                of_options[fact].append(index)
        for fact, options in sorted(of_options.items()):
            literal = self._facts[fact] = self.cp.new_bool_var("")
            total = _weighted([self._nodes[i] for i in options], [1] * len(options))
            self.cp.add(total <= int(sum(self._asked.shop.most[i] for i in options)) * literal)
            self.cp.add(literal <= total)
        for key in self._asked.keys:
            self._differ_from(key)

    def _differ_from(self, key: Collection[Fact]) -> None:
        if any(fact not in self._facts for fact in key):
            return
        lacks = [~self._facts[fact] for fact in sorted(key)]
        others = [literal for fact, literal in sorted(self._facts.items()) if fact not in key]
        self.cp.add_bool_or(lacks if self._asked.instance.rules.mixed else [*lacks, *others])


def _weighted(variables: Sequence[IntVar], weights: Sequence[int]) -> LinearExprT:
    from optimizer.fleet.cpsat import LinearExpr

    return LinearExpr.weighted_sum(variables, [int(weight) for weight in weights]) if variables else 0
