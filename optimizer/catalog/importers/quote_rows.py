"""One row of a list -> a quote per price in it, or the reasons why there is none.

A provider, card, number of cards, amount, currency or unit that cannot be told refuses the quote: nothing is filled in.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from optimizer.catalog.importers.cards import card_text
from optimizer.catalog.importers.days import DateOrder, day_of, last_day
from optimizer.catalog.importers.names import Mapped, Unmapped, parse_gpu_info
from optimizer.catalog.importers.phrases import Phrase, RentPeriod, Taxed, plain_of, read_phrase
from optimizer.catalog.importers.quote_columns import Columns, PriceColumn
from optimizer.catalog.importers.quote_money import AmountRead, money_of
from optimizer.catalog.importers.quote_sources import Sources
from optimizer.catalog.importers.quote_types import QuoteLine
from optimizer.catalog.rows import PROVIDER_CLASSES, TIERS
from optimizer.vocabulary import ProviderClass, Tier

MOST_GPUS = 128

CLASSES = tuple(word for word in PROVIDER_CLASSES if word != ProviderClass.OWN)
"""Classes that a provider may be said to be of."""

_COUNT = re.compile(r"(\d{1,3})(?:\.0+)?\s*(?:[x×*]|卡|张|块|片|gpus?|cards?)?")
_CARDS = re.compile(r"(\d{1,3})\s*(?:卡|张|块|片|gpus?|cards?)")
_NODES = re.compile(r"(\d{1,5})\s*(?:台|节点|套|nodes?|servers?|instances?)")
_BEFORE = re.compile(r"^\s*(\d{1,3})\s*(?:[x×*]\s*|(?:卡|张|块|片)\s*|-?\s*gpus?\s+)(?=\S)")
_BEHIND = re.compile(r"(?<=[\s\w)])[x×*]\s*(\d{1,3})\s*$|(?<![\d.\w])(\d{1,3})\s*(?:卡|张|块|-?\s*gpus?)\s*$")
_WEEKS = re.compile(
    r"(\d{1,3}(?:\.\d+)?)(?:\s*[-~–至到]\s*(\d{1,3}))?\s*(周|weeks?|wks?|w|天|日|days?|d|个?月|months?)?"
)
_PERCENT = re.compile(r"(\d{1,2}(?:\.\d+)?)\s*%?")
_YES = frozenset({"yes", "y", "true", "是", "有", "含", "含税", "已含", "√", "included"})
_NO = frozenset({"no", "n", "false", "否", "无", "不含", "未含", "不含税", "excluded"})
_LISTED = re.compile(r"[;,、；，]")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user says beside the list."""

    provider: str | None = None
    date_order: DateOrder | None = None


