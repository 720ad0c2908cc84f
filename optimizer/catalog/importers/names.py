"""Names of cards, providers, columns and words in outside lists -> ours, by the rows of ``aliases.csv``.

A card's name is read token by token: vendor, a size it may state (``80GB``), a form (``SXM5``) and words that name no
card are taken out; what is left must be the name of a card, whole (``cards``). A name that several cards bear is
narrowed by vendor, form, size and by what is known of a provider's instances; what still leads to several cards stands
for none of them, unless one row is marked ``default`` (its basis says what the plain name means).

The ``GpuInfo`` column of SkyPilot's lists: JSON or a Python literal, MiB or GiB, of one card or of all together.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from optimizer.catalog.importers.cards import CardText, card_text, name_pattern
from optimizer.catalog.types import Gpu
from optimizer.files.csv_file import read_table
from optimizer.files.text_file import did_you_mean, is_there

COLUMNS = ("kind", "name", "provider", "instance", "id", "default", "basis")
_TOLERANCE = 0.1
"""A stated size fits a card within 10 %: 81,559 MiB and 80 GiB both are an 80 GB card, 94 GB is another."""

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Alias:
    """One row of ``aliases.csv``."""

    kind: str  # gpu, provider, new provider, host, column, word
    name: str
    provider: str
    instance: str
    id: str
    default: bool
    basis: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """The card that a name stands for; ``note`` says what was assumed."""

    gpu: str
    note: str


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Why a name stands for no card; ``cards``: those that it may be, where there are several."""

    reason: str
    cards: tuple[str, ...] = ()


@dataclass(frozen=True)
class Aliases:
    """All aliases, by kind and normalised name."""

    gpus: Mapping[str, Gpu]
    by_name: Mapping[tuple[str, str], tuple[Alias, ...]]
    _cards: tuple[tuple[re.Pattern[str], tuple[Alias, ...]], ...] = field(default=(), repr=False)

    def gpu(self, name: str, provider: str = "", hint: str = "", memory: Sequence[float] = ()) -> Mapped | Unmapped:
        """The card of a name; ``hint`` is text about the instance, ``memory`` readings of one card's memory in GB."""
        plain = unicodedata.normalize("NFKC", name).strip().lower()
        if plain in self.gpus:
            return Mapped(plain, "")
        read = card_text(plain)
        rows = self._rows(read.rest)
        if not rows:
            return Unmapped(self._unknown(name, read.rest))
        form = tuple(dict.fromkeys((*read.forms, *card_text(hint).forms)))
        sizes = read.sizes or tuple(memory)
        fits = [row for row in rows if row.provider in ("", provider) and row.instance in f"{plain} {hint.lower()}"]
        left = [row for row in fits if self._is(self.gpus[row.id], read, form, sizes)]
        if not left:
            said = ", ".join([*read.vendors, *(one.upper() for one in form), *(f"{size:g} GB" for size in sizes)])
            cards = ", ".join(sorted({row.id for row in rows}))
            return Unmapped(f"{name[:_SHOWN]!r}: no such card is {said} ({cards})")
        return _decided(name, left)

    def _rows(self, rest: str) -> tuple[Alias, ...]:
        return next((rows for pattern, rows in self._cards if pattern.fullmatch(rest)), ())

    def _is(self, gpu: Gpu, read: CardText, forms: Sequence[str], sizes: Sequence[float]) -> bool:
        """Whether nothing that is stated speaks against the card."""
        if any(vendor != gpu.vendor for vendor in read.vendors):
            return False
        if any(form not in _forms_of(gpu) for form in forms):
            return False
        if read.sizes:
            return all(_is_size(gpu, value) for value in read.sizes)
        return not sizes or any(_is_size(gpu, value) for value in sizes)

    def _unknown(self, name: str, rest: str) -> str:
        known = [alias.name for key, rows in self.by_name.items() if key[0] == "gpu" for alias in rows]
        close = did_you_mean(rest or name, known)
        return f"{name[:_SHOWN]!r} is no card of the catalog" + (f"; {close}" if close else "")

    def one(self, kind: str, name: str) -> str | None:
        """What a name of another kind stands for: a provider, a column, a word, a host."""
        rows = self.by_name.get((kind, normalised(name)), ())
        return rows[0].id if rows else None


def _forms_of(gpu: Gpu) -> frozenset[str]:
    """Forms that a card may be said to have."""
    stated = gpu.form_factor.lower()
    found = {form for form in ("sxm", "pcie", "oam") if form in stated}
    if "_nvl_" in gpu.id:
        found = {"nvl"}  # a PCIe card, but the one that is called PCIe is another
    return frozenset(found | ({"nvl72"} if "nvl72" in stated else set()))


