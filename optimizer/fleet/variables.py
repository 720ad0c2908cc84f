"""Variables of the fleet model, with query methods: rules ask for expressions and never index a dictionary.

Nodes over the periods of a day profile: the numbers that run, and what they cost.

Committed nodes are one number, paid always. Nodes paid by use are a number for each period, paid for its hours, and
``starts[o,p] >= nodes[o,p] - nodes[o,p-1]`` of them start with period p (the first follows the last) and are billed
while they do not serve yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from optimizer.fleet.instance import ACTIVITY_LIMIT, Fact, Instance, Slot, fact_text, slot_facts
from optimizer.fleet.lower_bounds import THOUSANDTHS
from optimizer.fleet.survival import Place
from optimizer.pricing.rules import RuleName
from optimizer.pricing.types import NodeOption, NodeType
from optimizer.units import SHARE_UNITS
from optimizer.vocabulary import Survive

if TYPE_CHECKING:
    from optimizer.fleet.cpsat import Constraint, CpModel, IntVar, LinearExprT


class Variables:
    """All variables of one model. ``cp`` is the model they live in."""

    def __init__(self, cp: CpModel, instance: Instance, elastic: bool) -> None:
        self.cp = cp
        self.instance = instance
        self.elastic = elastic
        slots, options = instance.slots, instance.options
        self._at = [cp.new_bool_var(f"at[{_name(slot)}]") for slot in slots]
        self.periods = range(instance.periods)
        self._reps = [
            [cp.new_int_var(0, slot.max_replicas, f"reps[{_name(slot)}{self.when(p)}]") for p in self.periods]
            for slot in slots
        ]
        mixed = slots if instance.rules.mixed else ()
        self._shares = [cp.new_int_var(0, SHARE_UNITS, f"share[{_name(slot)}]") for slot in mixed]
        most = {node_type.key: instance.max_nodes(node_type) for node_type in instance.node_types}
        self._nodes = [
            nodes_by_period(cp, option, most[option.node_type.key], self.periods, self.when) for option in options
        ]
        self._decisions: dict[tuple[str, int, str], IntVar] = {}
        self._offending: dict[RuleName, IntVar] = {}
        self._kinds: dict[str, IntVar] = {}
        self._in_use = {
            (node_type.key, p): cp.new_bool_var(f"in_use[{_type_name(node_type)}{self.when(p)}]")
            for node_type in instance.node_types
            for p in self.periods
        }
        self._spares: dict[tuple[tuple[str, int, str, float, float], int], IntVar] = {}
        self._lost: dict[tuple[int, int], IntVar] = {}
        self._stands: dict[tuple[int, Place], IntVar] = {}
        self._facts: dict[Fact, IntVar] = {}
        pools = () if instance.pools is None else instance.pools.choices
        self._split = cp.new_bool_var("split") if pools else None
        self._pairs = [cp.new_bool_var(f"pair[{i}]") for i in range(len(pools))]
        self._relaxed: dict[str, IntVar] = {}
        self._excess: dict[str, IntVar] = {}
        self._factor: IntVar | None = None
        self._worst: IntVar | None = None
        self._whole: dict[int, IntVar] = {}
        self._most_gpus = self._busiest_gpus() if len(self.periods) > 1 else None
        self._ordered: dict[int, IntVar] = {}
        self._bill = bill(cp, instance, self._nodes)

    def when(self, period: int) -> str:
        """What tells a variable or row of one period from those of others in its name; nothing without a profile."""
        return "" if len(self.periods) == 1 else f"|{self.instance.rules.periods[period].name}"

    # --- slots ---------------------------------------------------------------------------------------------------
    def at(self, index: int) -> IntVar:
        """1 when the slot is chosen for its workload."""
        return self._at[index]

    def reps(self, index: int, period: int = 0) -> IntVar:
        """Replicas running at the slot, in one period of the day profile."""
        return self._reps[index][period]

    def lost(self, index: int, period: int = 0) -> IntVar:
        """Replicas of the slot that are gone with whatever the plan survives."""
        if (index, period) not in self._lost:
            slot = self.instance.slots[index]
            name = f"lost[{_name(slot)}{self.when(period)}]"
            self._lost[index, period] = self.cp.new_int_var(0, slot.max_replicas, name)
        return self._lost[index, period]

    def left(self, index: int, period: int = 0) -> LinearExprT:
        """Replicas of the slot that still run then."""
        if self.instance.rules.survive is Survive.NONE:
            return self._reps[index][period]
        return self._reps[index][period] - self.lost(index, period)

    def stands(self, index: int, place: Place) -> IntVar:
        """Replicas of the slot on nodes at one place."""
        if (index, place) not in self._stands:
            slot = self.instance.slots[index]
            name = f"stands[{_name(slot)}|{'|'.join(place)}]"
            self._stands[index, place] = self.cp.new_int_var(0, slot.max_replicas, name)
        return self._stands[index, place]

    def standing(self, index: int) -> dict[Place, IntVar]:
        """The same at every place where it may stand."""
        return {place: count for (of_slot, place), count in self._stands.items() if of_slot == index}

    def share(self, index: int) -> LinearExprT:
        """The part of its workload, in 1/2520, that the slot serves; all of it where nothing may be mixed."""
        return self._shares[index] if self._shares else SHARE_UNITS * self._at[index]

    def most(self, literal: IntVar) -> LinearExprT:
        """As many of a workload's slots as may be chosen at all where the literal is 1, none where it is 0."""
        if self._pairs:
            return 2 * literal
        return self.instance.rules.configurations * literal if self._shares else literal

    @property
    def several(self) -> bool:
        """Whether several slots may be chosen for a workload: in a mix, or a prefill and a decode worker."""
        return self.instance.rules.mixed or bool(self._pairs)

    def split(self) -> IntVar:
        """1 where a prefill pool and a decode pool serve the workload."""
        assert self._split is not None
        return self._split

    def pair(self, index: int) -> IntVar:
        """1 where the pools are those of a pair."""
        return self._pairs[index]

    def slots(self, workload: int | None = None) -> list[tuple[int, Slot]]:
        """Slots of a workload, or all, with their index."""
        return [
            (index, slot)
            for index, slot in enumerate(self.instance.slots)
            if workload is None or slot.workload == workload
        ]

    def chosen(self, indices: Iterable[int]) -> LinearExprT:
        """How many of the slots are chosen."""
        return _sum([self._at[index] for index in indices])

    def served(self, part: int) -> LinearExprT:
        """1 where a part of the problem is served as such: ``whole[w]`` for a workload that may be split into length
        classes, ``1 - whole[w]`` for each of its classes, 1 for a workload without classes.
        """
        rules = self.instance.rules
        whole = rules.workloads[part].whole
        if whole is not None:
            return 1 - self.whole(whole)
        return self.whole(part) if rules.classes_of(part) else 1

    def whole(self, workload: int) -> IntVar:
        """1 where the length classes of a workload are served as one mix."""
        if workload not in self._whole:
            name = self.instance.rules.workloads[workload].name
            self._whole[workload] = self.cp.new_bool_var(f"whole[{name}]")
        return self._whole[workload]

    def where_served(self, row: Constraint, part: int) -> None:
        """Let a row hold only where a part of the problem is served as such."""
        rules = self.instance.rules
        whole = rules.workloads[part].whole
        if whole is not None:
            row.only_enforce_if(~self.whole(whole))
        elif rules.classes_of(part):
            row.only_enforce_if(self.whole(part))

    def splittable(self) -> list[int]:
        """Workloads that may be served class by class."""
        rules = self.instance.rules
        return [index for index in range(len(rules.workloads)) if rules.classes_of(index)]

    def splits(self) -> LinearExprT:
        """How many workloads are served class by class."""
        return sum(1 - self.whole(index) for index in self.splittable())

    # --- decisions -----------------------------------------------------------------------------------------------
    def decision(self, what: str, workload: int, value: object) -> IntVar:
        """Literal ``gpu[w,g]``, ``quant[w,q]``, ``kv``, ``tp``, ``pp``, ``link``, ``interconnect`` or ``grade``."""
        key = (what, workload, str(value))
        if key not in self._decisions:
            self._decisions[key] = self.cp.new_bool_var(f"{what}[{workload},{value}]")
        return self._decisions[key]

    def kind(self, gpu: str) -> IntVar:
        """1 when the plan has cards of this kind."""
        if gpu not in self._kinds:
            self._kinds[gpu] = self.cp.new_bool_var(f"kind[{gpu}]")
        return self._kinds[gpu]

    # --- nodes ---------------------------------------------------------------------------------------------------
    def node(self, index: int, period: int = 0) -> IntVar:
        """Nodes of one option, in one period of the day profile; committed ones are there in all of them."""
        return self._nodes[index][period]

    def node_counts(self, index: int) -> list[IntVar]:
        """The different numbers of nodes of one option: one, or where paid by use one for each period."""
        return self._nodes[index] if self.instance.options[index].periods else self._nodes[index][:1]

    def nodes(self, node_type: NodeType, period: int = 0, *, by_use: bool | None = None) -> LinearExprT:
        """Nodes of one node type, spare ones included; all, or only those (not) paid by use under a day profile."""
        return _sum(
            [
                self._nodes[index][period]
                for index, option in enumerate(self.instance.options)
                if option.node_type.key == node_type.key and by_use in (None, bool(option.periods))
            ]
        )

    def in_use(self, node_type: NodeType, period: int = 0) -> IntVar:
        """1 when replicas of workloads with load in the period stand on nodes of this type."""
        return self._in_use[node_type.key, period]

    def ordered(self, index: int) -> IntVar:
        """1 when nodes of an option are bought that is sold in certain numbers only."""
        if index not in self._ordered:
            self._ordered[index] = self.cp.new_bool_var(f"ordered[{'|'.join(self.instance.options[index].key)}]")
        return self._ordered[index]

    def beyond_need(self, node_type: NodeType) -> LinearExprT:
        """Nodes of a type that may stand without work because an offer is sold in no smaller number."""
        return sum(
            (option.from_nodes - 1) * self.ordered(index)
            for index, option in enumerate(self.instance.options)
            if option.node_type.key == node_type.key and option.from_nodes > 1
        )

    def cents(self, index: int) -> LinearExprT:
        """Cents per month of the nodes of one option while they run, exact."""
        option = self.instance.options[index]
        if not option.periods:
            return option.monthly_cents * self._nodes[index][0]
        return sum(price.cents * count for price, count in zip(option.periods, self._nodes[index], strict=True))

    def offending(self, rule: RuleName) -> IntVar:
        """Nodes of options that a rule about offers forbids."""
        if rule not in self._offending:
            self._offending[rule] = self.cp.new_int_var(0, ACTIVITY_LIMIT - 1, f"offending[{rule}]")
        return self._offending[rule]

    def spares(self, node_type: NodeType, period: int = 0) -> LinearExprT:
        """Spare nodes of a type: ``k in_use[t]``; in the elastic solve ``margins.spare_nodes`` may be given up."""
        spare, used = self.instance.rules.spare_nodes, self.in_use(node_type, period)
        if not self.elastic or not spare:
            return spare * used
        key = (node_type.key, period)
        if key not in self._spares:
            held = self.cp.new_int_var(0, spare, f"spares[{_type_name(node_type)}{self.when(period)}]")
            self.cp.add(held >= spare * used - spare * self.relaxed("margins.spare_nodes"))
            self._spares[key] = held
        return self._spares[key]

    # --- totals --------------------------------------------------------------------------------------------------
    def cost(self) -> LinearExprT:
        """Money per month for nodes, in money units."""
        return _weighted([count for count, _ in self._bill], [price for _, price in self._bill])

    def gpus(self) -> LinearExprT:
        """GPUs of all nodes, in the busiest period."""
        return self.gpus_in(0) if self._most_gpus is None else self._most_gpus

    def _busiest_gpus(self) -> IntVar:
        """``gpus >= sum over o of gpus_per_node[o] nodes[o,p]`` for each period p."""
        options = self.instance.options
        most = sum(self.instance.max_nodes(o.node_type) * o.node_type.gpus_per_node for o in options)
        gpus = self.cp.new_int_var(0, most, "gpus")
        for period in self.periods:
            self.cp.add(gpus >= self.gpus_in(period)).with_name(f"gpus{self.when(period)}")
        return gpus

    def gpus_in(self, period: int) -> LinearExprT:
        """GPUs of all nodes in one period."""
        sizes = [option.node_type.gpus_per_node for option in self.instance.options]
        return _weighted([counts[period] for counts in self._nodes], sizes)

    def power(self, period: int = 0) -> LinearExprT:
        """Watts of all nodes, without PUE."""
        return _weighted([counts[period] for counts in self._nodes], self.instance.power_w)

    def replicas(self) -> LinearExprT:
        """Replicas of all workloads, in all periods."""
        return _sum([count for of_slot in self._reps for count in of_slot])

    def all_nodes(self, period: int = 0) -> LinearExprT:
        """Nodes of all types."""
        return _sum([counts[period] for counts in self._nodes])

    def factor(self) -> IntVar:
        """Load factor in thousandths, at least one: a plan carries something (``maximize_load``)."""
        if self._factor is None:
            most = ACTIVITY_LIMIT * THOUSANDTHS // self.instance.load_scale
            self._factor = self.cp.new_int_var(1, most, "load_factor")
        return self._factor

    def worst(self) -> IntVar:
        """The latency that is minimised: the largest over the workloads, in microseconds."""
        if self._worst is None:
            most = max((slot.objective_us for slot in self.instance.slots), default=0)
            self._worst = self.cp.new_int_var(0, most, "worst_latency")
        return self._worst

    # --- ranking and relaxation ----------------------------------------------------------------------------------
    def facts(self) -> dict[Fact, IntVar]:
        """Literals of the facts that a plan key is made of; filled by the rule that channels them."""
        return self._facts

    def fact(self, fact: Fact) -> IntVar:
        """1 when the plan has the fact."""
        if fact not in self._facts:
            self._facts[fact] = self.cp.new_bool_var(f"fact[{fact_text(fact)}]")
        return self._facts[fact]

    def facts_of(self, slot: Slot) -> tuple[Fact, ...]:
        """Facts that a slot brings into the plan key."""
        return slot_facts(slot.candidate, self.instance.rules)

    def relaxed(self, path: str) -> LinearExprT:
        """1 when the elastic solve gives up the rule at a YAML path; always 0 outside it."""
        if not self.elastic:
            return 0
        if path not in self._relaxed:
            self._relaxed[path] = self.cp.new_bool_var(f"relaxed[{path}]")
        return self._relaxed[path]

    def excess(self, path: str, most: int) -> LinearExprT:
        """By how much the elastic solve exceeds the limit at a path; always 0 outside it."""
        if not self.elastic:
            return 0
        if path not in self._excess:
            excess = self.cp.new_int_var(0, max(0, min(most, ACTIVITY_LIMIT * 4)), f"excess[{path}]")
            self._excess[path] = excess
            self.cp.add(excess == 0).only_enforce_if(~self._relaxed_literal(path))
        return self._excess[path]

    def relaxations(self) -> dict[str, IntVar]:
        """Literals of the rules that may be given up, by path."""
        return self._relaxed

    def excesses(self) -> dict[str, IntVar]:
        """Amounts by which limits are exceeded, by path."""
        return self._excess

    def _relaxed_literal(self, path: str) -> IntVar:
        self.relaxed(path)
        return self._relaxed[path]


