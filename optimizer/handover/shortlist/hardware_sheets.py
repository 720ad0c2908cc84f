"""Bill of materials: what has to be bought or rented; and the quote comparison that vendors fill in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.handover.shortlist.cells import Cell, Look, Sheet, number
from optimizer.handover.shortlist.your_quotes import WIDTHS, your_quotes
from optimizer.report.words import gpu_name, tier_name
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.handover.shortlist.cells import PricedLine, ShortlistCase
    from optimizer.handover.shortlist.cost_sheet import InputCells, Say

_OWN_ROOM = (Tier.PURCHASE, Tier.OWNED)
_VENDORS = ("A", "B", "C")


def bill_sheet(case: ShortlistCase, at: InputCells, say: Say) -> Sheet:
    """Nodes, cards, network, space and power of every ranked plan."""
    sheet = Sheet(say("Bill of materials"), (6, 50, 18, 7, 9, 8, 22, 8, 9, 14, 12, 11, 11, 18))
    sheet.title_row(say("Bill of materials"))
    sheet.note(say("Nameplate: cards at TDP and the rest of the node. At the meter: nameplate x PUE."))
    sheet.note(say("Rack units and cooling are not in the catalog: the vendor states them for own rooms."))
    sheet.gap()
    sheet.head(
        say("rank"),
        say("offer"),
        say("payment"),
        say("nodes"),
        say("of these spare"),
        say("cards / node"),
        say("card"),
        say("cards"),
        say("GB / card"),
        say("link in the node"),
        say("network, Gb/s"),
        say("kW nameplate"),
        say("kW at the meter"),
        say("rack units, air or liquid"),
    )
    sheet.freeze(2)
    for line in case.lines:
        sheet.add(*_bill_row(case, line, at, len(sheet.rows) + 1, say))
    return sheet


def _bill_row(case: ShortlistCase, line: PricedLine, at: InputCells, row: int, say: Say) -> list[Cell | str | int]:
    node, offer = line.node, line.option.offer
    nameplate = line.option.power_kw * node.count
    network = offer.network_gbps
    own_room = node.tier in _OWN_ROOM
    return [
        Cell(line.plan.rank, Look.RANK),
        node.offer_id,
        say(tier_name(node.tier, node.commitment_months)),
        node.count,
        node.spare,
        node.gpus_per_node,
        gpu_name(node.gpu),
        Cell(node.count * node.gpus_per_node, Look.COUNT, f"D{row}*F{row}"),
        number(line.option.node_type.gpu.memory_gb),
        str(node.link),
        number(network) if network else Cell(say("not stated")),
        Cell(nameplate, Look.NUMBER, f"D{row}*{at.options[line.option.key]['kw']}"),
        Cell(nameplate * case.terms.ownership.pue, Look.NUMBER, f"L{row}*in_pue"),
        Cell(None, Look.BLANK) if own_room else Cell(say("the provider's")),
    ]


def quotes_sheet(case: ShortlistCase, at: InputCells, say: Say) -> Sheet:
    """The first choice beside three columns for vendors: unit prices in, totals and differences out."""
    sheet = Sheet(say("Quote comparison"), (50, 8, 17, 17, 17, 17, 17, *(WIDTHS if case.outcome.quotes else ())))
    sheet.title_row(say("Quote comparison for the first choice"))
    your_quotes(sheet, case, say)
    sheet.note(say("Fill in the coloured columns; target prices come from the sheet 'Inputs'."))
    sheet.gap()
    vendors = [f"{say('vendor')} {letter}" for letter in _VENDORS]
    sheet.head(say("item"), say("nodes"), say("target"), *vendors, say("best"))
    if not case.outcome.plans:
        return sheet
    for line in case.of(case.outcome.plans[0]):
        _quoted(sheet, case, line, at, say)
    for label in (
        "Delivery, weeks",
        "Price valid until",
        "Tax, percent",
        "Rack units",
        "kW nameplate",
        "Air or liquid",
        "Network between nodes, Gb/s",
        "Warranty and support",
        "Acceptance test accepted (yes / no)",
    ):
        sheet.add(say(label), None, None, *(Cell(None, Look.BLANK) for _ in _VENDORS))
    return sheet


def _quoted(sheet: Sheet, case: ShortlistCase, line: PricedLine, at: InputCells, say: Say) -> None:
    """Two rows: the unit price before tax, and what all nodes cost by it."""
    node, option = line.node, line.option
    cells = at.options[option.key]
    unit = {Tier.PURCHASE: say("price of a node"), Tier.OWNED: say("a node, per month")}.get(
        node.tier, say("node-hour")
    )
    gpu = f"{node.gpus_per_node}x {gpu_name(node.gpu)}"
    net = _net_price(case, line)
    row = len(sheet.rows) + 1
    best = f'IF(COUNT(D{row}:F{row})=0,"",MIN(D{row}:F{row}))'
    sheet.add(
        f"{gpu}, {unit}, {case.terms.currency}",
        node.count,
        Cell(net, Look.RATE, f"{cells['price']}*{cells['rate']}*(1-{cells['discount']})"),
        *(Cell(None, Look.BLANK) for _ in _VENDORS),
        Cell("", Look.RATE, best),
    )
    hours = case.terms.hours(node.tier) if node.tier not in _OWN_ROOM else 1.0
    amount = net * hours * node.count
    factor = f"B{row}*{cells['hours']}" if node.tier not in _OWN_ROOM else f"B{row}"
    if option.periods:
        amount, factor = net * case.node_hours(line), f"{case.node_hours(line):.10g}"
    label = say("all nodes, once") if node.tier is Tier.PURCHASE else say("all nodes, per month")
    sheet.add(
        f"{label}, {say('before tax')}",
        node.count,
        Cell(round(amount, 2), Look.MONEY, f"ROUND({factor}*C{row},2)"),
        *(Cell("", Look.MONEY, f'IF({c}{row}="","",ROUND({factor}*{c}{row},2))') for c in "DEF"),
        Cell("", Look.MONEY, f'IF(G{row}="","",ROUND({factor}*G{row},2))'),
    )
    sheet.add(
        say("against the target"),
        None,
        None,
        *(Cell("", Look.PERCENT, f'IF({c}{row}="","",{c}{row}/C{row}-1)') for c in "DEFG"),
    )


def _net_price(case: ShortlistCase, line: PricedLine) -> float:
    """Price of the unit before tax, in the problem's currency."""
    price = line.option.price
    if price is None:
        return line.option.monthly_cents / 100
    return price.amount * case.terms.exchange.rate(price.currency) * (1 - case.discount(line.option))
