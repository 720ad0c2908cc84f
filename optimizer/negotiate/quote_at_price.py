"""A problem with a quote in it that nobody made yet: the node asked about, at any price."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.units import CENTS_PER_UNIT
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.planning.inputs import Inputs
    from optimizer.pricing import NodeOption, NodeType
    from optimizer.whatif.case import Case

_KEPT = ("nvlink", "tax_percent", "stock", "lead_time_weeks")
"""What a new price leaves as it is of a quote that the problem file has already."""

_FACTS = ("region", "country", "headquarters", "certificates", "provider_class", "network_gbps")
"""What such a quote says of itself, which no price changes; where it says nothing, what the buyer's rules ask for."""


@dataclass(frozen=True, slots=True)
class NodeShape:
    """A node to ask a quote for."""

    gpu: str
    provider: str
    gpus_per_node: int
    offer_id: str
    node_type: NodeType | None  # None: nobody offers such nodes


@dataclass(frozen=True)
class Quoted:
    """The problem with the quote in it. Prices are cents per GPU-hour, or whole units of currency per bought GPU."""

    case: Case  # at a price of 1
    shape: NodeShape
    tier: Tier

    def at(self, price: int) -> Case:
        """The problem at a price: only the quote itself is priced anew."""
        inputs = self.inputs(price)
        others = [option for option in self.case.options if option.offer.id != self.shape.offer_id]
        options = tuple(sorted([*others, self._node(inputs)], key=lambda option: option.key))
        return replace(self.case, inputs=inputs, options=options)

    def node(self, price: int) -> NodeOption:
        """One quoted node at a price."""
        return self._node(self.inputs(price))

    def by(self, shape: NodeShape) -> Quoted:
        """The same quote made by another provider of the same node, to see what it costs: not to be solved."""
        problem = self.case.inputs.problem
        named = {"id": shape.offer_id, "provider": shape.provider}
        offers = tuple(
            quote.model_copy(update=named) if quote.id == self.shape.offer_id else quote for quote in problem.offers
        )
        inputs = replace(self.case.inputs, problem=problem.model_copy(update={"offers": offers}))
        return replace(self, case=replace(self.case, inputs=inputs), shape=shape)

    def _node(self, inputs: Inputs) -> NodeOption:
        from optimizer.pricing import node_options

        return node_options(inputs.problem, inputs.catalog, only=[self.shape.offer_id])[0]

    def inputs(self, price: int) -> Inputs:
        """The problem file with the quote at a price."""
        problem = self.case.inputs.problem
        key, amount = amount_of(self.shape, self.tier, price)
        offers = tuple(
            quote.model_copy(update={key: amount}) if quote.id == self.shape.offer_id else quote
            for quote in problem.offers
        )
        return replace(self.case.inputs, problem=problem.model_copy(update={"offers": offers}))


def amount_of(shape: NodeShape, tier: Tier, price: int) -> tuple[str, float]:
    """Key and amount of a price in a quote for a whole node."""
    if tier is Tier.PURCHASE:
        return "purchase_price", price * shape.gpus_per_node / 1
    return "price_per_hour", price * shape.gpus_per_node / CENTS_PER_UNIT


def quoted_inputs(inputs: Inputs, shape: NodeShape, tier: Tier, price: int) -> Inputs:
    """The problem file with the quote in it, read as a user would have written it."""
    from optimizer.pricing import facts_asked_for, option_rules

    stated = [quote.model_dump(mode="json", exclude_none=True) for quote in inputs.problem.offers]
    mine = next((one for one in stated if one["id"] == shape.offer_id), {})
    key, amount = amount_of(shape, tier, price)
    quote = {
        "id": shape.offer_id,
        "provider": shape.provider,
        "gpu": shape.gpu,
        "gpus_per_node": shape.gpus_per_node,
        key: amount,
        "currency": inputs.problem.payment.currency,
        "tier": str(tier),
        **{kept: mine[kept] for kept in _KEPT if kept in mine},
    }
    rules = option_rules(inputs.problem, inputs.catalog)
    quote |= facts_asked_for(rules, inputs.catalog.offers.get(shape.offer_id)) | {
        kept: mine[kept] for kept in _FACTS if kept in mine
    }
    others = [one for one in stated if one["id"] != shape.offer_id]
    return inputs.with_sets([f"offers={json.dumps([*others, quote])}"])


def with_quote(
    case: Case, shape: NodeShape, tier: Tier, served: Sequence[Candidate], rivals: Iterable[Candidate]
) -> Quoted:
    """The problem with a quote in it. ``served``: what there is on its node type; ``rivals``: what else may matter."""
    from optimizer.fleet.requirements import user_rules
    from optimizer.pricing import node_options

    inputs = quoted_inputs(case.inputs, shape, tier, 1)
    node = node_options(inputs.problem, inputs.catalog, only=[shape.offer_id])[0]
    options = (*(option for option in case.options if option.offer.id != shape.offer_id), node)
    mine = served or _on(case, inputs, node)
    others = (one for one in rivals if one.node_type.key != node.node_type.key)
    rules = user_rules(inputs.problem, inputs.catalog, options).knowing(case.candidates.rules)
    ordered = tuple(sorted((*others, *mine), key=lambda one: one.key))  # the last of all ties is their order
    candidates = replace(case.candidates, candidates=ordered, rules=rules)
    return Quoted(replace(case, inputs=inputs, options=options, candidates=candidates), shape, tier)


def _on(case: Case, inputs: Inputs, node: NodeOption) -> Sequence[Candidate]:
    """What there is on nodes that nobody offers."""
    from optimizer.fleet.candidate_set import enumerate_candidates

    return enumerate_candidates(inputs.problem, inputs.catalog, [node], inputs.params, memo=case.memo).candidates
