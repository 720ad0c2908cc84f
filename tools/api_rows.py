"""Prices per million tokens of open models sold by the token: one row per seller and name it is sold under."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tools.source_tables import Row, Table, number

SAME_SELLER = {
    "dashscope": "alibaba",
    "fireworks_ai": "fireworks",
    "friendli": "friendliai",
    "gmi": "gmicloud",
    "lambda_ai": "lambda",
    "moonshot": "moonshotai",
    "togetherai": "together",
    "together_ai": "together",
    "vertex_ai": "google-vertex",
    "azure_ai": "azure",
    "zhipuai": "zai-cn",
}
"""Sellers that the sources write in several ways, under one name each."""

_DAY = r"(\d{4}-\d{2}-\d{2})"
_LATER = "a later release of the same architecture"


def api_rows(prices: Iterable[Row], models: Iterable[str]) -> Table:
    """The prices that may be compared with: still sold, near the others of their model, the plain checkpoint."""
    known, found = set(models), dict[tuple[str, str, str], dict[str, str]]()
    for price in prices:
        if price["catalog_model"] not in known or _left_out(price):
            continue
        row = _row(price)
        key = (row["model"], row["provider"], row["sold_as"])
        other = found.get(key)
        if other is None or (row["price_date"], row["output_per_million"]) > (
            other["price_date"],
            other["output_per_million"],
        ):
            found[key] = row
    return [found[key] for key in sorted(found)]


def _left_out(price: Row) -> bool:
    """Withdrawn, free or without a price, far from the median of the model, or another product than the model."""
    doubts = price["doubts"]
    free = not all(price[name] and float(price[name]) > 0 for name in ("usd_per_m_input", "usd_per_m_output"))
    return free or any(word in doubts for word in ("WITHDRAWN", "the median of its model", "enclave tier"))


def _row(price: Row) -> dict[str, str]:
    doubts = price["doubts"]
    until = re.search(f"to be withdrawn on {_DAY}", doubts)
    read = re.search(rf"data of {_DAY}", price["source"])
    return {
        "model": price["catalog_model"],
        "provider": SAME_SELLER.get(price["provider"], price["provider"]),
        "sold_as": price["model_as_sold"],
        "input_per_million": number(price["usd_per_m_input"]),
        "cached_input_per_million": number(price["usd_per_m_cached_input"]),
        "output_per_million": number(price["usd_per_m_output"]),
        "context_limit_tokens": number(price["context_limit"]),
        "sold_until": until[1] if until else "",
        "price_date": read[1] if read and "first recorded" in doubts else price["date"],
        "price_source": publishable(price["source"]),
        "notes": _LATER if "later release" in doubts else "",
    }


def publishable(source: str) -> str:
    """Publisher, document and date of a source as collected."""
    cited = re.search(r"(?:it cites|from) (https?://\S+)", source)
    beside = f"; it cites {cited[1].rstrip(';,')}" if cited else ""
    if found := re.match(rf"BerriAI/litellm \S+, release (\S+) \(read {_DAY}\)", source):
        return f"BerriAI, LiteLLM price map, release {found[1]}, read {found[2]}{beside}"
    if found := re.match(rf"anomalyco/models\.dev providers/([^/]+)/models/(.+)\.toml, commit of {_DAY}", source):
        return f"models.dev, price of {found[2]} at {found[1]}, {found[3]}"
    if found := re.match(rf"Python package model-prices (\S+) \(data of {_DAY}\)", source):
        return f"model-prices {found[1]}, price table of {found[2]}{beside}"
    raise ValueError(f"a source of another kind: {source}")
