"""SkyPilot's ``vms.csv`` of any cloud: columns by header, one row per instance and zone.

GCP prices the host and the accelerators apart, the latter without an instance; where ``aliases.csv`` says which
accelerators a host has (``host`` rows), the two are added, zone by zone. Prices are US dollars per hour and instance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from optimizer.catalog.importers.names import Aliases, Unmapped, normalised, parse_gpu_info
from optimizer.catalog.importers.price_list import Imported, LeftOut, ListedPrice, Node, best_of, price_of
from optimizer.catalog.types import Provider, link_of
from optimizer.errors import CatalogError, Finding
from optimizer.files.csv_file import CsvTable, read_open_table
from optimizer.files.text_file import did_you_mean
from optimizer.vocabulary import ProviderClass, Tier

_NEEDED = ("instancetype", "acceleratorname", "acceleratorcount", "price", "region")
_KNOWN = (*_NEEDED, "spotprice", "availabilityzone", "gpuinfo")
_GENERIC = frozenset({"vms", "catalog", "catalogs", "csv", "instances", "skypilot"})
_MOST_GPUS = 1024


@dataclass(frozen=True, slots=True)
class _Machine:
    """One row, before its names are mapped."""

    line: int
    instance: str
    accelerator: str
    count: str
    region: str
    zone: str
    info: str
    prices: tuple[tuple[Tier, float], ...]


def import_skypilot(
    paths: Sequence[Path],
    names: Aliases,
    providers: Mapping[str, Provider],
    *,
    provider: str | None = None,
    date: str = "",
    source: str | None = None,
) -> Imported:
    """Read lists; the cloud of each is ``provider``, else what its folder or file is called."""
    prices: list[ListedPrice] = []
    left_out: list[LeftOut] = []
    new: dict[str, Provider] = {}
    assumed: dict[str, None] = {}
    without_gpu = 0
    for path in paths:
        who = _provider(path, provider, names, providers)
        if who.id not in providers:
            new[who.id] = who
        reader = _List(path, who.id, names, date, source or f"SkyPilot catalog, {who.id}/{path.name}")
        prices += reader.prices()
        left_out += reader.left_out
        without_gpu += reader.without_gpu
        assumed |= dict.fromkeys(reader.assumed)
    best = best_of(prices)
    return Imported(best, tuple(left_out), without_gpu, len(prices) - len(best), tuple(new.values()), tuple(assumed))


def _provider(path: Path, stated: str | None, names: Aliases, providers: Mapping[str, Provider]) -> Provider:
    """The cloud of a file: stated, or its folder's name, or a word of its own name."""
    known = {normalised(word): item for item in providers.values() for word in (item.id, *item.aliases)}
    words = [stated] if stated else [path.resolve().parent.name, path.stem, *path.stem.replace("_", "-").split("-")]
    for word in words:
        key = normalised(word)
        if not key or key in _GENERIC:
            continue
        alias = names.one("provider", word)
        if key in known or alias in providers:
            return known[key] if key in known else providers[str(alias)]
        kind = names.by_name.get(("new provider", key), ())
        if kind:
            return Provider(kind[0].name, (), ProviderClass(kind[0].instance or "neocloud"), "", kind[0].name)
    if stated:
        hint = did_you_mean(stated, providers) or "add it to providers.csv in the directory given as --catalogs"
        raise CatalogError([Finding(f"provider {stated!r} is not in providers.csv", hint=hint)])
    hint = "name the cloud: --provider aws"
    raise CatalogError([Finding("neither its folder nor its name says whose prices these are", str(path), hint=hint)])


