"""pydantic's errors as findings: where in the file, what is wrong, the value and unit seen, how to mend it.

Which keys stand where: the schema seen as a tree, for suggestions and for the reference documentation.

What a check across keys reports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from optimizer.errors import Finding
from optimizer.files.nodes import (
    Key,
    MappingEntry,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    SourcePlace,
    child,
    shorten,
)
from optimizer.files.text_file import did_you_mean, suggest
from optimizer.files.yaml_syntax import describe, has_fullwidth, to_ascii
from optimizer.problem.fields import Section
from optimizer.problem.figures import Figure, Reads, figure_of
from optimizer.problem.schema import Fx, ProblemFile

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


Path = tuple[Key, ...]

_IN_WORDS = {"ms": "milliseconds", "s": "seconds", "%": "percent", "tokens/s": "tokens per second"}
"""Units that a reader of an error sees spelt out; so are those per second."""

_NUMBER = re.compile(r"\s*([-+]?[0-9][0-9.,_ ]*)\s*(\D*?)\s*")
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
_NEEDS_NUMBER = frozenset({"float_type", "int_type", "float_parsing", "int_parsing", "int_from_float", "finite_number"})
_NEEDS_KEYS = frozenset({"model_type", "model_attributes_type", "dict_type", "dict_attributes_type"})
_VARIANTS = frozenset({"number", "mapping", "list", "rates"})
"""Steps of a pydantic location that name a variant of a value, not a key."""

_NOT_MODELLED = {
    "compaction": "contexts that are replaced by a summary are not modelled; a session ends at tokens.context_max",
    "host_kv_share": "under kv_tiers three quarters of a node's memory less 64 GiB are taken, which cannot be stated",
    "remote_kv_gib": "KV cache in a remote store is not modelled; hits are those of cards and host (kv_tiers)",
}
"""Keys that a reader of the literature would look for: said plainly, never ignored."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A finding with the path it is about.

    ``path`` is what has to go for the rest to be checked, ``location`` where the error is (of a missing key: where it
    would be), ``explains`` the keys that are missing because of it.
    """

    path: Path
    location: Path
    finding: Finding
    kind: str
    explains: tuple[Path, ...] = ()


def unit_of(path: Path) -> str:
    """The unit of the value at a path, in words; empty where it has none."""
    figure = _figure(path)
    if figure is None or figure.number.reads is Reads.SHARE:
        return ""
    unit = _IN_WORDS.get(figure.number.unit, figure.number.unit.replace("/s", " per second"))
    return f"money {unit}" if figure.number.reads is Reads.MONEY else unit


def _figure(path: Path) -> Figure | None:
    try:
        return figure_of(dotted(path))
    except KeyError:
        return None


def dotted(path: Path) -> str:
    """A path as users write it; items of a list by index."""
    return ".".join(str(key) for key in path)


def resolve_path(root: Node, location: tuple[Key, ...]) -> Path:
    """The part of a pydantic location that exists in the document; names of variants are left out."""
    path: list[Key] = []
    node: Node = root
    for key in location:
        inner = child(node, key)
        if inner is not None:
            path.append(key)
            node = inner
    return tuple(path)


def node_at(root: Node, path: Path) -> Node | None:
    """The value at a path, or None."""
    node: Node | None = root
    for key in path:
        node = child(node, key) if node is not None else None
    return node


def entry_at(root: Node, path: Path) -> MappingEntry | None:
    """The key and value at a path that ends in a key, or None."""
    parent = node_at(root, path[:-1]) if path else None
    return parent.get(path[-1]) if isinstance(parent, MappingNode) and isinstance(path[-1], str) else None


def place_of(root: Node, path: Path) -> SourcePlace:
    """Where a value stands: itself, its key where it is a collection, or the nearest thing around it."""
    for length in range(len(path), 0, -1):
        entry = entry_at(root, path[:length])
        node = node_at(root, path[:length])
        if node is None:
            continue
        if length < len(path) or not isinstance(node, ScalarNode) or not node.raw:
            return entry.place if entry else node.place
        return node.place
    return root.place


def defect_of(error: ErrorDetails, root: Node) -> Defect:
    """One pydantic error as a finding in the document."""
    keys = error["loc"]
    last = len(keys) - 1 if error["type"] == "extra_forbidden" else None  # an unknown key may be called like a variant
    location = tuple(key for number, key in enumerate(keys) if key not in _VARIANTS or number == last)
    if error["type"] == "missing":
        path = resolve_path(root, location[:-1])
        return Defect(path, location, _missing(root, path, str(location[-1])), "missing")
    path = resolve_path(root, location)
    if error["type"] == "extra_forbidden":
        return _unknown_key(root, path)
    message, hint = _value_problem(error["type"], error.get("ctx", {}), str(error["msg"]), path, node_at(root, path))
    return Defect(path, location, place_of(root, path).finding(message, hint), error["type"])


def _missing(root: Node, path: Path, key: str) -> Finding:
    where = dotted(path) or "the file"
    section = section_at(path)
    field = section.model_fields.get(key) if section else None
    example = {"input": "input: 1024", "output": "output: 300", "context_max": "context_max: 8192"}.get(
        key, f"{key}: ..."
    )
    hint = f"add {example}" if field is not None else None
    return place_of(root, path).finding(f"the key {key!r} is missing in {where}", hint)


def _unknown_key(root: Node, path: Path) -> Defect:
    entry = entry_at(root, path)
    place = entry.place if entry else place_of(root, path)
    key, parent = str(path[-1]), path[:-1]
    section = section_at(parent)
    keys = keys_of(section) if section else ()
    where = dotted(parent)
    message = f"unknown key {shorten(key)!r}" + (f" in {where}" if where else "")
    near, homes = next(iter(suggest(to_ascii(key), keys, 1)), None), homes_of(key)
    below = [home for home in homes if home.startswith(f"{_schema_path(parent)}.".lstrip("."))]
    if has_fullwidth(key):
        hint = describe(key)
    elif key in _NOT_MODELLED:
        return Defect(path, path, place.finding(f"{message}: {_NOT_MODELLED[key]}"), "extra_forbidden")
    elif below or (homes and not near):
        hint = f"it belongs under {' or '.join(home or 'the top level' for home in (below or homes)[:3])}"
    elif near:
        hint = f"did you mean {near}?"
    else:
        hint = f"keys here: {', '.join(keys)}"
    return Defect(path, path, place.finding(message, hint), "extra_forbidden", ((*parent, near),) if near else ())


def _schema_path(path: Path) -> str:
    return ".".join(key for key in path if isinstance(key, str))


def _value_problem(
    kind: str, context: dict[str, Any], text: str, path: Path, node: Node | None
) -> tuple[str, str | None]:
    """Message and hint; the hint about full-width characters comes before any other."""
    message, hint = _plain_value_problem(kind, context, text, path, node)
    if isinstance(node, ScalarNode) and has_fullwidth(node.raw):
        hint = describe(node.raw)
    return f"{dotted(path) or 'the file'} {message}", hint


def _plain_value_problem(
    kind: str, context: dict[str, Any], text: str, path: Path, node: Node | None
) -> tuple[str, str | None]:
    unit, seen = unit_of(path), _seen(node)
    message, hint = f"is {seen}: {text}", None
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        message = f"is {seen}{' ' + unit if unit else ''}: it has to be {words} {context[key]:g}"
        hint = _bound_hint(path, node, unit)
    elif kind in _NEEDS_NUMBER:
        whole = "whole number" if kind.startswith("int") else "number"
        message = f"needs a {whole}{f' of {unit}' if unit else ''}, not {seen}"
        hint = _number_hint(node, unit)
    elif kind == "choice":
        hint = (
            did_you_mean(node.raw, context["words"].split(", "))
            if isinstance(node, ScalarNode) and isinstance(node.value, str)
            else None
        )
    elif kind in _NEEDS_KEYS:
        section = section_at(path)
        message = f"needs keys with values, not {seen}"
        hint = f"keys: {', '.join(keys_of(section))}" if section else None
    elif kind == "tuple_type":
        message, hint = f"needs a list, not {seen}", "start every item with '- ', or write [a, b]"
    elif kind == "too_short":
        message = "is an empty list, which would allow nothing"
        hint = "state at least one" if _is_required(path) else "leave the key out for no restriction"
    elif kind == "string_type":
        message, hint = f"needs text, not {seen}", _text_hint(node)
    elif kind in ("string_too_short", "string_too_long"):
        message = "is an empty text" if kind == "string_too_short" else "is too long a text"
    return message, hint


def _seen(node: Node | None) -> str:
    """The value as a person would say it."""
    if isinstance(node, MappingNode):
        return "a mapping of keys"
    if isinstance(node, SequenceNode):
        return "a list"
    if node is None or node.value is None:
        return "nothing"
    if isinstance(node.value, str):
        return f"the text {shorten(node.value)!r}"
    if isinstance(node.value, bool):
        return node.raw
    return shorten(node.raw)


def _is_required(path: Path) -> bool:
    """Whether a problem is refused without this key."""
    section = section_at(path[:-1])
    field = section.model_fields.get(str(path[-1])) if section and path else None
    return field is not None and field.is_required()


def _bound_hint(path: Path, node: Node | None, unit: str) -> str | None:
    value = node.value if isinstance(node, ScalarNode) else None
    figure = _figure(path)
    if (
        figure is not None
        and figure.number.reads is Reads.SHARE
        and isinstance(value, (int, float))
        and 1 < value <= 100
    ):
        return f"it is a share: {value} % is {value / 100:g}"
    if isinstance(value, (int, float)) and value <= 0:
        if value < 0:
            return "is the sign a slip?"
        return None if _is_required(path) else "leave the key out, or write null, for no such value"
    return f"the unit is {unit}" if unit else None


def _number_hint(node: Node | None, unit: str) -> str | None:
    in_unit = f", in {unit}" if unit else ""
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        match = _NUMBER.fullmatch(node.value)
        if match and not match[2] and node.quoted and not set(match[1]) & set(",_ "):
            return f"delete the quotes: {match[1]}"
        if match:
            return f"write the number alone, without unit or separators{in_unit}"
    if isinstance(node, ScalarNode) and isinstance(node.value, float):
        return f"round it: {round(node.value)}"
    return f"write a number{in_unit}"


def _text_hint(node: Node | None) -> str | None:
    if isinstance(node, ScalarNode) and node.value is not None:
        return f'put it in quotes: "{shorten(node.raw)}"'
    return None


def section_at(path: tuple[Key, ...]) -> type[Section] | None:
    """The section that a path of a problem file leads to; indices and other steps that are no key are passed over.
    Where a value may be one section or a list of others, an index behind it tells which is meant."""
    section: type[Section] = ProblemFile
    for place, key in enumerate(path):
        if isinstance(key, int):
            continue
        field = section.model_fields.get(key)
        inner = list(_sections_in(field.annotation)) if field else []
        if not inner:
            return None
        listed = isinstance(next(iter(path[place + 1 :]), None), int)
        section = inner[-1] if listed else inner[0]
    return section


def keys_of(section: type[Section]) -> tuple[str, ...]:
    """The keys a section takes, in the order of the documentation."""
    return ("date",) if section is Fx else tuple(section.model_fields)


def homes_of(key: str) -> tuple[str, ...]:
    """Paths of the sections that take a key of this name."""
    return tuple(path for path, section in all_sections() if key in keys_of(section))


def all_sections(section: type[Section] = ProblemFile, path: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Every section with its path, outermost first."""
    yield path, section
    for key, field in section.model_fields.items():
        for inner in _sections_in(field.annotation):
            yield from all_sections(inner, f"{path}.{key}".lstrip("."))


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_in(argument)


KeyPath = tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Issue:
    """Something wrong between keys: the value to mend, the sentence, the way out.

    ``about`` lists the other values the check looked at: where one of them was refused itself, this is not reported.
    """

    path: KeyPath
    message: str
    hint: str | None = None
    about: tuple[KeyPath, ...] = ()
