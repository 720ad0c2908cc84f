"""What the money rests on: the class of its prices, what wins at list prices alone, stock notes, its last day."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.plan.types import NodeLine, OtherWinner, Outcome, Plan
from optimizer.report.layout import BLANK, Block, Line, Passage, Style
from optimizer.report.words import gpu_name, money, tier_name
from optimizer.vocabulary import Evidence

_MEANS = {
    Evidence.QUOTE: "your own quotes",
    Evidence.LIST: "list prices",
    Evidence.INDICATIVE: "indicative prices (dated figures of a tracker or a marketplace, not the provider's own list)",
}


_PRICES: dict[Evidence | None, str] = {Evidence.LIST: "list price", Evidence.INDICATIVE: "indicative price"}


def indicative(plan: Plan) -> str:
    """The word that stands beside money that rests on a tracker; empty elsewhere."""
    return "indicative" if plan.price_evidence is Evidence.INDICATIVE else ""


def dated(node: NodeLine) -> str:
    """The price of a node as a reader may check it: class, day, last day it may be ranked."""
    if node.price_date is None:
        until = f", valid until {node.ranks_until}" if node.ranks_until else ""
        return f"{node.price_source or 'price without a date'}{until}"
    until = f", may rank until {node.ranks_until}" if node.ranks_until else ""
    return f"{_PRICES.get(node.evidence, 'price')} of {node.price_date}{until}"


def prices(outcome: Outcome) -> Iterator[Block]:
    """Below the verdicts: four lines about what the first plan costs and for how long."""
    first, others = outcome.plans[0], outcome.others
    if first.price_evidence is None:
        return
    yield Line("What the prices rest on", Style.HEADING)
    rows = [("evidence", f"#1 rests on {_MEANS[first.price_evidence]}")]
    if others.at_list is not None:
        rows.append(("at list", _at_list(others.at_list, first)))
    elif first.price_evidence is Evidence.INDICATIVE:
        rows.append(("at list", "not worked out in the time given"))
    if others.first is not None and others.first.stock_notes and _is_other(others.at_list):
        rows.append(("stock", _stock(others.first)))
    if others.expires is not None:
        rows.append(("expires", _expiry(outcome)))
    if others.as_published is not None and others.as_published.plan is not None:
        rows.append(("own format", f"with weights in the model's own format {_wins(others.as_published, first)}"))
    if others.surviving is not None and others.surviving.plan is not None:
        rows.append(("node gone", f"with any one node gone {_wins(others.surviving, first)}"))
    rows += [(f"grade {grade}", f"of grade {grade} {_wins(one, first)}") for grade, one in others.by_grade if one.plan]
    for label, text in rows:
        yield Passage(text, label=label, column=12)
    yield BLANK


def _is_other(winner: OtherWinner | None) -> bool:
    """Whether the winner at list prices is another plan than the first, whose stock is then told apart."""
    return winner is None or winner.rank != 1


def _at_list(winner: OtherWinner, first: Plan) -> str:
    if winner.plan is None:
        return "at list prices alone nothing keeps every promise"
    if winner.rank == first.rank:
        return f"#1 is the winner at list prices alone too{_unless(winner)}"
    return f"at list prices alone {_told(winner)} wins{_unless(winner)}"


def _wins(winner: OtherWinner, first: Plan) -> str:
    return "#1 wins" if winner.rank == first.rank else f"{_told(winner)} wins"


def _stock(winner: OtherWinner) -> str:
    return f"#1{_unless(winner)}"


def _unless(winner: OtherWinner) -> str:
    """What was seen of its stock, and what wins without it."""
    if not winner.stock_notes:
        return ""
    notes = "; ".join(dict.fromkeys(winner.stock_notes))
    if winner.in_stock is None:
        return f"; stock: {notes}"
    if winner.in_stock.plan is None:
        return f"; stock: {notes}; without it nothing keeps every promise"
    return f"; stock: {notes}; without it {_told(winner.in_stock)} wins"


def _expiry(outcome: Outcome) -> str:
    others = outcome.others
    text = f"{others.expires} is the last day on which every price of #1 may be ranked"
    after = others.after_expiry
    if after is None:
        return text
    return f"{text}; then nothing is left to rank" if after.plan is None else f"{text}; then {_told(after)} wins"


def _told(winner: OtherWinner) -> str:
    """A winner in half a line: rank where it has one, money, nodes, seller."""
    plan = winner.plan
    assert plan is not None
    rank = f"#{winner.rank}, " if winner.rank is not None else ""
    nodes = " + ".join(
        f"{node.count * node.gpus_per_node}x {gpu_name(node.gpu)} ({node.provider}, "
        f"{tier_name(node.tier, node.commitment_months)})"
        for node in plan.nodes
    )
    kind = f" {indicative(plan)}" if indicative(plan) else ""
    return f"{rank}{money(plan.monthly_cents, plan.currency)}/mo{kind} on {nodes}"
