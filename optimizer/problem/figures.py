"""Every number of a problem file once: where it stands, what it is called, its unit, steps, ends and direction.

A numeric key says all of that on its field in the schema (``fields.Number``, and its bounds); this module derives the
rest. Between rooms a number travels as a ``Figure``, parsed once by walking the schema: a step of a path is a key where
the schema has keys and the name of an item where it has a list, so that no name of a workload, class, period or quote
is ever taken for a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from optimizer.problem.fields import Looser, Number, PartOf, Reads
from optimizer.problem.schema import Problem, ProblemFile

__all__ = [
    "Figure",
    "Looser",
    "Number",
    "Place",
    "Reads",
    "StatedPromise",
    "all_figures",
    "figure_of",
    "figures_of",
    "place_of",
    "stated_promises",
    "value_at",
]

ITEM = "*"
"""Stands for the name or index of a list's item among the keys of a place."""

_CLASS = ("workloads", ITEM, "tokens", "classes", ITEM)
_ORDER = (
    *("slo", "traffic", "tokens", "quality"),
    *("hardware.limits", "hardware.quota", "offers", "hardware.owned", "budget", "payment", "margins"),
)
"""Sections in the order in which promises are told."""


@dataclass(frozen=True, slots=True)
class Place:
    """A path of a problem file, read by the schema."""

    path: str  # as ``--set`` takes it
    keys: tuple[str, ...]  # names of list items left out: ("workloads", "*", "slo", "ttft_ms", "p95")
    names: tuple[str, ...]  # those of the items, outermost first

    @property
    def workload(self) -> str:
        """Name of the workload that it belongs to; empty where it belongs to none."""
        return self.names[0] if self.keys[:2] == _CLASS[:2] and self.names else ""

    @property
    def length_class(self) -> str:
        """Name of the length class that it belongs to; empty where it belongs to none."""
        return self.names[1] if self.keys[:5] == _CLASS else ""

    @property
    def section(self) -> str:
        """``slo``, ``traffic``, ``tokens`` or ``quality`` of a workload; of a length class ``slo`` or ``tokens``; else
        the keys above the last one, such as ``hardware.limits``."""
        if self.keys[:5] == _CLASS:
            return "slo" if self.keys[5:6] == ("slo",) else "tokens"
        if self.keys[:2] == _CLASS[:2]:
            return self.keys[2] if len(self.keys) > 2 else ""
        return ".".join(key for key in self.keys[:-1] if key != ITEM)

    @property
    def item(self) -> str:
        """Path of the workload, quote or other item of a list that it belongs to; empty where it belongs to none."""
        if ITEM not in self.keys[:-1]:
            return ""
        return ".".join((*self.keys[: self.keys.index(ITEM)], self.names[0]))

    @property
    def key(self) -> str:
        """The last key."""
        return self.keys[-1]


@dataclass(frozen=True, slots=True)
class Figure(Place):
    """A number of a problem file."""

    number: Number
    whole: bool  # only whole numbers are taken
    least: float  # that anybody would ask for
    most: float
    nullable: bool  # ``null`` lifts it
    part: str  # p95, mean: which part of the key above it is

    @property
    def key(self) -> str:
        """The key, without the percentile or the mean: ``ttft_ms``."""
        return self.keys[-2] if self.part else self.keys[-1]

    @property
    def label(self) -> str:
        """As a reader calls it: ``TTFT p95``."""
        return self.number.label.format(name=self.names[-1] if self.names else "")

    @property
    def loosens_up(self) -> bool:
        """Whether a larger value is easier to keep."""
        return self.number.looser is Looser.UP

    @property
    def monotone(self) -> bool:
        """Whether it is known which way the best plan gets no dearer."""
        return self.number.monotone and self.number.looser is not Looser.UNKNOWN

    @property
    def is_promise(self) -> bool:
        """Whether it is a latency, or the speed that is one told the other way round."""
        return self.section == "slo" and self.key != "percentile"

    @property
    def is_speed(self) -> bool:
        """Whether it is told as tokens per second and kept as a time per token."""
        return self.section == "slo" and self.key == "tokens_per_second_per_user"

    def taken(self, value: float) -> int | float:
        """A value as the key takes it: a whole number where it must be one, or is one."""
        return int(value) if self.whole or value == int(value) else value


