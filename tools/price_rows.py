"""From the first collection of offers to one row per price, with what is doubtful about it.

Where the dated collection (``dated_prices``) covers a provider in a currency, its rows here retire: newer prices count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tools import catalog_facts as facts
from tools import provider_facts
from tools.evidence import LIST, REFERENCE
from tools.gpu_rows import link_of
from tools.source_tables import Row, Table, number

TIERS = {
    "price_per_hour_on_demand": "on_demand",
    "price_per_hour_spot": "spot",
    "price_reserved_1y": "reserved_1y",
    "price_reserved_3y": "reserved_3y",
    "purchase_price": "purchase",
}


def offer_link(offer: Row, gpu: Row) -> tuple[str, str]:
    """Link of the node and why."""
    said = offer["nvlink"]
    if int(offer["gpus_per_node"]) == 1:
        return "pcie", "one GPU: no link between GPUs"
    if said.startswith("unverified") or not said:
        return "unverified", "the source does not state it"
    if said == "no":
        return "pcie", "source says no NVLink"
    if said == "pair":
        return "nvlink_pair", "source says NVLink pairs"
    return link_of(gpu)[0], "source says NVLink or its like: the native link of the card"


def price_origin(offer: Row, tier: str) -> tuple[str, str]:
    """(date as stated, source) of one price: spot and reserved prices may come from elsewhere than the row."""
    marker = {"spot": "; spot:", "reserved_1y": "; reserved:", "reserved_3y": "; reserved:"}.get(tier, "")
    base = re.split(r"; (?:spot|reserved):", offer["source"])[0]
    found = re.search(re.escape(marker) + r"\s*(?P<source>[^;]*)", offer["source"]) if marker else None
    if not found:
        return offer["date"], base
    source = found["source"].strip()
    dated = re.search(r"\d{4}-\d{2}-\d{2}", source)
    undated = re.search(r"(?:undated|not before)[^)]*", source)
    return (dated[0] if dated else undated[0] if undated else "undated"), source


def day_of(stated: str) -> str:
    """ISO day of a stated date; a bare month counts from its first day; anything vaguer is undated (blank)."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", stated):
        return stated
    return f"{stated}-01" if re.fullmatch(r"\d{4}-\d{2}", stated) else ""


def order_of(stated: str) -> str:
    """Sort key of a stated date, vague ones by their earliest day."""
    year = re.search(r"\d{4}(-\d{2})*", stated)
    if not year or "<=" in stated:
        return ""
    return year[0] + "-07" if "H2" in stated else year[0]


def doubts(offer: Row, stated: str, gpu: Row) -> list[str]:
    """Why a price may not be ranked, apart from being superseded; empty when it may."""
    found = []
    if "median" in offer["source"] or "median" in offer["instance_type"]:
        found.append("median of a tracker")
    elif offer["instance_type"].startswith("per-gpu") or "(per GPU" in offer["instance_type"]:
        found.append("per-GPU row of a tracker")
    if offer["provider"] in facts.ILLUSTRATIVE:
        found.append("illustrative or internal price")
    if offer["kind"] == "purchase" and offer["gpus_per_node"] == "1":
        found.append("bare card, not a server")
    elif offer["kind"] == "purchase" and offer["provider"] in facts.ESTIMATES:
        found.append("estimate, not a quote")
    if not day_of(stated):
        found.append("undated")
    if offer["notes"] == "approx":
        found.append("approximate")
    if gpu["confidence"] == "low":
        found.append("card of low confidence")
    return found


def price_rows(offers: Sequence[Row], gpus: Mapping[str, Row], newer: Sequence[Row] = ()) -> Table:
    """One row per price, superseded prices marked; ``newer`` are the rows of the dated collection."""
    rows: Table = []
    newest: dict[tuple[str, ...], str] = {}
    keys: list[tuple[tuple[str, ...], str]] = []
    covered: dict[tuple[str, str], str] = {}
    for row in newer:
        key = (row["provider"], row["currency"])
        covered[key] = max(covered.get(key, ""), row["price_date"])
    for offer in offers:
        for column, tier in TIERS.items():
            if offer[column]:
                row, content, order = _price_row(offer, column, tier, gpus[offer["gpu_id"]])
                rows.append(row)
                keys.append((content, order))
                newest[content] = max(newest.get(content, ""), order)
    for row, (content, order) in zip(rows, keys, strict=True):
        reasons = [row["reason"]]
        if order < newest[content]:
            reasons.append("superseded by a newer price")
        since = covered.get((row["provider"], row["currency"]))
        if since:
            reasons.append(f"retired: the provider's prices were collected anew, up to {since}")
        row["reason"] = "; ".join(filter(None, reasons))
        row["evidence"] = REFERENCE if row["reason"] else LIST
    return sorted(rows, key=lambda row: (row["offer_id"], row["tier"]))


def _price_row(offer: Row, column: str, tier: str, gpu: Row) -> tuple[dict[str, str], tuple[str, ...], str]:
    stated, source = price_origin(offer, tier)
    provider = facts.ALIASES.get(offer["provider"], offer["provider"])
    link, basis = offer_link(offer, gpu)
    region = "" if offer["region"] == "global" else offer["region"]
    row = {
        "offer_id": offer["offer_id"],
        "provider": provider,
        "instance_type": offer["instance_type"],
        "gpu": offer["gpu_id"],
        "gpus_per_node": offer["gpus_per_node"],
        "link": link,
        "link_basis": basis,
        "region": region,
        "country": provider_facts.country_of(region),
        "host_memory_gib": "",
        "network_gbps": number(offer["network_gbps"]),
        "tier": tier,
        "amount": number(offer[column]),
        "currency": offer["currency"],
        "price_date": day_of(stated),
        "price_date_as_stated": stated,
        "price_source": source,
        "evidence": "",
        "reason": "; ".join(doubts(offer, stated, gpu)),
        "stock_note": "",
        "remarks": "",
        "notes": offer["notes"],
    }
    return row, (provider, offer["instance_type"], offer["gpu_id"], region, tier), order_of(stated)