def _decided(name: str, rows: Sequence[Alias]) -> Mapped | Unmapped:
    """The rows that say most count: a word of the instance says more than a provider, a longer word more still."""
    most = max((len(row.instance), bool(row.provider)) for row in rows)
    best = [row for row in rows if (len(row.instance), bool(row.provider)) == most]
    cards = sorted({row.id for row in best})
    if len(cards) == 1:
        return Mapped(cards[0], "")
    default = [row for row in best if row.default]
    if len(default) == 1:
        return Mapped(default[0].id, default[0].basis)
    return Unmapped(f"{name[:_SHOWN]!r} may be {', '.join(cards)}: the list does not say which", tuple(cards))


def _is_size(gpu: Gpu, gigabytes: float) -> bool:
    return abs(gigabytes - gpu.memory_gb) <= _TOLERANCE * gpu.memory_gb


@lru_cache(maxsize=65536)
def normalised(name: str) -> str:
    """Lower case, letters and digits only."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).lower())


def read_names(gpus: Mapping[str, Gpu], roots: Iterable[Path]) -> Aliases:
    """The aliases of the packaged catalogs and of the user's: rows of a later directory replace those of a name."""
    found: dict[tuple[str, str], tuple[Alias, ...]] = {}
    for root in roots:
        path = root / "aliases.csv"
        if not is_there(path):
            continue
        here: dict[tuple[str, str], list[Alias]] = defaultdict(list)
        table = read_table(path, COLUMNS)
        for row in table:
            alias = Alias(
                row.required("kind"),
                row.required("name"),
                row.text("provider"),
                row.text("instance").lower(),
                row.required("id"),
                row.text("default") == "yes",
                row.text("basis"),
            )
            if alias.kind == "gpu" and alias.id not in gpus:
                row.error(f"unknown GPU {alias.id!r}", did_you_mean(alias.id, gpus), "id")
            here[alias.kind, normalised(alias.name)].append(alias)
        if table.findings:
            from optimizer.errors import CatalogError

            raise CatalogError(table.findings)
        found |= {key: tuple(rows) for key, rows in here.items()}
    cards = tuple((name_pattern(*(row.name for row in rows)), rows) for key, rows in found.items() if key[0] == "gpu")
    return Aliases(gpus, found, cards)


_MAX_CHARS = 10_000
_NEAR = 0.01
"""How near a total must be to size times cards."""

_LARGEST_GIB = 1024
"""A figure below this is GiB, whatever the key says: no card has less than a GiB."""


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """What the column says: the maker's name of the card and the sizes that may be one card's memory, in GiB."""

    name: str = ""
    memory: tuple[float, ...] = ()


def parse_gpu_info(text: str, count: float) -> GpuInfo:
    """Read the column. Text that is neither dialect says nothing.

    A size that times the number of cards is the total is that of one card. Other clouds write one card's or the node's
    memory under both keys, so both readings are kept; the name of the card decides which is a size it comes in.
    """
    data = _loaded(text)
    if not isinstance(data, Mapping):
        return GpuInfo()
    lower = _lowered(data)
    listed = lower.get("gpus")
    card = _lowered(listed[0]) if isinstance(listed, list) and listed and isinstance(listed[0], Mapping) else {}
    info = card.get("memoryinfo")
    size = _size(_lowered(info).get("sizeinmib")) if isinstance(info, Mapping) else None
    total = _size(lower.get("totalgpumemoryinmib")) or _size(card.get("totalgpumemoryinmib"))
    cards = max(count, 1.0)
    if size is not None and total is not None and abs(total - size * cards) <= _NEAR * total:
        readings = {size}
    else:
        stated = size if size is not None else total
        readings = set() if stated is None else {stated, stated / cards}
    name = card.get("name")
    return GpuInfo(name if isinstance(name, str) else "", tuple(sorted(readings)))


def _loaded(text: str) -> Any:
    """JSON, or Python's way of writing the same: single quotes and None."""
    if not text.startswith(("{", "'", '"')) or len(text) > _MAX_CHARS:
        return None
    for dialect in (text, text.replace("'", '"').replace("None", "null")):
        try:
            return json.loads(dialect)
        except (ValueError, RecursionError):
            continue
    return None


def _lowered(data: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in data.items()}


def _size(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        return None
    return float(value) if value < _LARGEST_GIB else value / 1024