@dataclass(frozen=True, slots=True)
class StatedPromise:
    """A number in the problem that a plan has to keep, and that could be relaxed."""

    figure: Figure
    value: float

    @property
    def path(self) -> str:
        """Where it stands."""
        return self.figure.path

    @property
    def loosens_up(self) -> bool:
        """Whether a larger value is easier to meet."""
        return self.figure.loosens_up


@dataclass(frozen=True)
class _SchemaNode:
    """One key of the schema, or the items of a list."""

    number: Number | None = None
    whole: bool = False
    bounds: tuple[Any, ...] = ()
    nullable: bool = False
    is_part: bool = False
    children: Mapping[str, _SchemaNode] = field(default_factory=dict)
    items: _SchemaNode | None = None
    free: str = ""  # the field whose keys stand beside those with names: currencies of exchange rates

    def figure(self, place: Place) -> Figure:
        """The number at a place."""
        number = self.number
        assert number is not None
        step = float(number.step)
        low = next((float(b.ge) for b in self.bounds if isinstance(b, Ge)), step)  # type: ignore[arg-type]
        high = next((float(b.le) for b in self.bounds if isinstance(b, Le)), 0.0)  # type: ignore[arg-type]
        high = next((float(b.lt) - step for b in self.bounds if isinstance(b, Lt)), high)  # type: ignore[arg-type]
        ends = (low if number.ends[0] is None else number.ends[0], high if number.ends[1] is None else number.ends[1])
        part = place.keys[-1] if self.is_part else ""
        return Figure(place.path, place.keys, place.names, number, self.whole, *ends, self.nullable, part)


@cache
def place_of(path: str) -> Place:
    """A path read by the schema; steps that it does not know stand as they are."""
    steps = tuple(path.split("."))
    keys, names, node = _read(_schema(), steps) or _read(_schema(), steps, in_part=True) or (steps, (), None)
    place = Place(path, keys, names)
    return place if node is None or node.number is None else node.figure(place)


_Read = tuple[tuple[str, ...], tuple[str, ...], "_SchemaNode | None"]


def _read(node: _SchemaNode, steps: tuple[str, ...], *, in_part: bool = False) -> _Read | None:
    """Keys, names of items and what stands there; None where the schema does not know some step.

    The name of an item ends where all that follows are keys. ``in_part``: steps behind the last known key stand as
    they are.
    """
    if not steps:
        return (), (), node
    if steps[0] in node.children:
        found = _read(node.children[steps[0]], steps[1:], in_part=in_part)
        return None if found is None else ((steps[0], *found[0]), *found[1:])
    if node.items is not None:
        for length in range(1, 2 if in_part else len(steps) + 1):
            found = _read(node.items, steps[length:], in_part=in_part)
            if found is not None:
                return (ITEM, *found[0]), (".".join(steps[:length]), *found[1]), found[2]
    return (steps, (), None) if in_part else None


def figure_of(path: str) -> Figure:
    """The number at a path. KeyError where the schema has none there."""
    found = place_of(path)
    if isinstance(found, Figure):
        return found
    raise KeyError(f"{path}: no number of a problem file")


def all_figures() -> tuple[Figure, ...]:
    """Every number of the schema, items of lists as ``*``."""

    def below(node: _SchemaNode, keys: tuple[str, ...]) -> Iterator[Figure]:
        if node.number is not None:
            names = tuple(ITEM for key in keys if key == ITEM)
            yield node.figure(Place(".".join(keys), keys, names))
        for key, child in node.children.items():
            yield from below(child, (*keys, key))
        if node.items is not None:
            yield from below(node.items, (*keys, ITEM))

    return tuple(below(_schema(), ()))


def figures_of(problem: Problem) -> Iterator[tuple[Figure, float | None]]:
    """Every number that a problem states or could state beside what it states, in the order of the schema."""
    yield from _figures(_schema(), problem, ())


def _figures(node: _SchemaNode, value: object, steps: tuple[str, ...]) -> Iterator[tuple[Figure, float | None]]:
    if node.number is not None and not isinstance(value, BaseModel):
        number = value if isinstance(value, (int, float)) else None
        yield figure_of(".".join(steps)), number
        return
    for key, child in node.children.items():
        yield from _figures(child, getattr(value, key, None), (*steps, key))
    if node.items is not None:
        inside = getattr(value, node.free, None) if node.free else value
        for step, item in _items(inside):
            yield from _figures(node.items, item, (*steps, step))


