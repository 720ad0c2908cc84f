"""Lists of quotes as people have them -> quotes for ``offers:``; each line read, or refused with the reason.

CSV and XLSX, headers and units in English and Chinese, and the lists of gpuhunt, SkyPilot and ec2instances / Vantage.
Nothing is merged and nothing is dropped but machines without a card, which are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.catalog.importers.phrases import plain_of
from optimizer.catalog.importers.quote_columns import Columns, find_header
from optimizer.catalog.importers.quote_money import market_of
from optimizer.catalog.importers.quote_rows import Options, QuoteRow
from optimizer.catalog.importers.quote_sources import Sources
from optimizer.catalog.importers.quote_types import QuoteLine
from optimizer.files.sheets import TableSheet, joined_thousands, read_sheets

if TYPE_CHECKING:
    from optimizer.catalog.importers.names import Aliases
    from optimizer.catalog.types import Catalog

_SHOWN_HEADERS = 12
_NO_CARD = frozenset({"", "0", "0.0", "none", "nan", "n/a", "na", "-"})


@dataclass(frozen=True, slots=True)
class QuotesRead:
    """All lines of some files."""

    lines: tuple[QuoteLine, ...]
    without_gpu: int  # rows of instance lists that have no card


def read_quotes(paths: Sequence[Path], catalog: Catalog, names: Aliases, options: Options | None = None) -> QuotesRead:
    """Read lists of quotes. Raises CatalogError where a file cannot be read as a table at all."""
    offers = tuple(catalog.offers.values())
    sources = Sources(names, catalog.providers, offers, market_of(offers, catalog.fx))
    lines, without = list[QuoteLine](), 0
    for path in paths:
        sheets = read_sheets(path)
        tables = [_Table(sheet, sources, options or Options()) for sheet in sheets]
        if len(tables) > 1:  # notes and cover sheets beside the one that has the prices
            tables = [table for table in tables if table.columns is not None] or tables[:1]
        for table in tables:
            lines += table.lines()
            without += table.without_gpu
    return QuotesRead(tuple(lines), without)


def layout_of(sheet: TableSheet, names: Aliases) -> str:
    """The program whose list of prices a table is; blank where it is none of one."""
    found = find_header(sheet, names)
    return found[1].layout if found else ""


class _Table:
    """One sheet."""

    def __init__(self, sheet: TableSheet, sources: Sources, options: Options) -> None:
        self._sheet, self._sources, self._options = sheet, sources, options
        found = find_header(sheet, sources.names)
        self._header: int = 0 if found is None else found[0]
        self.columns: Columns | None = None if found is None else found[1]
        self.without_gpu = 0

    def lines(self) -> Iterator[QuoteLine]:
        """Its quotes, line by line."""
        columns, file = self.columns, str(self._sheet.path)
        if columns is None:
            yield QuoteLine(file, self._sheet.rows[0][0] if self._sheet.rows else 1).refused(self._no_header())
            return
        rows = list(self._sheet.rows[self._header + 1 :])
        if columns.layout == "SkyPilot":
            rows = list(_hosts_with_cards(rows, columns, self._sources))
        if not rows:
            yield QuoteLine(file, self._sheet.rows[self._header][0]).refused("nothing stands below the header")
        header = tuple(map(plain_of, columns.names))
        for number, cells in rows:
            if tuple(map(plain_of, cells))[: len(header)] == header:
                continue  # the header once more, on the next page
            if columns.layout and len(cells) == len(header) and self._has_no_card(cells):
                self.without_gpu += 1
                continue
            yield from self._row(QuoteLine(file, number), cells, columns)

    def _row(self, base: QuoteLine, cells: Sequence[str], columns: Columns) -> Iterator[QuoteLine]:
        width, row = len(columns.names), tuple(cells)
        ignored = tuple(columns.names[at] for at in columns.unknown)
        while len(row) > width and not row[-1].strip():
            row = row[:-1]
        if len(row) > width:
            joined = joined_thousands(row, width)
            if joined is None:
                reason = f"{len(row)} cells where the header has {width}: quote text that holds a comma"
                yield replace(base, ignored_columns=ignored).refused(reason)
                return
            whole = next(one for one, cut in zip(joined, row, strict=False) if one != cut)
            base = replace(base, notes=(f"{whole} was cut at its comma and put together",))
            row = joined
        if len(row) < width:
            reason = f"{len(row)} cells where the header has {width}"
            yield replace(base, ignored_columns=ignored).refused(reason)
            return
        yield from QuoteRow(base, row, columns, self._sources, self._options).quotes()

    def _has_no_card(self, cells: Sequence[str]) -> bool:
        assert self.columns is not None
        seen = [self.columns.text(name, cells).lower() for name in ("gpu", "gpus_per_node")]
        return any(text in _NO_CARD for text in seen)

    def _no_header(self) -> str:
        first = [cell.strip() for cell in self._sheet.rows[0][1] if cell.strip()] if self._sheet.rows else []
        seen = ", ".join(map(repr, first[:_SHOWN_HEADERS])) or "nothing"
        return (
            "no header line is known: a list needs columns for provider, card, cards per node and price;"
            f" the first line has {seen}; `optimize catalog template` prints a list to fill in"
        )


def _hosts_with_cards(
    rows: Iterable[tuple[int, tuple[str, ...]]], columns: Columns, sources: Sources
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """GCP prices hosts and accelerators apart: where ``aliases.csv`` says which cards a host has, the sum of both in a
    zone stands in the host's row, and the row of the accelerators alone is done."""
    every = list(rows)
    listed = [(number, cells) for number, cells in every if len(cells) == len(columns.names)]
    torn = [(number, cells) for number, cells in every if len(cells) != len(columns.names)]

    def key(card: str, count: str, cells: Sequence[str]) -> tuple[str, ...]:
        place = (columns.text(name, cells) for name in ("region", "zone"))
        return (card.lower(), count.removesuffix(".0"), *place)

    parts = {
        key(columns.text("gpu", cells), columns.text("gpus_per_node", cells), cells): (number, cells)
        for number, cells in listed
        if columns.text("gpu", cells) and not columns.text("instance_type", cells)
    }
    joined, done = list[tuple[int, tuple[str, ...]]](), set[int]()
    for number, cells in listed:
        host = None if columns.text("gpu", cells) else sources.names.one("host", columns.text("instance_type", cells))
        card, _, count = (host or "").partition(":")
        part = parts.get(key(card, count, cells)) if host else None
        if part is None:
            joined.append((number, cells))
            continue
        done.add(part[0])
        whole = list(cells)
        for name in ("gpu", "gpus_per_node", "gpu_info"):
            for at in columns.fields.get(name, ()):
                whole[at] = part[1][at]
        for price in columns.prices:
            whole[price.position] = _sum(cells[price.position], part[1][price.position])
        joined.append((number, tuple(whole)))
    return (row for row in sorted([*joined, *torn]) if row[0] not in done)


def _sum(one: str, other: str) -> str:
    try:
        return repr(round(float(one) + float(other), 9))
    except ValueError:
        return ""
