"""Dated prices of whole nodes (``data/dated_offers.csv``) as rows of the catalog, judged one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optimizer.catalog.offers import offer_id
from tools import provider_facts
from tools.evidence import REFERENCE, judged
from tools.source_tables import Row, Table, number

TIERS = ("on_demand", "spot", "reserved_1y", "reserved_3y", "purchase")
"""Ways to pay that the planner knows. Capacity blocks, booked by the day and paid up front, are none of them."""

_OF_THE_NODE = ("host_memory_gib", "network_gbps")
_UNITS = {"purchase": "purchase"}


def dated_rows(prices: Sequence[Row], gpus: Mapping[str, Row]) -> Table:
    """One row per price. What belongs to the node is the same in all rows of one offer."""
    rows = [_row(price, gpus[price["gpu"]]) for price in prices if price["tier"] in TIERS]
    nodes: dict[str, dict[str, str]] = {}
    for row in rows:
        node = nodes.setdefault(row["offer_id"], {})
        for column in _OF_THE_NODE:
            node[column] = node.get(column) or row[column]
        _same_node(row, node)
    return [row | {column: nodes[row["offer_id"]][column] for column in _OF_THE_NODE} for row in rows]


def _same_node(row: Mapping[str, str], node: dict[str, str]) -> None:
    """Two products never share an id."""
    product = "/".join((row["provider"], row["instance_type"], row["gpu"], row["gpus_per_node"], row["region"]))
    if node.setdefault("product", product) != product:
        raise ValueError(f"{row['offer_id']}: names both {node['product']} and {product}")


def _row(price: Row, gpu: Row) -> dict[str, str]:
    verdict = judged(price)
    unit = _UNITS.get(price["tier"], "per_node_hour")
    if price["unit"] != unit:
        raise ValueError(f"{price['provider']} {price['instance_type']}: unit {price['unit']!r} for {price['tier']}")
    low = "card of low confidence" if gpu["confidence"] == "low" else ""
    reason = "; ".join(filter(None, (verdict.reason, low)))
    return {
        "offer_id": offer_id(price["provider"], price["instance_type"], price["gpus_per_node"], price["region"]),
        "provider": price["provider"],
        "instance_type": price["instance_type"],
        "gpu": price["gpu"],
        "gpus_per_node": price["gpus_per_node"],
        "link": price["link"],
        "link_basis": price["link_basis"],
        "region": price["region"],
        "country": provider_facts.country_of(price["region"]),
        "host_memory_gib": number(price["host_memory_gib"]),
        "network_gbps": number(price["network_gbps"]),
        "tier": price["tier"],
        "amount": number(price["amount"]),
        "currency": price["currency"],
        "price_date": price["price_date"],
        "price_date_as_stated": price["price_date"],
        "price_source": price["price_source"],
        "evidence": REFERENCE if reason else verdict.evidence,
        "reason": reason,
        "stock_note": verdict.stock_note,
        "remarks": verdict.remarks,
        "notes": "",
    }