def _items(value: object) -> Iterator[tuple[str, object]]:
    """Items of a list as a path names them: by name or id, else by index."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            name = getattr(item, "name", None) or getattr(item, "id", None)
            plain = isinstance(name, str) and name == name.strip() and not set(name) & set(".=")
            yield (str(name) if plain else str(index)), item


def stated_promises(problem: Problem) -> tuple[StatedPromise, ...]:
    """Every promise and limit that the problem states as a number, workload by workload, then those over all."""
    found = [
        StatedPromise(figure, value)
        for figure, value in figures_of(problem)
        if figure.number.promise and value is not None and _binds(problem, figure, value)
    ]
    names = [workload.name for workload in problem.workloads]
    return tuple(sorted(found, key=lambda one: _told(one.figure, names)))


def _binds(problem: Problem, figure: Figure, value: float) -> bool:
    """Own nodes limit a plan only where it may have no others; a floor of nothing is none, nor is an order of one."""
    if figure.section == "hardware.owned":
        return problem.hardware.only_owned
    if figure.section == "offers" and not figure.loosens_up:
        return value > figure.least
    return figure.loosens_up or value != 0


def _told(figure: Figure, names: list[str]) -> tuple[int, int]:
    rank = _ORDER.index(figure.section) if figure.section in _ORDER else len(_ORDER)
    return (names.index(figure.workload) if figure.workload else len(names), rank)


def value_at(problem: Problem, path: str) -> object:
    """The value at a path; list items by name, id or index. KeyError where there is none."""
    value: object = problem
    for key in path.split("."):
        value = _step(value, key, path)
    return value


def _step(value: object, key: str, path: str) -> object:
    if isinstance(value, BaseModel) and key in type(value).model_fields:
        return getattr(value, key)
    if isinstance(value, tuple):
        for item in value:
            if key in (getattr(item, "name", None), getattr(item, "id", None)):
                return item
        if key.isdigit() and int(key) < len(value):
            return value[int(key)]
    raise KeyError(f"{path}: nothing at {key!r}")


@cache
def _schema() -> _SchemaNode:
    return _section(ProblemFile, None)


def _section(model: type[BaseModel], above: Number | None) -> _SchemaNode:
    children = {name: _field(info.annotation, tuple(info.metadata), above) for name, info in model.model_fields.items()}
    free = next((name for name, child in children.items() if child.free == ITEM), "")
    if free:
        return _SchemaNode(children=children, items=children.pop(free).items, free=free)
    return _SchemaNode(children=children)


def _field(annotation: Any, metadata: tuple[Any, ...], above: Number | None) -> _SchemaNode:
    """The node of an annotation: a number, a section, a list or mapping of either, or a choice of those."""
    inside = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    number = next((one for one in (*metadata, *inside) if isinstance(one, Number)), None)
    part = next((one for one in metadata if isinstance(one, PartOf)), None)
    if part is not None and above is not None:
        number = replace(above, label=above.label + part.suffix)
    node = _SchemaNode(is_part=part is not None)
    for kind, bounds in _variants(annotation, metadata):
        origin = get_origin(kind)
        if kind is type(None):
            node = replace(node, nullable=True)
        elif kind in (int, float):
            node = replace(node, number=number, whole=kind is int, bounds=bounds)
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            inner = _section(kind, number)
            node = replace(node, children=inner.children, items=inner.items, free=inner.free)
        elif origin is tuple:
            items = _field(get_args(kind)[0], (), None)
            node = replace(node, items=items if items.children or items.items else node.items)
        elif origin is dict:
            node = replace(node, items=_field(get_args(kind)[1], (), None), free=ITEM)
    return node


def _variants(annotation: Any, bounds: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """What an annotation may be, each with the bounds that stand on it."""
    if get_origin(annotation) is Annotated:
        inner, *stated = get_args(annotation)
        more = [one for each in stated for one in (each.metadata if isinstance(each, FieldInfo) else [each])]
        yield from _variants(inner, (*more, *bounds))
    elif get_origin(annotation) in (Union, UnionType):
        for argument in get_args(annotation):
            yield from _variants(argument, bounds)
    else:
        yield annotation, bounds
