"""Which fields kinds of Kubernetes extensions have: catalogs/launch/fields.csv, and the releases of Dynamo beside it.

Kubernetes' own kinds are none of them: their schemas are published with every release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from optimizer.vocabulary import split_version

if TYPE_CHECKING:
    from optimizer.handover.safe_text import Value

_OPAQUE = frozenset({"pod", "map", "metadata"})
"""What is Kubernetes' own, or named by its user: not looked into."""


@dataclass(frozen=True)
class FieldFacts:
    """The type of every field that was read, by API version and kind, then by path (``spec.triggers[].type``)."""

    kinds: Mapping[tuple[str, str], Mapping[str, str]]

    def doubts(self, document: Value) -> Iterator[str]:
        """Fields of a document that its kind does not have, or not of that type; none where every one was read."""
        assert isinstance(document, dict)
        version, kind = str(document["apiVersion"]), str(document["kind"])
        known = self.kinds.get((version, kind))
        if known is None:
            yield f"the fields of {kind} {version} were not read: check the file with `kubectl apply --dry-run=server`"
            return
        for path, found in _walk("spec", document["spec"], known):
            stated = known.get(path)
            if stated is None:
                yield f"{kind} {version} has no field {path}"
            elif found != stated and stated not in _OPAQUE:
                yield f"{path} of {kind} {version} is {stated}, not {found}"


def _walk(path: str, value: Value, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every field with its type, down to what is opaque."""
    yield path, _type_of(value)
    if known.get(path) in _OPAQUE:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _walk(f"{path}.{name}", item, known)
    elif isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, dict):
                for name, part in item.items():
                    yield from _walk(f"{path}[].{name}", part, known)


def _type_of(value: Value) -> str:
    if isinstance(value, bool):  # before integers, which Python counts them among
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return "string" if isinstance(value, str) else "object" if isinstance(value, dict) else "list"


@dataclass(frozen=True, slots=True)
class DynamoRelease:
    """A release of NVIDIA Dynamo with the engine in its image."""

    release: str
    engine_version: str
    image: str


def release_with(releases: tuple[DynamoRelease, ...], version: str) -> DynamoRelease | None:
    """The release with a version of the engine; without one the newest; None where no release that was read has it."""
    if not version:
        return releases[-1] if releases else None
    return next((one for one in releases if split_version(one.engine_version) == split_version(version)), None)


def read_fields(file: Path) -> FieldFacts:
    """The table of fields."""
    from optimizer.errors import CatalogError
    from optimizer.files.csv_file import read_table

    table = read_table(file, ("kind", "api_version", "path", "type", "source", "source_date"))
    kinds: dict[tuple[str, str], dict[str, str]] = {}
    for row in table:
        fields = kinds.setdefault((row.required("api_version"), row.required("kind")), {})
        fields[row.required("path")] = row.required("type")
    if table.findings:
        raise CatalogError(table.findings)
    return FieldFacts(MappingProxyType(kinds))


def read_releases(file: Path) -> Mapping[str, tuple[DynamoRelease, ...]]:
    """Releases of Dynamo by engine, oldest first."""
    from optimizer.errors import CatalogError
    from optimizer.files.csv_file import read_table

    table = read_table(file, ("release", "engine", "engine_version", "image", "source", "source_date"))
    found: dict[str, list[DynamoRelease]] = {}
    for row in table:
        one = DynamoRelease(row.required("release"), row.required("engine_version"), row.required("image"))
        found.setdefault(row.required("engine"), []).append(one)
    if table.findings:
        raise CatalogError(table.findings)
    ordered = {name: tuple(sorted(rows, key=lambda one: split_version(one.release))) for name, rows in found.items()}
    return MappingProxyType(ordered)
