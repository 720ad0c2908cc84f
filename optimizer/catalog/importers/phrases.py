"""What the words around an amount say: ``元/台/月``, ``per GPU hour``, ``含税单价（万元/月/台）``, ``USD/hr``.

A phrase is read whole or not at all: every word of it must be known, so that no word that would change the meaning is
passed over.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from optimizer.vocabulary import Tier


class RentPeriod(StrEnum):
    """What a rent is for."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    PURCHASE = "purchase"  # paid once


class Per(StrEnum):
    """Whether an amount is for one card or for the whole node."""

    GPU = "gpu"
    NODE = "node"


class Taxed(StrEnum):
    """Whether tax is in an amount."""

    INCLUDED = "included"
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True)
class Phrase:
    """What was said; None: not said. ``generic`` currencies are ``$`` and ``¥``, which several countries write."""

    currency: str | None = None
    scale: float | None = None
    per: Per | None = None
    period: RentPeriod | None = None
    tier: Tier | None = None
    tax: Taxed | None = None
    numbers: tuple[str, ...] = ()
    is_price: bool = False  # a word such as price, rent, 单价 stands in it
    marked: bool = False  # the currency is a sign or word of its own in the phrase

    def __or__(self, other: Phrase) -> Phrase:
        """Both phrases together, what this one says first."""
        return Phrase(
            self.currency or other.currency,
            self.scale if self.scale is not None else other.scale,
            self.per or other.per,
            self.period or other.period,
            self.tier or other.tier,
            self.tax or other.tax,
            self.numbers + other.numbers,
            self.is_price or other.is_price,
            self.marked or other.marked,
        )


GENERIC: Mapping[str, frozenset[str]] = {
    "$": frozenset({"USD", "CAD", "AUD", "HKD", "SGD", "NZD", "TWD"}),
    "¥": frozenset({"CNY", "JPY"}),
}
"""Signs that several currencies share; alone they mean the first one here."""

SIGN_ALONE: Mapping[str, str] = {"$": "USD", "¥": "CNY"}

_WORDS: dict[str, Phrase] = {}


def _words(text: str, phrase: Phrase) -> None:
    for word in text.split():
        _WORDS[word.replace("_", " ")] = phrase


_words("price prices rate rates cost costs amount fee fees quote quotation rent rental charge", Phrase(is_price=True))
_words("单价 价格 报价 租金 租价 金额 费用 售价 总价 价 报价单价 单台价 裸价 租赁价格 租赁费", Phrase(is_price=True))
_words("unit list net_price", Phrase())
_words("per each a an the of for in 每 的 / 单 按 计 人 with", Phrase())
_words("hour hours hr hrs h hourly 小时 时 钟头", Phrase(period=RentPeriod.HOUR))
_words("day days daily 天 日", Phrase(period=RentPeriod.DAY))
_words("month months monthly mo mth 月 月付 包月 个月", Phrase(period=RentPeriod.MONTH))
_words("year years yearly annual annually annum yr yrs 年 年付", Phrase(period=RentPeriod.YEAR))
_words("once purchase buy capex outright one-time one_time onetime", Phrase(period=RentPeriod.PURCHASE))
_words("一次性 采购 购买 买断", Phrase(period=RentPeriod.PURCHASE))
_words("采购价 售价 purchase_price", Phrase(period=RentPeriod.PURCHASE, is_price=True))
_words("月租 月租金 月租费 月价", Phrase(period=RentPeriod.MONTH, is_price=True))
_words("年租 年租金 年价", Phrase(period=RentPeriod.YEAR, is_price=True))
_words("时租 时价", Phrase(period=RentPeriod.HOUR, is_price=True))
_words("gpu gpus card cards accelerator accelerators chip chips 卡 张 块 片 单卡 显卡", Phrase(per=Per.GPU))
_words("node nodes server servers machine machines instance instances vm box host system", Phrase(per=Per.NODE))
_words("台 机 服务器 整机 节点 机器 实例 单机 单台 套", Phrase(per=Per.NODE))
_words("usd us$ dollar dollars 美元 美金", Phrase(currency="USD", marked=True))
_words("cny rmb cnh yuan 元 人民币", Phrase(currency="CNY", marked=True))
_words("eur euro euros € 欧元", Phrase(currency="EUR", marked=True))
_words("gbp £ 英镑", Phrase(currency="GBP", marked=True))
_words("hkd hk$ 港币 港元", Phrase(currency="HKD", marked=True))
_words("jpy 円 日元 yen", Phrase(currency="JPY", marked=True))
_words("sgd s$ 新加坡元 新元", Phrase(currency="SGD", marked=True))
_words("cad c$ ca$", Phrase(currency="CAD", marked=True))
_words("aud a$ au$", Phrase(currency="AUD", marked=True))
_words("inr ₹", Phrase(currency="INR", marked=True))
_words("krw ₩ 韩元", Phrase(currency="KRW", marked=True))
_words("twd nt$ 新台币", Phrase(currency="TWD", marked=True))
_words("chf", Phrase(currency="CHF", marked=True))
_words("$", Phrase(currency="$", marked=True))
_words("¥", Phrase(currency="¥", marked=True))
_words("万", Phrase(scale=1e4))
_words("千 k", Phrase(scale=1e3))
_words("百万 million", Phrase(scale=1e6))
_words(
    "含税 含增值税 税后 including_tax incl_tax incl._tax tax_included incl_vat incl._vat including_vat vat_included"
    " inc_vat inc_tax inc._vat gross",
    Phrase(tax=Taxed.INCLUDED),
)
_words(
    "不含税 未税 不含增值税 税前 未含税 excluding_tax excl_tax excl._tax ex_tax ex_vat excl_vat excl._vat excluding_vat"
    " before_tax net pre-tax",
    Phrase(tax=Taxed.EXCLUDED),
)
_words("含税价 含税价格 价税合计 含税单价", Phrase(tax=Taxed.INCLUDED, is_price=True))
_words("不含税价 未税价 未税单价 不含税单价", Phrase(tax=Taxed.EXCLUDED, is_price=True))
_words("on-demand on_demand ondemand 按需 按量 按量付费 pay-as-you-go payg", Phrase(tier=Tier.ON_DEMAND))
_words("spot preemptible 竞价 抢占式 抢占", Phrase(tier=Tier.SPOT))
_words(
    "reserved_1y 1y_reserved 1-year_reserved 1_year_reserved 1yr_reserved reserved_1yr reserved_1_year 1-yr_reserved"
    " 包年 reserved_(1y) 一年期 1年期 包年_1年 1_year 1-year 1y one-year one_year 12_months 12-month 1yr 12个月"
    " 一年 1年 1-year_commitment 1_year_commitment reserved_12_months",
    Phrase(tier=Tier.RESERVED_1Y),
)
_words(
    "reserved_3y 3y_reserved 3-year_reserved 3_year_reserved 3yr_reserved reserved_3yr reserved_3_years reserved_3_year"
    " 三年期 3年期 3_years 3-year 3y three-year three_years 36_months 36-month 3yr 36个月 三年 3年 3-year_commitment"
    " 包三年",
    Phrase(tier=Tier.RESERVED_3Y),
)

