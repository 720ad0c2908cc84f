"""Which line of a table is its header, and what each of its columns is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from optimizer.catalog.importers.names import Aliases, normalised
from optimizer.catalog.importers.phrases import Per, Phrase, RentPeriod, read_phrase
from optimizer.files.sheets import TableSheet
from optimizer.vocabulary import Tier

PROBED = 15
"""Lines in which a header is looked for: titles and addresses often stand above it."""

_NEEDED = 3


@dataclass(frozen=True, slots=True)
class PriceColumn:
    """A column of amounts and what its header says of them."""

    position: int
    header: str
    said: Phrase


@dataclass(frozen=True)
class Columns:
    """The columns of one table."""

    names: tuple[str, ...]  # as written
    fields: Mapping[str, tuple[int, ...]]
    prices: tuple[PriceColumn, ...]
    unknown: tuple[int, ...]
    layout: str = ""  # of a program whose lists are known; blank: somebody's own list
    hints: Mapping[str, Phrase] = field(default_factory=dict)  # what the header of another column says in brackets

    def all_of(self, name: str, cells: Sequence[str]) -> tuple[str, ...]:
        """The different texts that a row has for a field."""
        texts = (cells[at].strip() for at in self.fields.get(name, ()))
        return tuple(dict.fromkeys(text for text in texts if text))

    def text(self, name: str, cells: Sequence[str]) -> str:
        """The first text that a row has for a field; blank where it has none."""
        return next(iter(self.all_of(name, cells)), "")


@dataclass(frozen=True, slots=True)
class ListLayout:
    """The lists of one program: instances and their prices per hour in US dollars."""

    name: str
    fields: Mapping[str, str]  # normalised header: field
    prices: Mapping[str, Tier | None]  # normalised header: tier; None: another column says it
    host_memory: str  # normalised header: memory of the instance in GiB
    publisher: str


_LAYOUTS = (
    ListLayout(
        "gpuhunt",
        {
            "instancename": "instance_type",
            "location": "region",
            "gpucount": "gpus_per_node",
            "gpuname": "gpu",
            "gpumemory": "memory",
            "spot": "spot",
        },
        {"price": None},
        "memory",
        "dstackai/gpuhunt",
    ),
    ListLayout(
        "SkyPilot",
        {
            "instancetype": "instance_type",
            "acceleratorname": "gpu",
            "acceleratorcount": "gpus_per_node",
            "region": "region",
        },
        {"price": Tier.ON_DEMAND, "spotprice": Tier.SPOT},
        "memorygib",
        "skypilot-org/skypilot-catalog",
    ),
    ListLayout(
        "ec2instances",
        {"apiname": "instance_type", "gpus": "gpus_per_node", "gpumodel": "gpu"},
        {
            "ondemand": Tier.ON_DEMAND,
            "linuxondemandcost": Tier.ON_DEMAND,
            "linuxspotminimumcost": Tier.SPOT,
            "spotmin": Tier.SPOT,
        },
        "instancememory",
        "vantage-sh/ec2instances.info",
    ),
)
PUBLISHERS = {layout.name: layout.publisher for layout in _LAYOUTS}
"""Who publishes the lists of each program."""

LISTS = tuple(PUBLISHERS)

_INFO = "gpuinfo"
_PER_INSTANCE = Phrase(currency="USD", per=Per.NODE, period=RentPeriod.HOUR)


def find_header(sheet: TableSheet, names: Aliases) -> tuple[int, Columns] | None:
    """Position among the sheet's rows and columns of the header: the first line that names a card and a price."""
    for position, (_, cells) in enumerate(sheet.rows[:PROBED]):
        columns = _known_layout(cells) or _own_list(cells, names)
        if columns is not None:
            return position, columns
    return None


def _known_layout(cells: Sequence[str]) -> Columns | None:
    at: dict[str, int] = {}
    for position, cell in enumerate(cells):
        at.setdefault(normalised(cell), position)
    for layout in _LAYOUTS:
        if not (at.keys() >= layout.fields.keys() and at.keys() & layout.prices.keys()):
            continue
        fields = {field_name: (at[header],) for header, field_name in layout.fields.items()}
        if _INFO in at:
            fields["gpu_info"] = (at[_INFO],)
        if "gpumemory" in at:
            fields["memory"] = (at["gpumemory"],)
        if "availabilityzone" in at:
            fields["zone"] = (at["availabilityzone"],)
        if layout.host_memory in at:
            fields["host_memory"] = (at[layout.host_memory],)
        said = {
            header: Phrase(_PER_INSTANCE.currency, None, _PER_INSTANCE.per, _PER_INSTANCE.period, tier)
            for header, tier in layout.prices.items()
        }
        prices = tuple(PriceColumn(at[header], cells[at[header]], said[header]) for header in said if header in at)
        used = {place for places in fields.values() for place in places} | {price.position for price in prices}
        unknown = tuple(place for place in range(len(cells)) if place not in used and cells[place].strip())
        return Columns(tuple(map(str.strip, cells)), fields, prices, unknown, layout.name)
    return None


def _own_list(cells: Sequence[str], names: Aliases) -> Columns | None:
    fields: dict[str, list[int]] = {}
    prices, unknown = list[PriceColumn](), list[int]()
    hints: dict[str, Phrase] = {}
    for position, cell in enumerate(cells):
        header = cell.strip()
        if not header:
            continue
        name, said = _meaning(header, names)
        if name == "price" and said is not None:
            prices.append(PriceColumn(position, header, said))
        elif name:
            fields.setdefault(name, []).append(position)
            if said is not None:
                hints[name] = hints.get(name, Phrase()) | said
        else:
            unknown.append(position)
    if not prices or "gpu" not in fields or len(fields) + 1 < _NEEDED:
        return None
    found = {name: tuple(places) for name, places in fields.items()}
    return Columns(tuple(map(str.strip, cells)), found, tuple(prices), tuple(unknown), hints=hints)


def _meaning(header: str, names: Aliases) -> tuple[str, Phrase | None]:
    """The field of a header and what it says besides; blank where nobody knows it."""
    known = names.one("column", header)
    said = read_phrase(header)
    if known == "price" or (known is None and isinstance(said, Phrase) and _is_price(said)):
        return "price", said if isinstance(said, Phrase) else Phrase()
    if known is not None:
        return known, None
    outside, inside = _brackets(header)
    known = names.one("column", outside) if inside else None
    if known is None or known == "price":
        return "", None
    hint = read_phrase(inside)
    return known, hint if isinstance(hint, Phrase) else None


def _is_price(said: Phrase) -> bool:
    """Whether a header speaks of money: a word for price, or a currency with what it is paid for."""
    return said.is_price or (said.marked and (said.per is not None or said.period is not None or said.tax is not None))


def _brackets(header: str) -> tuple[str, str]:
    """``数量（台）`` -> (数量, 台)."""
    plain = header.replace("（", "(").replace("）", ")")
    outside, bracket, inside = plain.partition("(")
    return (outside.strip(), inside.rstrip(") ").strip()) if bracket else (plain, "")
