"""Quotes that were read, as the list that stands under ``offers:`` of a problem file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from optimizer.catalog.importers.quote_types import QuoteLine, Status
from optimizer.vocabulary import Tier

_UNFIT = re.compile(r"[\W_]+")


def offers_of(lines: Iterable[QuoteLine], taken: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The quotes of the lines that were read as offers; ids are the lists' own, else made from provider and node, and
    never one of ``taken``: the ids of catalog offers, which a quote of the same id would replace."""
    return [offer for _, offer in _offers(lines, taken)]


def offers_yaml(lines: Iterable[QuoteLine], taken: Iterable[str] = ()) -> str:
    """The same as YAML, each under a comment with its place, what was understood and what there is no key for."""
    text = ["# quotes for `offers:` of a problem file; written by `optimize quotes`"]
    for line, offer in _offers(lines, taken):
        text.append(f"# {_plain(f'{line.file}:{line.line}')}")
        text += [f"#   {_plain(note)}" for note in line.notes]
        text += [f"#   {_plain(header)}: {_plain(cell)}" for header, cell in line.kept]
        keys = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in offer.items()]
        text += [f"{'- ' if at == 0 else '  '}{key}" for at, key in enumerate(keys)]
    return "\n".join(text) + "\n"


def _offers(lines: Iterable[QuoteLine], taken: Iterable[str]) -> Iterator[tuple[QuoteLine, dict[str, Any]]]:
    used = dict.fromkeys(taken, True)
    stated = set[str]()
    for line in lines:
        if line.status is Status.READ:
            yield line, _offer(line, used, stated)


def _offer(line: QuoteLine, used: dict[str, bool], stated: set[str]) -> dict[str, Any]:
    assert line.unit is not None
    key = "purchase_price" if line.tier is Tier.PURCHASE else "price_per_hour"
    filled: Mapping[str, Any] = {
        "id": _id(line, used, stated),
        "provider": _plain(line.known_provider or line.provider or ""),
        "provider_class": line.provider_class or None,
        "region": _plain(line.region) or None,
        "country": line.country or None,
        "certificates": [_plain(name) for name in line.certificates] or None,
        "gpu": line.gpu,
        "gpus_per_node": line.gpus_per_node,
        "nvlink": line.nvlink if line.gpus_per_node != 1 else None,
        "host_memory_gib": line.host_memory_gib,
        "currency": line.currency,
        key: round(line.net_per_node, 6),
        "tier": str(line.tier),
        "tax_percent": 0 if line.tax_included and line.tax_percent is None else line.tax_percent,
        "stock": line.stock,
        "min_nodes": line.min_nodes,
        "lead_time_weeks": line.lead_time_weeks,
        "quote_ref": _plain(line.quote_ref) or None,
        "valid_until": line.valid_until,
    }
    return {name: value for name, value in filled.items() if value is not None}


def _id(line: QuoteLine, used: dict[str, bool], stated: set[str]) -> str:
    """The list's own id, once; else provider, node and number of the quote."""
    own = _plain(line.quote_id)
    if own and own not in stated:
        stated.add(own)
        used[own] = True
        return own
    words = (line.provider or "", f"{line.gpus_per_node}x", line.gpu or "", str(line.tier), line.quote_ref)
    stem = "-".join(word for word in (_UNFIT.sub("-", part.lower()).strip("-") for part in words) if word)
    number, name = 1, f"quote-{stem}"
    while name in used:
        number += 1
        name = f"quote-{stem}-{number}"
    used[name] = True
    return name


def _plain(text: str) -> str:
    """On one line, without what could pass for something else on a screen."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
