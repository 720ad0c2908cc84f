"""Kinds of values in a problem file, and the base of its sections: strict, frozen, unknown keys refused.

A numeric key says beside its bounds what a reader calls it, in which unit and steps it reads and which way it is easier
to meet (``Number``); ``problem.figures`` derives everything else that is known about a number from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

_YES_NO = {"yes": True, "true": True, "no": False, "false": False}
_MAX = 1e12


class Looser(Enum):
    """Which values of a number ask less of a plan."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Reads(Enum):
    """How the value of a number is said."""

    COUNTED = "counted"  # with its unit behind
    SHARE = "share"  # as a percentage
    MONEY = "money"  # as an amount of the problem's currency, with the unit behind


@dataclass(frozen=True, slots=True)
class Number:
    """What is known about a numeric key beyond its bounds; stands in the annotation of its field."""

    label: str
    """As a reader calls it; ``{name}`` is the item of a list that it belongs to."""

    unit: str
    """Behind the value, in the plural: ``ms``, ``requests/s``, of money ``a month``; empty where it has none."""

    step: str
    """Natural step, as a decimal: values are told apart in it."""

    looser: Looser
    """Which way it is easier to keep."""

    axis: bool | str
    """Whether ``optimize frontier`` may vary it; a text: why not."""

    ends: tuple[float | None, float | None] = (None, None)
    """Least and most that anybody would ask for; None: the bound of the key."""

    monotone: bool = True
    """Whether the best plan never costs more at a looser value."""

    promise: bool = False
    """Whether it is a promise or limit that a way out may loosen."""

    kept: bool = False
    """Whether no way out loosens it all the same: it says from whom the buyer may buy."""

    reads: Reads = Reads.COUNTED


@dataclass(frozen=True, slots=True)
class PartOf:
    """Stands on a number that is one part of the key above it: the limit at a percentile, the mean of a length."""

    suffix: str
    """Behind the label of the key above."""


class Section(BaseModel):
    """A mapping of the problem file. A key without value (or ``null``) takes its default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def null_means_default(cls, data: Any) -> Any:
        """Drop keys without value wherever there is a default; an empty section is all defaults."""
        if data is None and all(not field.is_required() for field in cls.model_fields.values()):
            return {}
        if not isinstance(data, dict):
            return data
        fields = cls.model_fields
        return {
            key: value
            for key, value in data.items()
            if value is not None or key not in fields or fields[key].is_required()
        }


def yes_no(value: Any) -> Any:
    """A validator: yes, no, true or false in any case."""
    if isinstance(value, bool):
        return value
    word = _YES_NO.get(value.lower()) if isinstance(value, str) else None
    if word is None:
        raise PydanticCustomError("yes_no", "expected yes or no")
    return word


def _iso_date(value: str) -> str:
    try:
        if len(value) != 10:
            raise ValueError
        date.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("iso_date", "expected a day as year-month-day, such as 2026-08-03") from None
    return value


def is_currency(value: str) -> bool:
    """Whether a text has the form of an ISO 4217 code."""
    return len(value) == 3 and value.isascii() and value.isupper() and value.isalpha()


def _currency(value: str) -> str:
    if not is_currency(value):
        raise PydanticCustomError("currency", "expected a currency code of three capital letters, such as USD or CNY")
    return value


def _country(value: str) -> str:
    code = value.upper()
    if len(code) != 2 or not code.isascii() or not code.isalpha():
        raise PydanticCustomError("country", "expected a country code of two letters (ISO 3166), such as DE or CN")
    return code


def _workload_name(value: str) -> str:
    if any(char in value for char in ".[]=") or value.isdigit() or value != value.strip():
        raise PydanticCustomError(
            "workload_name", "a name may not contain . [ ] = or be a number: paths such as workloads.chat.slo use it"
        )
    return value


@dataclass(frozen=True, slots=True)
class OneOf:
    """A validator: the value is one of ``words``, or an alias of one. The JSON Schema reads the words off it."""

    words: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    refused: tuple[tuple[str, str], ...] = ()  # words that are known elsewhere, and why not here

    def __call__(self, value: Any) -> Any:
        """The word meant."""
        word = dict(self.aliases).get(value, value) if isinstance(value, str) else value
        why = dict(self.refused).get(word) if isinstance(word, str) else None
        if why is not None:
            raise PydanticCustomError("refused", "{why}", {"why": why})
        if word not in self.words:
            raise PydanticCustomError("choice", "expected one of {words}", {"words": ", ".join(self.words)})
        return word


def one_of(
    words: Iterable[str], aliases: Iterable[tuple[str, str]] = (), refused: Iterable[tuple[str, str]] = ()
) -> OneOf:
    """A validator: the value is one of ``words``, or an alias of one; ``refused`` words are told why they are not."""
    return OneOf(tuple(str(word) for word in words), tuple(aliases), tuple(refused))


def as_tuple(value: Any) -> Any:
    """A list as it is; a single value counts as a list of one."""
    return value if value is None or isinstance(value, (dict, list, tuple)) else (value,)


def unique(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Repeats dropped, first occurrence kept."""
    return tuple(dict.fromkeys(items))


_Item = TypeVar("_Item")

Listed = Annotated[tuple[_Item, ...], Field(min_length=1), BeforeValidator(as_tuple), AfterValidator(unique)]
"""A list of words or ids: never empty, as that would forbid everything; one value alone is a list of one."""

YesNo = Annotated[bool, BeforeValidator(yes_no)]
"""yes, no, true or false in any case."""

Text = Annotated[str, Field(min_length=1, max_length=500)]
Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_workload_name)]
Day = Annotated[str, AfterValidator(_iso_date)]
Currency = Annotated[str, AfterValidator(_currency)]

Country = Annotated[str, AfterValidator(_country)]
"""A country by its code of two letters (ISO 3166), in any case."""

Positive = Annotated[float, Field(gt=0, le=_MAX)]
NonNegative = Annotated[float, Field(ge=0, le=_MAX)]
Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
CountOrZero = Annotated[int, Field(ge=0, le=1_000_000_000)]

Ids = Listed[Text]
"""A list of catalog ids."""

SHARE_TOLERANCE = 0.005
"""Shares that add up to 1 but for rounding are taken in proportion."""
