"""Frozen values as JSON and back, whole: by the fields and types that their classes declare, so that a field more
travels without an edit here.

What JSON cannot say is wrapped: a number that is none (``{"float": "nan"}``), and where a field may hold anything, a
tuple (``{"tuple": [..]}``) or keys with values (``{"keys": {..}}``). A field that has its default is left out. An
object of a class derived from the declared one says so (``{"is": "Optimal", ..}``).
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from datetime import date
from enum import Enum
from functools import cache
from typing import Any, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Json: TypeAlias = Any
"""Nested dicts, lists and scalars."""

_IS, _FLOAT, _TUPLE, _KEYS = "is", "float", "tuple", "keys"


@dataclass(frozen=True, slots=True)
class Reference:
    """How values of one class travel by name: what is written of one, and which one that was."""

    write: Callable[[Any], Json]
    read: Callable[[Json], Any]


References: TypeAlias = Mapping[type, Reference]
NO_REFERENCES: References = {}


class NotCarriedError(ValueError):
    """What was read is not what was written: the message says where and why."""


def encode(value: object, declared: Any = object, references: References = NO_REFERENCES) -> Json:
    """A value as JSON. ``declared`` is its type as ``decode`` will be told it."""
    if isinstance(value, (Enum, date)):
        return value.value if isinstance(value, Enum) else value.isoformat()
    if value is None or isinstance(value, (bool, int, float, str)):
        return {_FLOAT: repr(value)} if isinstance(value, float) and not math.isfinite(value) else value
    if type(value) in references:
        return references[type(value)].write(value)
    declared = _arm(value, declared)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value, declared, references)
    return _several(value, get_args(declared), references)


def _several(value: object, inner: tuple[Any, ...], references: References) -> Json:
    if isinstance(value, Mapping):
        of = inner[1] if inner else object
        found = {str(key): encode(item, of, references) for key, item in value.items()}
        return found if inner else {_KEYS: found}
    if isinstance(value, (tuple, list, frozenset)):
        items = sorted(value) if isinstance(value, frozenset) else value
        listed = [encode(item, _item(inner, index), references) for index, item in enumerate(items)]
        return listed if inner or isinstance(value, list) else {_TUPLE: listed}
    raise TypeError(f"{type(value).__name__} cannot be carried")


def decode(data: Json, declared: type[T], references: References = NO_REFERENCES, path: str = "") -> T:
    """The value again. Raises ``NotCarriedError`` where the data is nothing that ``encode`` writes for that type."""
    found: T = _decoded(data, declared, references, path)
    return found


def _fields(value: Any, declared: Any, references: References) -> dict[str, Json]:
    kind: Any = type(value)
    found: dict[str, Json] = {} if kind is declared else {_IS: kind.__name__}
    hints = _hints(kind)
    for field in _made_of(kind).values():
        stated = getattr(value, field.name)
        if not _is_default(stated, field):
            found[field.name] = encode(stated, hints[field.name], references)
    return found


def _is_default(value: object, field: dataclasses.Field[Any]) -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return default is not MISSING and type(value) is type(default) and value == default


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _made_of(kind: type) -> dict[str, dataclasses.Field[Any]]:
    """The fields that an object of a class is made with."""
    return {field.name: field for field in dataclasses.fields(kind) if field.init}


@cache
def _needed(kind: type) -> frozenset[str]:
    """Those of them that have no default."""
    fields = _made_of(kind).values()
    return frozenset(one.name for one in fields if one.default is MISSING and one.default_factory is MISSING)


def _arm(value: object, declared: Any) -> Any:
    """Of several types that a field may have, the one that a value is of."""
    for one in _arms(declared):
        origin = _origin(one)
        if isinstance(origin, type) and origin is not object and isinstance(value, origin):
            return one
    return object


@cache
def _origin(declared: Any) -> Any:
    """``tuple`` of ``tuple[int, ...]``; a plain type is its own."""
    return get_origin(declared) or declared


@cache
def _arms(declared: Any) -> tuple[Any, ...]:
    return get_args(declared) if get_origin(declared) in (Union, types.UnionType) else (declared,)


def _item(inner: tuple[Any, ...], index: int) -> Any:
    """The type of an item of a tuple, list or set with those type arguments."""
    if not inner:
        return object
    return inner[0] if len(inner) == 1 or inner[1] is Ellipsis else inner[index]


def _decoded(data: Json, declared: Any, references: References, path: str) -> Any:
    one = next((one for one in _arms(declared) if _suits(data, one, references)), MISSING)
    if one is MISSING:
        raise NotCarriedError(f"{path or 'the value'} is {_told(data)}, which was never written there")
    origin = _origin(one)
    if one in references:
        return references[one].read(data)
    if origin in (object, Any):
        return _anything(data, references, path)
    if isinstance(data, dict):
        return _keyed(data, one, references, path)
    if isinstance(data, list):
        return _listed(data, one, references, path)
    return _scalar(data, origin, path)


def _scalar(data: Json, origin: Any, path: str) -> Any:
    if not isinstance(data, str) or origin is str:
        return data
    try:
        return origin(data) if issubclass(origin, Enum) else origin.fromisoformat(data)
    except ValueError as error:
        raise NotCarriedError(f"{path} is {_told(data)}: {error}") from error


def _listed(data: list[Json], declared: Any, references: References, path: str) -> Any:
    origin, inner = _origin(declared), get_args(declared)
    if len(inner) > 1 and inner[1] is not Ellipsis and len(inner) != len(data):
        raise NotCarriedError(f"{path} has {len(data)} items, not {len(inner)}")
    items = [_decoded(item, _item(inner, at), references, f"{path}[{at}]") for at, item in enumerate(data)]
    return origin(items) if origin in (list, frozenset) else tuple(items)


def _keyed(data: dict[str, Json], declared: Any, references: References, path: str) -> Any:
    origin, inner = _origin(declared), get_args(declared)
    if origin is float:
        return _number(data[_FLOAT], path)
    if dataclasses.is_dataclass(origin):
        return _object(data, origin, references, path)
    of = inner[1] if inner else object
    return {key: _decoded(item, of, references, f"{path}.{key}") for key, item in data.items()}


def _number(word: Json, path: str) -> float:
    if word not in ("nan", "inf", "-inf"):
        raise NotCarriedError(f"{path} is {_told(word)}, which is no number")
    return float(word)


def _suits(data: Json, declared: Any, references: References) -> bool:
    """Whether JSON of this shape is written for a value of that type."""
    if declared in references:
        return True
    if isinstance(data, dict) and set(data) == {_FLOAT} and _origin(declared) is float:
        return True
    kind: type = type(data)
    return _is_written_for(kind, declared)


@cache
def _is_written_for(kind: type, declared: Any) -> bool:
    """Whether JSON of this kind is."""
    origin = _origin(declared)
    if origin in (object, Any) or (kind is dict and dataclasses.is_dataclass(origin)):
        return True
    return isinstance(origin, type) and issubclass(origin, _WRITTEN_FOR[kind]) and (origin, kind) not in _NOT


_WRITTEN_FOR: Mapping[type, tuple[type, ...]] = {
    type(None): (type(None),),
    bool: (bool, int),
    int: (int, float),
    float: (float,),
    str: (str, Enum, date),
    list: (tuple, list, frozenset, Sequence),
    dict: (Mapping,),
}
"""By the kind of JSON: what a value of that kind was."""

_NOT = frozenset({(bool, int), (str, list)})
"""Kinds that Python counts among others and JSON does not."""


def _object(data: dict[str, Json], declared: Any, references: References, path: str) -> Any:
    kind = declared
    if _IS in data:
        # a class with slots is made twice, and the first one is still listed
        kind = next((one for one in reversed(declared.__subclasses__()) if one.__name__ == data[_IS]), None)
        if kind is None:
            raise NotCarriedError(f"{path or 'the value'} is no {data[_IS]!r}")
    hints, fields = _hints(kind), _made_of(kind)
    if unknown := sorted(data.keys() - fields.keys() - {_IS}):
        raise NotCarriedError(f"{path or 'the value'} has keys that {kind.__name__} has not: {', '.join(unknown)}")
    if missing := [name for name in fields if name in _needed(kind) and name not in data]:
        raise NotCarriedError(f"{path or 'the value'} lacks {', '.join(missing)}")
    values = {
        name: _decoded(data[name], hints[name], references, f"{path}.{name}".lstrip("."))
        for name in fields
        if name in data
    }
    return kind(**values)


def _anything(data: Json, references: References, path: str) -> object:
    if isinstance(data, list):
        return [_anything(item, references, path) for item in data]
    if not isinstance(data, dict):
        return data
    if set(data) == {_FLOAT}:
        return _number(data[_FLOAT], path)
    if set(data) == {_TUPLE}:
        return tuple(_anything(item, references, path) for item in data[_TUPLE])
    if set(data) == {_KEYS}:
        return {key: _anything(item, references, path) for key, item in data[_KEYS].items()}
    raise NotCarriedError(f"{path} holds keys that were never written there: {', '.join(sorted(data))}")


def _told(data: Json) -> str:
    text = repr(data)
    return text if len(text) < 60 else f"{text[:57]}..."