def _sum(terms: list[IntVar]) -> LinearExprT:
    from optimizer.fleet.cpsat import LinearExpr

    return LinearExpr.sum(terms) if terms else 0


def _weighted(terms: list[IntVar], weights: Iterable[int]) -> LinearExprT:
    from optimizer.fleet.cpsat import LinearExpr

    return LinearExpr.weighted_sum(terms, list(weights)) if terms else 0


def _name(slot: Slot) -> str:
    return "|".join(str(part) for part in (*slot.candidate.key, slot.candidate.points[slot.point].kind, slot.point))


def _type_name(node_type: NodeType) -> str:
    return "|".join(str(part) for part in node_type.key)


def nodes_by_period(
    cp: CpModel, option: NodeOption, most: int, periods: Sequence[int], when: Callable[[int], str]
) -> list[IntVar]:
    """Nodes of an option in each period: one variable throughout where the option is committed."""
    name = f"nodes[{'|'.join(option.key)}"
    if not option.periods:
        return [cp.new_int_var(0, most, f"{name}]")] * len(periods)
    return [cp.new_int_var(0, most, f"{name}{when(period)}]") for period in periods]


def bill(cp: CpModel, instance: Instance, nodes: Sequence[Sequence[IntVar]]) -> list[tuple[IntVar, int]]:
    """Numbers that are paid for, each with its price in money units."""
    paid: list[tuple[IntVar, int]] = []
    by_use = instance.use_prices or ((),) * len(instance.options)
    for option, counts, price, used in zip(instance.options, nodes, instance.prices, by_use, strict=True):
        if not option.periods:
            paid.append((counts[0], price))
            continue
        for period, of_period in enumerate(used):
            paid.append((counts[period], of_period.running))
            if of_period.start and len(used) > 1:
                most = instance.max_nodes(option.node_type)
                paid.append((_starts(cp, option, counts, period, most), of_period.start))
    return paid


def _starts(cp: CpModel, option: NodeOption, counts: Sequence[IntVar], period: int, most: int) -> IntVar:
    started = cp.new_int_var(0, most, f"starts[{'|'.join(option.key)}|{period}]")
    cp.add(started >= counts[period] - counts[period - 1])
    return started


def most_money(instance: Instance, nodes: Iterable[int]) -> int:
    """Money units that so many nodes of each option come to at most."""
    by_use = instance.use_prices or ((),) * len(instance.options)
    return sum(
        count * (sum(one.running + one.start for one in used) if used else price)
        for count, price, used in zip(nodes, instance.prices, by_use, strict=True)
    )
