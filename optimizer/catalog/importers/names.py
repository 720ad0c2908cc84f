"""Names of cards, providers, columns and words in outside lists -> ours, by the rows of ``aliases.csv``.

A card's name is split into its bare name (``A100``), a size it may state (``80GB``) and a form (``SXM``). Rows of the
bare name are narrowed by the provider, by words of the instance and by memory; what then leads to one card is mapped,
and what still leads to several is not, unless one of them is marked ``default`` (the note says what was assumed).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from optimizer.catalog.types import Gpu
from optimizer.documents.csv_file import read_table
from optimizer.documents.paths import is_there
from optimizer.documents.suggest import did_you_mean

COLUMNS = ("kind", "name", "provider", "instance", "id", "default", "basis")
_VENDORS = (
    "nvidia",
    "tesla",
    "geforce",
    "quadro",
    "amd",
    "instinct",
    "radeon",
    "huawei",
    "ascend",
    "intel",
    "昇腾",
    "华为",
)
_FORMS = re.compile(r"(sxm\d?|pcie|nvlink|nvl|oam)$")
_SIZE = re.compile(r"(?<![a-z0-9])(\d{2,3})\s*g(?:b|ib)?(?![a-z0-9])", re.IGNORECASE)
_COUNT = re.compile(r"^\s*(\d{1,2})\s*[x×*卡]\s*(?=\D|9\d\dB)", re.IGNORECASE)
_TOLERANCE = 0.1
"""A stated size fits a card within 10 %: 81,559 MiB and 80 GiB both are an 80 GB card, 94 GB is another."""


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
    """Why a name stands for no card."""

    reason: str


@dataclass(frozen=True)
class Names:
    """All aliases, by kind and normalised name."""

    gpus: Mapping[str, Gpu]
    by_name: Mapping[tuple[str, str], tuple[Alias, ...]]

    def gpu(self, name: str, provider: str = "", hint: str = "", memory: Sequence[float] = ()) -> Mapped | Unmapped:
        """The card of a name; ``hint`` is text about the instance, ``memory`` readings of one card's memory in GB."""
        if name.lower() in self.gpus:
            return Mapped(name.lower(), "")
        size = _SIZE.search(name)
        readings = (float(size[1]),) if size else tuple(memory)
        rows = self._rows(name)
        if not rows:
            close = did_you_mean(
                name, [alias.name for key, all_of in self.by_name.items() if key[0] == "gpu" for alias in all_of]
            )
            return Unmapped(f"{name!r} is no card of the catalog" + (f"; {close}" if close else ""))
        text = f"{name} {hint}".lower()
        fits = [row for row in rows if row.provider in ("", provider) and row.instance in text]
        sized = [row for row in fits if not readings or any(_is_size(self.gpus[row.id], value) for value in readings)]
        if not sized:
            shown = " or ".join(f"{value:g}" for value in sorted({round(value, 1) for value in readings}))
            return Unmapped(f"{name!r}: no such card has {shown} GB")
        return _decided(name, sized)

    def _rows(self, name: str) -> tuple[Alias, ...]:
        whole = normalised(name)
        for key in (whole, normalised(_SIZE.sub(" ", name)), _FORMS.sub("", normalised(_SIZE.sub(" ", name)))):
            rows = self.by_name.get(("gpu", key), ())
            if rows:
                return rows
        return ()

    def one(self, kind: str, name: str) -> str | None:
        """What a name of another kind stands for: a provider, a column, a word, a host."""
        rows = self.by_name.get((kind, normalised(name)), ())
        return rows[0].id if rows else None


def _decided(name: str, rows: Sequence[Alias]) -> Mapped | Unmapped:
    """The rows that say most count: a word of the instance says more than a provider, a longer word more still."""
    most = max((len(row.instance), bool(row.provider)) for row in rows)
    best = [row for row in rows if (len(row.instance), bool(row.provider)) == most]
    cards = sorted({row.id for row in best})
    if len(cards) == 1:
        return Mapped(cards[0], "")
    default = [row for row in best if row.default]
    if len(default) == 1:
        return Mapped(default[0].id, f"{name}: {default[0].basis}")
    return Unmapped(f"{name!r} may be {', '.join(cards)}: the list does not say which")


def _is_size(gpu: Gpu, gigabytes: float) -> bool:
    return abs(gigabytes - gpu.memory_gb) <= _TOLERANCE * gpu.memory_gb


@lru_cache(maxsize=65536)
def normalised(name: str) -> str:
    """Lower case, letters and digits only, without the vendor's name."""
    text = re.sub(r"[\W_]+", "", name.lower())
    for vendor in _VENDORS:
        text = text.removeprefix(vendor)
    return text


def split_count(name: str) -> tuple[int | None, str]:
    """``8xH20`` -> (8, ``H20``); a name without a count keeps None."""
    found = _COUNT.match(name)
    return (int(found[1]), name[found.end() :].strip()) if found else (None, name.strip())


def read_names(gpus: Mapping[str, Gpu], roots: Iterable[Path]) -> Names:
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
    return Names(gpus, found)