class QuoteRow:
    """One row on its way to be a quote; ``problems`` gathers all that is missing, ``notes`` what was understood."""

    def __init__(self, base: QuoteLine, cells: Sequence[str], columns: Columns, sources: Sources, options: Options):
        self._base, self._cells, self._columns = base, cells, columns
        self._sources, self._options = sources, options
        self.problems: list[str] = []
        self.notes: list[str] = list(base.notes)

    def quotes(self) -> Iterator[QuoteLine]:
        """A quote per price of the row; one refused line where the row is none."""
        prices = [one for one in self._columns.prices if self._cells[one.position].strip(" -—/")]
        if self._columns.layout:
            prices = [one for one in prices if _is_amount(self._cells[one.position])]
        known = self._common()
        if not prices:
            self.problems.append("there is no price")
        if self._columns.layout == "SkyPilot" and not self._columns.text("instance_type", self._cells):
            self.problems.append("the price of accelerators alone, without an instance")
        if self.problems or known.gpu is None:
            yield known.refused(*self.problems)
            return
        around = self._around()
        read = [(column, self._money(column, around, known)) for column in prices]
        if self.problems:
            yield known.refused(*self.problems)
            return
        yield from self._told_apart([(column, self._quote(known, column, money)) for column, money in read])

    def _told_apart(self, found: list[tuple[PriceColumn, QuoteLine]]) -> Iterator[QuoteLine]:
        """Several prices of one tier are one price in several units, or nobody knows which counts."""
        by_tier: dict[Tier | None, list[tuple[PriceColumn, QuoteLine]]] = {}
        for column, quote in found:
            by_tier.setdefault(quote.tier, []).append((column, quote))
        for same in by_tier.values():
            nets = [quote.net_per_node for _, quote in same if quote.unit is not None and quote.amount is not None]
            first = same[0][1]
            if len(same) > 1 and len(nets) == len(same) and max(nets) <= 1.01 * min(nets):
                yield first
            elif len(same) > 1 and len(nets) > 1:
                named = " and ".join(repr(column.header) for column, _ in same)
                yield first.refused(f"{named} both hold a price: which one counts?")
            else:
                yield from (quote for _, quote in same)

    def _quote(self, known: QuoteLine, column: PriceColumn, money: AmountRead | list[str]) -> QuoteLine:
        if isinstance(money, list):
            return known.refused(*money)
        notes = [*self.notes, *money.notes]
        included = money.tax is Taxed.INCLUDED
        if included and known.tax_percent is None:
            notes.append("tax is in the price at a rate that is not stated: none is added")
        elif included and known.tax_percent:
            net = money.amount / (1 + known.tax_percent / 100)
            notes.append(f"{known.tax_percent:g} % tax is in the amount: {net:,.2f} before tax")
        return replace(
            known,
            amount=money.amount,
            currency=money.currency,
            unit=money.unit,
            tier=money.tier,
            tax_included=included,
            notes=tuple(notes),
        )

    def _common(self) -> QuoteLine:
        """All but the money."""
        columns, cells = self._columns, self._cells
        instance = columns.text("instance_type", cells)
        gpus, text = self._count()
        provider, known = self._provider(instance)
        gpu = self._card(text, instance, gpus, known)
        tax = self._tax()
        quoted = self._day("price_date")
        until = self._until(quoted)
        stock, weeks = self._nodes("stock", "stock"), self._weeks()
        nvlink = self._flag("nvlink")
        idle = (columns.fields.get(name, ()) for name in ("notes", "source", "condition", "quantity", "price_date"))
        beside = [*columns.unknown, *(place for places in idle for place in places)]
        kept = tuple((columns.names[at], " ".join(cells[at].split())) for at in sorted(beside) if cells[at].strip())
        return replace(
            self._base,
            provider=provider,
            gpu=gpu,
            gpus_per_node=gpus,
            tax_percent=tax,
            valid_until=None if until is None else until.isoformat(),
            ignored_columns=tuple(columns.names[at] for at in columns.unknown),
            known_provider=known,
            quote_id=columns.text("id", cells),
            quote_ref=columns.text("quote_ref", cells),
            region=columns.text("region", cells),
            layout=columns.layout,
            instance_type=instance,
            host_memory_gib=self._host_memory(),
            provider_class=self._class(),
            country=self._country(),
            certificates=tuple(filter(None, map(str.strip, _LISTED.split(columns.text("certificates", cells))))),
            min_nodes=self._nodes("min_nodes", "fewest nodes"),
            nvlink=nvlink,
            stock=stock,
            lead_time_weeks=weeks,
            kept=kept if not columns.layout else (),
        )

    def _count(self) -> tuple[int | None, str]:
        """Cards per node, stated once or more often alike, and the card's name without them."""
        names = self._columns.all_of("gpu", self._cells)
        if len(names) > 1:
            self.problems.append(f"{' and '.join(map(repr, names))} both say which card it is")
        text = unicodedata.normalize("NFKC", names[0] if names else "").strip()
        stated: dict[int, None] = {}
        for pattern in (_BEFORE, _BEHIND):
            found = pattern.search(text.lower())
            rest = (text[: found.start()] + " " + text[found.end() :]).strip() if found else ""
            if found and re.search(r"\w", rest):
                stated[int(next(group for group in found.groups() if group))] = None
                text = rest
        for cell in self._columns.all_of("gpus_per_node", self._cells):
            count = _COUNT.fullmatch(plain_of(cell))
            if count is None:
                self.problems.append(f"{cell[:30]!r} is not a number of cards per node")
                return None, text
            stated[int(count[1])] = None
        for cell in self._columns.all_of("quantity", self._cells):
            count = _CARDS.fullmatch(plain_of(cell))
            if count:
                stated[int(count[1])] = None
            elif not _NODES.fullmatch(plain_of(cell)) and not stated:
                self.problems.append(f"{cell[:30]!r} of what: cards of a node (write 8卡, 8 GPUs) or nodes (8台)?")
                return None, text
        if len(stated) > 1:
            self.problems.append(f"cards per node: {' and '.join(map(str, stated))}")
        elif not stated:
            self.problems.append("how many cards a node has is not stated")
        elif not 1 <= next(iter(stated)) <= MOST_GPUS:
            self.problems.append(f"{next(iter(stated))} cards per node is outside 1 to {MOST_GPUS}")
        return (next(iter(stated)), text) if len(stated) == 1 else (None, text)

    def _card(self, text: str, instance: str, gpus: int | None, provider: str) -> str | None:
        if not text:
            self.problems.append("which card it is is not stated")
            return None
        memory = self._memory(gpus)
        info = parse_gpu_info(self._columns.text("gpu_info", self._cells), float(gpus or 1))
        forms = (self._columns.text(name, self._cells) for name in ("form", "nvlink", "notes"))
        form = " ".join(one for text_ in forms for one in card_text(text_).forms)
        hint = " ".join(part for part in (instance, info.name, form) if part)
        found = self._sources.names.gpu(text, provider, hint, memory or info.memory)
        if isinstance(found, Unmapped) and found.cards:
            card = self._sources.card_of_instance(instance, provider, gpus)
            if card in found.cards:
                found = Mapped(str(card), f"{instance} has {card} in the catalog")
        if isinstance(found, Unmapped):
            self.problems.append(found.reason)
            return None
        if found.note or plain_of(text) != found.gpu:
            self.notes.append(f"{text} is {found.gpu}" + (f" ({found.note})" if found.note else ""))
        return found.gpu

    def _memory(self, gpus: int | None) -> tuple[float, ...]:
        """Readings of a column of memory in GB: of one card, or of all the node's."""
        cell = plain_of(self._columns.text("memory", self._cells))
        found = re.fullmatch(r"(\d{1,4}(?:\.\d+)?)\s*(?:g(?:i?b)?)?(?:\s*[x×*]\s*\d+)?", cell)
        if not cell or cell in ("0", "0.0"):
            return ()
        if found is None:
            self.problems.append(f"memory {cell[:30]!r} is not understood")
            return ()
        size = float(found[1])
        return (size, size / gpus) if gpus else (size,)

    def _host_memory(self) -> float | None:
        """Of the lists of programs, which state it in GiB; what is no number of them is not counted."""
        cell = plain_of(self._columns.text("host_memory", self._cells))
        found = re.fullmatch(r"(\d{1,3}(?:,\d{3})+|\d{1,5})(\.\d+)?\s*(?:gib)?", cell)
        size = float(found[1].replace(",", "") + (found[2] or "")) if found else 0.0
        return size or None

    def _provider(self, instance: str) -> tuple[str | None, str]:
        """As it is written, and its id in the catalog where it is one of the names there."""
        stated = self._columns.all_of("provider", self._cells)
        if len(stated) > 1:
            self.problems.append(f"{' and '.join(map(repr, stated))} both say whose quote it is")
            return None, ""
        if "provider" in self._columns.fields and not stated:
            self.problems.append("whose quote it is is not stated")
            return None, ""
        name = " ".join((stated[0] if stated else self._options.provider or "").split())
        if not name:
            found, why = self._sources.of_list(self._base.file, instance, self._columns.layout)
            if found is None:
                self.problems.append(f"whose quote it is is not stated{why}: --provider NAME")
                return None, ""
            self.notes.append(why)
            return found, found
        if why := self._no_name(name):
            self.problems.append(f"{name[:40]!r} is no provider: {why}")
            return None, ""
        known = self._sources.known(name)
        if known and known != name:
            self.notes.append(f"{name} is {known} in the catalog")
        return name, known

    def _no_name(self, name: str) -> str:
        """Why a cell is not the name of a company: columns may have been swapped or shifted."""
        if not _LETTER.search(name):
            return "no letter in it"
        if not isinstance(day_of(name), str):
            return "a day"
        said = read_phrase(name, numbers=True)
        if isinstance(said, Phrase) and (said.numbers or said.marked or said.period):
            return "an amount or a unit"
        _, card = _count_off(name)
        found = self._sources.names.gpu(card)
        if isinstance(found, Mapped) or found.cards:
            return "a card"
        return ""

    def _class(self) -> str:
        """The class that a list gives its provider; one that nobody knows is said and not counted."""
        cell = self._columns.text("provider_class", self._cells)
        if not cell or plain_of(cell) in CLASSES:
            return plain_of(cell)
        self.notes.append(f"provider class {cell[:30]!r} is none of {', '.join(CLASSES)}: not counted")
        return ""

    def _tax(self) -> float | None:
        cell = plain_of(self._columns.text("tax_percent", self._cells))
        for word in ("专票", "增值税", "vat", "tax", "税率", "不含税", "含税", "税"):
            cell = cell.replace(word, " ")
        cell = cell.strip(" :：-—/")
        if not cell:
            return None
        if cell in ("免", "none", "无", "exempt"):
            return 0.0
        found = _PERCENT.fullmatch(cell)
        if found is None:
            self.problems.append(f"tax {cell[:30]!r} is not a percentage")
            return None
        value = float(found[1])
        if 0 < value < 1 and "%" not in cell:
            self.notes.append(f"tax {cell} is {value * 100:g} %")
            value = round(value * 100, 6)
        return value

    def _day(self, name: str) -> date | None:
        cell = self._columns.text(name, self._cells)
        found = day_of(cell, self._options.date_order) if cell else None
        if isinstance(found, str):
            self.problems.append(found)
            return None
        return found

    def _until(self, quoted: date | None) -> date | None:
        cell = self._columns.text("valid_until", self._cells)
        found = last_day(cell, quoted, self._options.date_order) if cell else None
        if isinstance(found, str):
            self.problems.append(f"valid until: {found}")
            return None
        return found

    def _nodes(self, name: str, said: str) -> int | None:
        cell = plain_of(self._columns.text(name, self._cells))
        found = re.fullmatch(r"(\d{1,6})(?:\.0+)?\s*(?:台|套|nodes?|servers?)?", cell)
        if cell and found is None:
            self.notes.append(f"{said} {cell[:30]!r} is not a number of nodes: not counted")
        return int(found[1]) if found else None

    def _country(self) -> str:
        """Two letters, as rules about countries are; a name is said and not counted."""
        cell = self._columns.text("country", self._cells)
        if re.fullmatch(r"[A-Za-z]{2}", cell):
            return cell.upper()
        if cell:
            self.notes.append(f"country {cell[:30]!r} is no code of two letters, such as DE: not counted")
        return ""

    def _weeks(self) -> float | None:
        """Weeks until delivery, the later of two; in stock is none."""
        cell = plain_of(self._columns.text("lead_time_weeks", self._cells))
        if cell in ("现货", "in stock", "immediate", "立即"):
            return 0.0
        found = _WEEKS.fullmatch(cell)
        if cell and found is None:
            self.notes.append(f"delivery {cell[:30]!r} is not understood: not counted")
        if not found:
            return None
        number, unit = float(found[2] or found[1]), found[3] or "w"
        if unit[0] in "天日d":
            return round(number / 7, 1)
        return round(number * 52 / 12, 1) if unit[0] in "m个月" else number

    def _flag(self, name: str) -> bool | None:
        cell = plain_of(self._columns.text(name, self._cells))
        return True if cell in _YES else False if cell in _NO else None

    def _around(self) -> Phrase:
        """What the columns of unit, currency, tier and tax say of the amount."""
        found = Phrase()
        for name in ("unit", "currency", "tier"):
            cell = self._columns.text(name, self._cells)
            said = self._tier(cell) if name == "tier" else read_phrase(cell)
            if isinstance(said, str):
                self.problems.append(f"{name} {cell[:30]!r} is not understood")
            else:
                found = found | said
        spot = plain_of(self._columns.text("spot", self._cells))
        if self._columns.layout == "gpuhunt":
            found = found | Phrase(tier=Tier.SPOT if spot == "true" else Tier.ON_DEMAND)
        included = self._flag("tax_included")
        said = read_phrase(self._columns.text("tax_percent", self._cells), numbers=True)
        in_rate = said.tax if isinstance(said, Phrase) else None
        taxed = {True: Taxed.INCLUDED, False: Taxed.EXCLUDED, None: in_rate}[included]
        return found | Phrase(tax=taxed)

    def _tier(self, cell: str) -> Phrase | str:
        """A way to pay: one of ours, or a phrase; paid by the month or hour is on demand, as no term is stated."""
        word = plain_of(cell).replace(" ", "_").replace("-", "_")
        if word in TIERS:
            tier = TIERS[word]
            return Phrase(tier=tier, period=RentPeriod.PURCHASE if tier is Tier.PURCHASE else None)
        said = read_phrase(cell)
        if isinstance(said, str) or not cell:
            return said
        if said.tier is not None:
            return Phrase(tier=said.tier)
        if said.period is RentPeriod.PURCHASE:
            return Phrase(tier=Tier.PURCHASE, period=RentPeriod.PURCHASE)
        if said.period in (RentPeriod.HOUR, RentPeriod.DAY, RentPeriod.MONTH):
            self.notes.append(f"{cell} is taken as on demand: no term is stated")
            return Phrase(tier=Tier.ON_DEMAND)
        return cell

    def _money(self, column: PriceColumn, around: Phrase, known: QuoteLine) -> AmountRead | list[str]:
        assert known.gpu is not None and known.gpus_per_node is not None
        per_row = bool(self._columns.text("instance_type", self._cells)) or known.gpus_per_node == 1
        cell = self._cells[column.position]
        market = self._sources.market
        return money_of(cell, column.said, around, known.gpu, known.gpus_per_node, market, per_row=per_row)


def _count_off(name: str) -> tuple[int | None, str]:
    found = _BEFORE.search(unicodedata.normalize("NFKC", name).lower())
    return (int(found[1]), name[found.end() :]) if found else (None, name)


def _is_amount(cell: str) -> bool:
    said = read_phrase(cell, numbers=True)
    return isinstance(said, Phrase) and bool(said.numbers)