_CJK = re.compile(r"[\u3400-\u9fff]")
_NUMBER = re.compile(r"\d[\d.,]*(?:\s\d{3}(?!\d))*")
_SKIPPED = re.compile(r"[\s()\[\]{}:：/·*,\-_.+]+")
_LATIN = re.compile(r"[a-z]")


@lru_cache(maxsize=1)
def _by_length() -> tuple[str, ...]:
    return tuple(sorted(_WORDS, key=len, reverse=True))


def plain_of(text: str) -> str:
    """Full-width forms as the plain ones, lower case, one blank between words."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def read_phrase(text: str, *, numbers: bool = False) -> Phrase | str:
    """What a phrase says, or its first part that nobody knows. ``numbers``: figures may stand in it."""
    found = Phrase()
    for part in _parts(plain_of(text), numbers):
        if isinstance(part, str):
            return part
        clash = _clash(found, part)
        if clash:
            return clash
        found = found | part
    return found


def _clash(found: Phrase, part: Phrase) -> str:
    """Two words that say different things about the same."""
    for name in ("currency", "scale", "per", "period", "tier", "tax"):
        one, other = getattr(found, name), getattr(part, name)
        if one is not None and other is not None and one != other and not same_currency(name, one, other):
            return f"{one} and {other}"
    return ""


def same_currency(name: str, one: object, other: object) -> bool:
    """Whether a shared sign and a currency go together: ``$`` and CAD."""
    if name != "currency":
        return False
    return other in GENERIC.get(str(one), ()) or one in GENERIC.get(str(other), ())


def _parts(text: str, numbers: bool) -> Iterator[Phrase | str]:
    at = 0
    while at < len(text):
        skipped = _SKIPPED.match(text, at)
        if skipped:
            at = skipped.end()
            continue
        word = _word_at(text, at)
        if word is not None:
            yield _WORDS[word]
            at += len(word)
            continue
        number = _NUMBER.match(text, at)
        if number and numbers:
            yield Phrase(numbers=(number[0].rstrip(".,"),))
            at = number.end()
            continue
        yield text[at : at + 20]
        return


def _word_at(text: str, at: int) -> str | None:
    """The longest known word here; one of Latin letters ends where no letter or digit follows."""
    for word in _by_length():
        if not text.startswith(word, at):
            continue
        end = at + len(word)
        after, before = text[end : end + 1], text[at - 1 : at]
        if _LATIN.match(word[-1]) and after and (after.isascii() and after.isalnum()):
            continue
        if _LATIN.match(word[0]) and before and before.isascii() and before.isalpha():
            continue
        if word[0].isdigit() and before and (before.isdigit() or before in ".,"):
            continue
        return word
    return None


def amount_of(number: str) -> float | None:
    """A figure with separators: ``72,000``, ``1.243.000,50``, ``49.24``, ``23,80``; None where it may be either."""
    compact = number.replace(" ", "")
    dots, commas = compact.count("."), compact.count(",")
    if dots and commas:
        decimal = max(compact.rfind("."), compact.rfind(","))
        sign = compact[decimal]
        if compact.count(sign) > 1:
            return None
        whole, rest = compact[:decimal], compact[decimal + 1 :]
        return _grouped(whole, "," if sign == "." else ".", rest)
    if commas:
        head, *groups = compact.split(",")
        if all(len(group) == 3 for group in groups) and 1 <= len(head) <= 3 and head != "0":
            return _figure("".join((head, *groups)), "")
        return _figure(head, groups[0]) if len(groups) == 1 and len(groups[0]) in (1, 2) else None
    if dots > 1:
        return _grouped(compact, ".", "")
    whole, _, rest = compact.partition(".")
    return _figure(whole, rest)


def _grouped(whole: str, separator: str, rest: str) -> float | None:
    head, *groups = whole.split(separator)
    if not 1 <= len(head) <= 3 or any(len(group) != 3 for group in groups):
        return None
    return _figure("".join((head, *groups)), rest)


def _figure(whole: str, rest: str) -> float | None:
    if not whole.isdecimal() or (rest and not rest.isdecimal()) or len(whole) > 15:
        return None
    return float(f"{whole}.{rest or 0}")
