"""The node lines of the ranked plans with the option behind each: the offer, its price and its cost lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.pricing.types import Origin, option_key, starts_of

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.plan.types import NodeLine, Outcome, Plan
    from optimizer.pricing import NodeOption, Terms
    from optimizer.problem import Problem


@dataclass(frozen=True, slots=True)
class PricedLine:
    """Nodes of one option in a plan."""

    plan: Plan
    node: NodeLine
    option: NodeOption
    position: int = 0  # among the node lines of its plan

    @property
    def running(self) -> tuple[int, ...]:
        """Nodes in each period of the day profile; empty without one."""
        return tuple(period.nodes[self.position] for period in self.plan.periods)


@dataclass(frozen=True)
class Case:
    """Everything a shortlist shows."""

    outcome: Outcome
    problem: Problem
    catalog: Catalog
    terms: Terms
    lines: tuple[PricedLine, ...]

    def of(self, plan: Plan) -> list[PricedLine]:
        """The lines of one plan."""
        return [line for line in self.lines if line.plan is plan]

    @property
    def options(self) -> list[NodeOption]:
        """Each option once, in the order of the ranking."""
        return list({line.option.key: line.option for line in self.lines}.values())

    def discount(self, option: NodeOption) -> float:
        """Share off the list price that the pricing room took: what is quoted or owned has none."""
        if option.price is None or option.origin is Origin.QUOTE:
            return 0.0
        return self.terms.discount(option.offer.provider, option.tier, option.offer.gpu)

    def node_hours(self, line: PricedLine) -> float:
        """Hours a month that all nodes of a line are billed, those of starting included."""
        if not line.option.periods:
            return self.terms.hours(line.node.tier) * line.node.count
        started = starts_of(line.running)
        return sum(
            period.hours * count + self.terms.startup_hours * period.starts * starts
            for period, count, starts in zip(self.terms.periods, line.running, started, strict=True)
        )


def case_of(outcome: Outcome, problem: Problem, catalog: Catalog) -> Case:
    """Join the plans of an outcome with the pricing room's options."""
    from optimizer.pricing import node_options, terms_of

    wanted = {node.offer_id for plan in outcome.plans for node in plan.nodes}
    options = {option.key: option for option in node_options(problem, catalog, only=wanted)}
    return Case(outcome, problem, catalog, terms_of(problem, catalog), tuple(_lines(outcome.plans, options)))


def _lines(plans: Sequence[Plan], options: dict[tuple[str, str], NodeOption]) -> list[PricedLine]:
    return [
        PricedLine(plan, node, options[option_key(node.offer_id, node.tier, node.from_nodes)], position)
        for plan in plans
        for position, node in enumerate(plan.nodes)
    ]
