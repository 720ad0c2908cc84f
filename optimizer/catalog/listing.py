"""Catalog rows as text, JSON or CSV for ``optimize catalog``."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from optimizer.catalog.ages import ranks_until
from optimizer.catalog.types import Catalog, Gpu, Model, Offer, Price

if TYPE_CHECKING:
    from pandas import DataFrame

Cell = str | int | float | bool | None
_PIPED_WIDTH = 100


@dataclass(frozen=True, slots=True)
class ListedColumn:
    """A column: key in JSON and CSV; in text a title, or none where only JSON and CSV show it."""

    key: str
    title: str = ""
    right: bool = False  # figures: to the right, never cut
    folds: bool = False  # may be broken over lines where the width is short


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows to show and what they are called."""

    noun: str
    columns: tuple[ListedColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def searched(self, text: str | None) -> Listing:
        """Only the rows in which the text occurs, in any column, whatever its case."""
        if not text:
            return self
        wanted = text.lower()
        rows = (row for row in self.rows if any(wanted in str(cell).lower() for cell in row if cell is not None))
        return replace(self, rows=tuple(rows))


def offers_frame(catalog: Catalog) -> DataFrame:
    """Give every price of a catalog as a pandas table, one row an offer and way to pay, named as the JSON listing.

    Parameters
    ----------
    catalog : Catalog
        Of ``load_catalog``.

    Returns
    -------
    pandas.DataFrame
        As many rows as there are prices; ``amount`` in ``currency`` per node, an hour, or once for ``purchase``.

    Source
    ------
    ``price_source`` and ``price_date`` of each row.
    """
    import pandas as pd

    found = offers(catalog, OfferFilter())
    return pd.DataFrame(list(found.rows), columns=[column.key for column in found.columns])


@dataclass(frozen=True, slots=True)
class OfferFilter:
    """Which prices to list; None = any."""

    gpu: str | None = None
    vendor: str | None = None
    provider: str | None = None
    tier: str | None = None
    rankable: bool | None = None


_GPU_COLUMNS = (
    ListedColumn("id", "GPU"),
    ListedColumn("vendor", "vendor"),
    ListedColumn("arch"),
    ListedColumn("compute_capability", "cc", True),
    ListedColumn("memory_marketed_gb", "GB", True),
    ListedColumn("memory_mib"),
    ListedColumn("memory_is_fallback"),
    ListedColumn("bandwidth_gb_s", "GB/s", True),
    ListedColumn("bf16_dense_tflops", "bf16", True),
    ListedColumn("fp8_dense_tflops", "fp8", True),
    ListedColumn("int8_dense_tops", "int8", True),
    ListedColumn("fp4_dense_tflops", "fp4", True),
    ListedColumn("link", "link"),
    ListedColumn("link_gb_s_both_directions", "GB/s", True),
    ListedColumn("tdp_w", "W", True),
    ListedColumn("node_overhead_w_per_gpu"),
    ListedColumn("datacenter_licensed"),
    ListedColumn("sibling"),
    ListedColumn("confidence"),
    ListedColumn("export_note"),
    ListedColumn("source"),
    ListedColumn("notes"),
)


def gpus(catalog: Catalog, vendor: str | None = None) -> Listing:
    """GPUs by id."""
    rows = tuple(_gpu_row(gpu) for gpu in catalog.gpus.values() if vendor in (None, gpu.vendor))
    note = "Dense peaks in TFLOPS (int8: TOPS); link GB/s over both directions. More: --format json."
    return Listing("GPU", _GPU_COLUMNS, rows, note)


def _gpu_row(gpu: Gpu) -> tuple[Cell, ...]:
    return (
        gpu.id,
        gpu.vendor,
        gpu.arch,
        None if gpu.compute_capability is None else f"{gpu.compute_capability:.1f}",
        gpu.memory_gb,
        gpu.memory_mib,
        gpu.memory_is_fallback,
        gpu.bandwidth_gb_s,
        gpu.bf16_tflops,
        gpu.fp8_tflops,
        gpu.int8_tops,
        gpu.fp4_tflops,
        str(gpu.link),
        gpu.link_gb_s,
        gpu.tdp_w,
        gpu.node_overhead_w,
        gpu.datacenter_licensed,
        gpu.sibling,
        gpu.confidence,
        gpu.export_note,
        gpu.source,
        gpu.notes,
    )


_MODEL_COLUMNS = (
    ListedColumn("id", "model", folds=True),
    ListedColumn("family"),
    ListedColumn("total_params_billion", "B params", True),
    ListedColumn("active_params_billion", "active", True),
    ListedColumn("layers", "layers", True),
    ListedColumn("attention", "attn"),
    ListedColumn("kv_bytes_per_token_16bit", "KV B/token", True),
    ListedColumn("native_dtype", "native"),
    ListedColumn("context_limit_tokens", "context", True),
    ListedColumn("legal_tp", "TP"),
    ListedColumn("checkpoints"),
    ListedColumn("source"),
    ListedColumn("notes"),
)


def models(catalog: Catalog, family: str | None = None) -> Listing:
    """Models by id."""
    published: dict[str, list[str]] = {}
    for model, quant in catalog.checkpoints:
        published.setdefault(model, []).append(quant)
    chosen = (model for model in catalog.models.values() if family in (None, model.family))
    rows = tuple(_model_row(model, published.get(model.id, [])) for model in chosen)
    note = "KV: 16-bit cache, sliding layers inside their window. TP: legal tensor-parallel sizes."
    return Listing("model", _MODEL_COLUMNS, rows, note)


def _model_row(model: Model, published: Sequence[str]) -> tuple[Cell, ...]:
    return (
        model.id,
        model.family,
        round(model.total_params / 1e9, 3),
        round(model.active_params / 1e9, 3),
        model.num_layers,
        str(model.attention),
        model.kv_bytes_full_16bit + model.kv_bytes_sliding_16bit,
        model.native_dtype,
        model.context_limit,
        " ".join(map(str, model.legal_tp)),
        " ".join(published),
        model.source,
        model.notes,
    )


_OFFER_COLUMNS = (
    ListedColumn("offer_id"),
    ListedColumn("provider", "provider"),
    ListedColumn("provider_class"),
    ListedColumn("country"),
    ListedColumn("instance_type", "instance", folds=True),
    ListedColumn("gpus_per_node", "n", True),
    ListedColumn("gpu", "GPU"),
    ListedColumn("link"),
    ListedColumn("region", "region", folds=True),
    ListedColumn("tier", "tier"),
    ListedColumn("amount", "price", True),
    ListedColumn("currency", "in"),
    ListedColumn("price_date", "date"),
    ListedColumn("evidence", "evidence"),
    ListedColumn("ranks_until"),
    ListedColumn("rankable"),
    ListedColumn("reason", "reference because", folds=True),
    ListedColumn("price_source"),
    ListedColumn("stock_note"),
    ListedColumn("remarks"),
    ListedColumn("host_memory_gib"),
    ListedColumn("network_gbps"),
    ListedColumn("notes"),
)


def offers(catalog: Catalog, wanted: OfferFilter) -> Listing:
    """Prices by offer id and tier."""
    rows = tuple(
        _offer_row(offer, price)
        for offer in catalog.offers.values()
        if wanted.gpu in (None, offer.gpu)
        and wanted.vendor in (None, catalog.gpus[offer.gpu].vendor)
        and wanted.provider in (None, offer.provider)
        for price in offer.prices
        if wanted.tier in (None, price.tier) and wanted.rankable in (None, price.rankable)
    )
    note = "Prices are per node: an hour, or once for purchase. Links, sources and ids: --format json."
    return Listing("price", _OFFER_COLUMNS, rows, note)


def _offer_row(offer: Offer, price: Price) -> tuple[Cell, ...]:
    return (
        offer.id,
        offer.provider,
        str(offer.provider_class),
        offer.country,
        offer.instance_type,
        offer.gpus_per_node,
        offer.gpu,
        str(offer.link),
        offer.region,
        str(price.tier),
        price.amount,
        price.currency,
        price.date,
        str(price.evidence),
        ranks_until(price.date) if price.rankable and price.date else None,
        price.rankable,
        price.reason,
        price.source,
        price.stock_note,
        price.remarks,
        offer.host_memory_gib,
        offer.network_gbps,
        offer.notes,
    )


def render(listing: Listing, form: str, say: Callable[[str], str] = str) -> str:
    """The listing as ``text`` in the reader's language, ``json`` or ``csv``, newline at the end."""
    if form == "json":
        keys = [column.key for column in listing.columns]
        rows = [dict(zip(keys, row, strict=True)) for row in listing.rows]
        return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if form == "csv":
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([column.key for column in listing.columns])
        writer.writerows([_plain(cell) for cell in row] for row in listing.rows)
        return stream.getvalue()
    return _text(listing, say)


def _plain(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.12g}"
    return "" if cell is None else str(cell)


def _text(listing: Listing, say: Callable[[str], str]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = shutil.get_terminal_size((_PIPED_WIDTH, 24)).columns if sys.stdout.isatty() else _PIPED_WIDTH
    stream = io.StringIO()
    console = Console(file=stream, width=max(width, 60), color_system=None, highlight=False, emoji=False, markup=False)
    if listing.rows:
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        shown = [i for i, column in enumerate(listing.columns) if column.title and _is_used(listing, i)]
        for column in (listing.columns[i] for i in shown):
            justify: Literal["left", "right"] = "right" if column.right else "left"
            table.add_column(say(column.title), justify=justify, no_wrap=not column.folds, overflow="fold")
        for row in listing.rows:
            table.add_row(*(Text(_short(row[i])) for i in shown))
        console.print(table)
    console.print(Text(_footer(listing, say)))
    return "".join(line.rstrip() + "\n" for line in stream.getvalue().splitlines())


def _is_used(listing: Listing, index: int) -> bool:
    """Whether any row says anything in a column."""
    return any(row[index] not in (None, "") for row in listing.rows)


def _short(cell: Cell) -> str:
    """A figure without needless digits; thousands stay plain, so that it can be copied."""
    if isinstance(cell, float):
        return f"{cell:.0f}" if cell >= 1000 and cell == int(cell) else f"{cell:.7g}"
    return "-" if cell is None else _plain(cell)


def _footer(listing: Listing, say: Callable[[str], str]) -> str:
    count = len(listing.rows)
    return say(f"{count} {listing.noun}{'' if count == 1 else 's'}. {listing.note}")
