"""Which keys stand where: the schema seen as a tree, for suggestions and for the reference documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from optimizer.documents.nodes import Key
from optimizer.problem.fields import Section
from optimizer.problem.schema import Fx, ProblemFile


def section_at(path: tuple[Key, ...]) -> type[Section] | None:
    """The section that a path of a problem file leads to; indices and other steps that are no key are passed over."""
    section: type[Section] = ProblemFile
    for key in path:
        if isinstance(key, int):
            continue
        field = section.model_fields.get(key)
        inner = next(_sections_in(field.annotation), None) if field else None
        if inner is None:
            return None
        section = inner
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
