"""Frozen values come back from JSON as they were, by their types alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

import pytest

from optimizer.plan.carried import NotCarriedError, Reference, decode, encode


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Inner:
    size: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class Whole:
    inner: Inner | None
    many: tuple[Inner, ...]
    pair: tuple[str, int]
    anything: object
    colour: Colour | None = None
    words: Mapping[str, float] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    day: date | None = None
    number: int | float | str = 0
    on: bool = False


@dataclass(frozen=True, slots=True)
class Derived(Whole):
    more: int = 0


def there_and_back(value: object, declared: type) -> object:
    return decode(json.loads(json.dumps(encode(value, declared))), declared)


WHOLE = Whole(
    Inner(0.1 + 0.2, "x"),
    (Inner(1.0), Inner(-0.0)),
    ("a", 3),
    {"list": [1, 2.5, None, True], "tuple": (1, ("b",)), "inner": {"float": 1.0}},
    Colour.RED,
    {"a": 1e-300},
    frozenset({"z", "a"}),
    date(2026, 11, 30),
    "12",
    True,
)


@pytest.mark.parametrize("number", [1, 1.0, "1", 0, 2**70, 1e308, "nan"])
def test_a_number_or_word_keeps_its_kind(number: float | str) -> None:
    back = there_and_back(Whole(None, (), ("", 0), None, number=number), Whole)
    assert isinstance(back, Whole)
    assert back.number == number
    assert type(back.number) is type(number)


def test_everything_comes_back() -> None:
    assert there_and_back(WHOLE, Whole) == WHOLE


def test_a_derived_object_comes_back_as_such() -> None:
    value = Derived(None, (), ("", 0), None, more=7)
    back = there_and_back(value, Whole)
    assert back == value
    assert type(back) is Derived


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_comes_back(number: float) -> None:
    text = json.dumps(encode(Inner(number), Inner), allow_nan=False)
    back = decode(json.loads(text), Inner)
    assert repr(back.size) == repr(number)


def test_defaults_are_left_out() -> None:
    assert encode(Inner(1.0), Inner) == {"size": 1.0}


def test_what_travels_by_name_is_looked_up() -> None:
    known = {"big": Inner(9.0, "big")}
    by_name: dict[type, Reference] = {Inner: Reference(lambda one: one.name, known.__getitem__)}
    value = Whole(known["big"], (known["big"],), ("", 0), None)
    assert encode(value, Whole, by_name)["inner"] == "big"
    assert decode(encode(value, Whole, by_name), Whole, by_name) == value


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"size": "1"}, "size is '1'"),
        ({"size": True}, "size is True"),
        ({"size": {"float": "1.5"}}, "no number"),
        ({}, "lacks size"),
        ({"size": 1.0, "sise": 2}, "keys that Inner has not: sise"),
        ({"is": "Whole", "size": 1.0}, "no 'Whole'"),
        ([], "the value is []"),
    ],
)
def test_what_was_never_written_is_refused(data: object, says: str) -> None:
    with pytest.raises(NotCarriedError, match=says.replace("[", r"\[").replace("]", r"\]")):
        decode(data, Inner)


def test_a_pair_has_two_items_and_a_colour_its_word() -> None:
    data = encode(WHOLE, Whole)
    with pytest.raises(NotCarriedError, match="pair has 3 items, not 2"):
        decode({**data, "pair": ["a", 3, 4]}, Whole)
    with pytest.raises(NotCarriedError, match="colour is 'blue'"):
        decode({**data, "colour": "blue"}, Whole)