class _List:
    """One file."""

    def __init__(self, path: Path, provider: str, names: Aliases, date: str, source: str) -> None:
        self._path, self._provider, self._names = path, provider, names
        self._date, self._source = date, source
        self.left_out: list[LeftOut] = []
        self.without_gpu = 0
        self.assumed: list[str] = []
        self._node = lru_cache(maxsize=None)(self._mapped)

    def prices(self) -> list[ListedPrice]:
        """All prices that could be mapped."""
        found: list[ListedPrice] = []
        for machine in _joined(list(self._machines(read_open_table(self._path))), self._names):
            if not machine.accelerator or machine.count in ("", "0", "0.0"):
                self.without_gpu += 1
                continue
            node = self._node(machine.instance, machine.accelerator, machine.count, machine.info, machine.region)
            if isinstance(node, str):
                self._leave(machine.line, node)
                continue
            source = f"{self._source}, zone {machine.zone}" if machine.zone else self._source
            found += [ListedPrice(node, tier, amount, "USD", self._date, source, "") for tier, amount in machine.prices]
        return found

    def _machines(self, table: CsvTable) -> Iterator[_Machine]:
        at = {name.lower(): position for name, position in table.index.items()}
        missing = [name for name in _NEEDED if name not in at]
        if missing:
            hint = "a SkyPilot list has InstanceType, AcceleratorName, AcceleratorCount, Price and Region"
            raise CatalogError([Finding(f"column {name} is missing", str(table.path), 1, 1, hint) for name in missing])
        positions = [at.get(name) for name in _KNOWN]
        for defect in table.findings:
            self.left_out.append(LeftOut(str(self._path), defect.line or 0, defect.message))
        for line, cells in table.lines:
            name, card, count, on_demand, region, spot, zone, info = (
                "" if position is None else cells[position].strip() for position in positions
            )
            has_card = bool(card) and count not in ("", "0", "0.0")
            prices = [] if not has_card and not self._is_host(name) else self._prices(line, on_demand, spot)
            yield _Machine(line, name, card, count, region, zone, info, tuple(prices))

    def _is_host(self, instance: str) -> bool:
        return ("host", normalised(instance)) in self._names.by_name

    def _prices(self, line: int, on_demand: str, spot: str) -> Iterator[tuple[Tier, float]]:
        both_blank = True
        for tier, text in ((Tier.ON_DEMAND, on_demand), (Tier.SPOT, spot)):
            price = price_of(text)
            both_blank = both_blank and price is None
            if isinstance(price, str):
                self._leave(line, f"{tier} {price}")
            elif price is not None:
                yield tier, price
        if both_blank:
            self._leave(line, "no price")

    def _mapped(self, instance: str, accelerator: str, count: str, info: str, region: str) -> Node | str:
        """The node of a row, or why there is none. Rows of the same words are mapped once."""
        try:
            number = float(count)
        except ValueError:
            number = 0.0
        if not (1 <= number <= _MOST_GPUS and number == int(number)):
            return f"AcceleratorCount {count[:20]!r} is not a whole number of cards"
        if not instance:
            return f"{accelerator}: the price of accelerators alone, without an instance"
        said = parse_gpu_info(info, number)
        mapped = self._names.gpu(accelerator, self._provider, f"{instance} {said.name}", said.memory)
        if isinstance(mapped, Unmapped):
            return mapped.reason
        if mapped.note and mapped.note not in self.assumed:
            self.assumed.append(mapped.note)
        link = link_of(self._names.gpus[mapped.gpu], int(number), None)
        basis = "one GPU: no link between GPUs" if number == 1 else "what the card's form implies"
        basis = "; ".join(part for part in (basis, mapped.note) if part)
        return Node("", self._provider, instance, mapped.gpu, int(number), link, basis, region)

    def _leave(self, line: int, reason: str) -> None:
        self.left_out.append(LeftOut(str(self._path), line, reason))


def _joined(machines: Sequence[_Machine], names: Aliases) -> Iterator[_Machine]:
    """Hosts with their accelerators: the sum of both prices of a zone; accelerators that went into a host are done."""
    parts = {
        (m.accelerator.lower(), _whole(m.count), m.region, m.zone): m
        for m in machines
        if m.accelerator and not m.instance
    }
    used: set[tuple[str, str, str, str]] = set()
    joined: list[_Machine] = []
    for machine in machines:
        host = None if machine.accelerator else names.one("host", machine.instance)
        card, _, count = (host or "").partition(":")
        key = (card.lower(), count, machine.region, machine.zone)
        part = parts.get(key)
        if host is None or part is None:
            joined.append(machine)
            continue
        used.add(key)
        of_part = dict(part.prices)
        sums = tuple((tier, price + of_part[tier]) for tier, price in machine.prices if tier in of_part)
        joined.append(replace(machine, accelerator=card, count=count, info=part.info, prices=sums))
    done = {parts[key].line for key in used}
    return (machine for machine in joined if machine.line not in done)


def _whole(count: str) -> str:
    return count.removesuffix(".0")
