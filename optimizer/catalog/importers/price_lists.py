"""A folder with the lists of SkyPilot, gpuhunt and ec2instances, and a catalog whose offers they refresh."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.catalog import rows
from optimizer.catalog.importers.names import read_names
from optimizer.catalog.importers.quote_columns import LISTS
from optimizer.catalog.importers.quotes import layout_of, read_quotes
from optimizer.catalog.importers.refresh import OfferRow, Refreshed, refresh
from optimizer.catalog.loader import catalog_directories, load_catalog
from optimizer.errors import CatalogError, Finding
from optimizer.files.csv_file import read_table
from optimizer.files.sheets import read_sheets
from optimizer.files.text_file import is_folder, is_there
from optimizer.progress import today

if TYPE_CHECKING:
    from optimizer.catalog.importers.names import Aliases

OFFERS = "offers.csv"

_COLUMNS = (
    "offer_id", "provider", "instance_type", "gpu", "gpus_per_node", "link", "link_basis", "region", "country",
    "host_memory_gib", "network_gbps", "tier", "amount", "currency", "price_date", "price_date_as_stated",
    "price_source", "evidence", "reason", "stock_note", "remarks", "notes",
)  # fmt: skip
"""In the order of the packaged file; columns of the user's own stand behind them."""


@dataclass(frozen=True, slots=True)
class PriceList:
    """A file of prices."""

    path: Path
    name: str  # below the folder
    program: str
    day: str  # ISO


@dataclass(frozen=True)
class Update:
    """What a folder of lists makes of a catalog."""

    lists: tuple[PriceList, ...]
    passed_over: tuple[str, ...]  # files that are no list of prices
    stated_day: bool  # False: the lists are dated by the day they were last written
    refreshed: Refreshed
    without_gpu: int
    offers: tuple[OfferRow, ...]  # rows of the new offers.csv

    def csv(self) -> str:
        """The new offers.csv: the offers that changed, and those of the directory that was given."""
        stream = io.StringIO()
        known = set(_COLUMNS)
        extra = [name for name in rows.OFFER_EXTRAS if name not in known and any(row.get(name) for row in self.offers)]
        writer = csv.DictWriter(stream, [*_COLUMNS, *extra], restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.offers)
        return stream.getvalue()


def update(folder: Path, catalogs: Path | None, day: date | None) -> Update:
    """Read the lists of a folder against the catalog. Raises CatalogError where they or the catalog cannot be read.

    ``day`` is that of the lists, which state none; without it each counts from the day it was last written.
    """
    known = load_catalog(catalogs, models=())
    directories = catalog_directories(catalogs)
    names = read_names(known.gpus, directories)
    lists, passed_over = _lists(folder, names, day)
    found = read_quotes([one.path for one in lists], known, names)
    packaged, own = _offer_rows(directories)
    refreshed = refresh(
        found.lines,
        {str(one.path): one.day for one in lists},
        {str(one.path): one.name for one in lists},
        [*packaged, *own],
        known,
    )
    changed = {row["offer_id"] for row in refreshed.rows}
    offers = [*refreshed.rows, *(row for row in own if row["offer_id"] not in changed)]
    ordered = sorted(offers, key=lambda row: (row["offer_id"], row["tier"]))
    return Update(lists, passed_over, day is not None, refreshed, found.without_gpu, tuple(ordered))


def _lists(folder: Path, names: Aliases, day: date | None) -> tuple[tuple[PriceList, ...], tuple[str, ...]]:
    """The files of a folder that are lists of a program, and the names of those that are none."""
    if not is_folder(folder):
        raise CatalogError([Finding("no such directory", str(folder))])
    if day is not None and day > today():
        hint = "--date is the day the lists were made"
        raise CatalogError([Finding(f"{day} is ahead of today, {today()}", hint=hint)])
    lists, others = list[PriceList](), list[str]()
    for path in sorted(folder.rglob("*.csv")):
        name = path.relative_to(folder).as_posix()
        program = next(filter(None, (layout_of(sheet, names) for sheet in read_sheets(path))), "")
        if not program:
            others.append(name)
            continue
        written = day or date.fromtimestamp(path.stat().st_mtime)
        if written > today():
            ahead = f"was last written on {written}, ahead of today, {today()}"
            raise CatalogError([Finding(ahead, str(path), hint="--date DAY says when the lists were made")])
        lists.append(PriceList(path, name, program, written.isoformat()))
    if not lists:
        seen = f"it has {', '.join(others[:5])}" if others else "it has no CSV file"
        hint = "`optimize quotes FILE` reads lists of other kinds, for `offers:` of a problem file"
        raise CatalogError([Finding(f"holds no list of {', '.join(LISTS)}: {seen}", str(folder), hint=hint)])
    return tuple(lists), tuple(others)


def _offer_rows(directories: Sequence[Path]) -> tuple[list[OfferRow], list[OfferRow]]:
    """Rows of the packaged offers that count, and of the directory's own: an offer there replaces a packaged one."""
    tables = [_rows(directory / OFFERS) for directory in directories]
    own = tables[1] if len(tables) > 1 else []
    replaced = {row["offer_id"] for row in own}
    return [row for row in tables[0] if row["offer_id"] not in replaced], own


def _rows(path: Path) -> list[OfferRow]:
    if not is_there(path):
        return []
    table = read_table(path, rows.OFFER_COLUMNS, rows.OFFER_EXTRAS)
    found: list[Mapping[str, str]] = [dict(zip(table.header, row.cells, strict=True)) for row in table]
    return found
