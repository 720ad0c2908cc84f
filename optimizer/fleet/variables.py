"""Variables of the fleet model, with query methods: rules ask for expressions and never index a dictionary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from optimizer.candidates.market import THOUSANDTHS
from optimizer.fleet.facts import Fact, fact_text, slot_facts
from optimizer.fleet.instance import ACTIVITY_LIMIT, Instance, Slot
from optimizer.pricing.rules import RuleName
from optimizer.pricing.types import NodeType
from optimizer.units import SHARE_UNITS

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
        self._reps = [cp.new_int_var(0, slot.max_replicas, f"reps[{_name(slot)}]") for slot in slots]
        mixed = slots if instance.rules.mixed else ()
        self._shares = [cp.new_int_var(0, SHARE_UNITS, f"share[{_name(slot)}]") for slot in mixed]
        most = {node_type.key: instance.max_nodes(node_type) for node_type in instance.node_types}
        self._nodes = [
            cp.new_int_var(0, most[option.node_type.key], f"nodes[{option.offer.id}|{option.tier}]")
            for option in options
        ]
        self._decisions: dict[tuple[str, int, str], IntVar] = {}
        self._offending: dict[RuleName, IntVar] = {}
        self._kinds: dict[str, IntVar] = {}
        self._in_use = {
            node_type.key: cp.new_bool_var(f"in_use[{_type_name(node_type)}]") for node_type in instance.node_types
        }
        self._spares: dict[tuple[str, int, str, float], IntVar] = {}
        self._facts: dict[Fact, IntVar] = {}
        self._relaxed: dict[str, IntVar] = {}
        self._excess: dict[str, IntVar] = {}
        self._factor: IntVar | None = None
        self._worst: IntVar | None = None
        self._whole: dict[int, IntVar] = {}

    # --- slots ---------------------------------------------------------------------------------------------------
    def at(self, index: int) -> IntVar:
        """1 when the slot is chosen for its workload."""
        return self._at[index]

    def reps(self, index: int) -> IntVar:
        """Replicas running at the slot."""
        return self._reps[index]

    def share(self, index: int) -> LinearExprT:
        """The part of its workload, in 1/2520, that the slot serves; all of it where nothing may be mixed."""
        return self._shares[index] if self._shares else SHARE_UNITS * self._at[index]

    def most(self, literal: IntVar) -> LinearExprT:
        """As many of a workload's slots as may be chosen at all where the literal is 1, none where it is 0."""
        return self.instance.rules.configurations * literal if self._shares else literal

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
        """Literal ``gpu[w,g]``, ``quant[w,q]``, ``kv``, ``tp``, ``pp``, ``link`` or ``interconnect``."""
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
    def node(self, index: int) -> IntVar:
        """Nodes of one option."""
        return self._nodes[index]

    def nodes(self, node_type: NodeType) -> LinearExprT:
        """Nodes of one node type, spare ones included."""
        options = self.instance.options
        return _sum([self._nodes[i] for i, o in enumerate(options) if o.node_type.key == node_type.key])

    def in_use(self, node_type: NodeType) -> IntVar:
        """1 when replicas stand on nodes of this type."""
        return self._in_use[node_type.key]

    def offending(self, rule: RuleName) -> IntVar:
        """Nodes of options that a rule about offers forbids."""
        if rule not in self._offending:
            self._offending[rule] = self.cp.new_int_var(0, ACTIVITY_LIMIT - 1, f"offending[{rule}]")
        return self._offending[rule]

    def spares(self, node_type: NodeType) -> LinearExprT:
        """Spare nodes of a type: ``k in_use[t]``; in the elastic solve ``margins.spare_nodes`` may be given up."""
        spare, used = self.instance.rules.spare_nodes, self._in_use[node_type.key]
        if not self.elastic or not spare:
            return spare * used
        if node_type.key not in self._spares:
            held = self.cp.new_int_var(0, spare, f"spares[{_type_name(node_type)}]")
            self.cp.add(held >= spare * used - spare * self.relaxed("margins.spare_nodes"))
            self._spares[node_type.key] = held
        return self._spares[node_type.key]

    # --- totals --------------------------------------------------------------------------------------------------
    def cost(self) -> LinearExprT:
        """Money per month for nodes, in money units."""
        return _weighted(self._nodes, self.instance.prices)

    def gpus(self) -> LinearExprT:
        """GPUs of all nodes."""
        return _weighted(self._nodes, [option.node_type.gpus_per_node for option in self.instance.options])

    def power(self) -> LinearExprT:
        """Watts of all nodes, without PUE."""
        return _weighted(self._nodes, self.instance.power_w)

    def replicas(self) -> LinearExprT:
        """Replicas of all workloads."""
        return _sum(self._reps)

    def all_nodes(self) -> LinearExprT:
        """Nodes of all types."""
        return _sum(self._nodes)

    def factor(self) -> IntVar:
        """Load factor in thousandths (``maximize_load``)."""
        if self._factor is None:
            most = ACTIVITY_LIMIT * THOUSANDTHS // self.instance.load_scale
            self._factor = self.cp.new_int_var(0, most, "load_factor")
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
