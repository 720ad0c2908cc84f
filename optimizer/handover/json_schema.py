"""JSON Schema of the problem file, for editors: generated from the pydantic schema, explained by its docstrings.

It accepts every file that the loader accepts, up to words in odd capitals; what only the loader can check (ids of the
catalogs, keys that contradict each other) is left to ``optimize check``.

The docstrings under the fields of the problem schema, read from the source: keys are explained once.

The reference page of the problem file: every key with what it accepts and means, from the same docstrings.
"""

from __future__ import annotations

import ast
import inspect
import json
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from optimizer.problem.fields import OneOf, as_tuple, yes_no
from optimizer.problem.schema import ProblemFile
from optimizer.problem.schema_hardware import parallel_size
from optimizer.problem.schema_tokens import rows_of_a_file
from optimizer.vocabulary import ENGINE_PARALLELISM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel


Schema: TypeAlias = dict[str, Any]

FILE_NAME = "problem.schema.json"
"""Where examples and new problem files look for it: beside them."""

MODELINE = f"# yaml-language-server: $schema={FILE_NAME}"
"""First line of a problem file: editors with a YAML language server complete and check it from here on."""

DRAFT = "http://json-schema.org/draft-07/schema#"

_INFERRED = {
    "Tokens": ("input", "output", "context_max"),
    "LengthClass": ("name", "context_max"),
    "Quote": ("currency", "tier"),
}
"""Keys that the schema requires but a validator fills in where they are left out."""

_CURRENCY = "^[A-Z]{3}$"


def problem_schema() -> Schema:
    """The schema as a JSON value."""
    raw = ProblemFile.model_json_schema(schema_generator=_Generator)
    definitions = raw.pop("$defs")
    for name, section in sections_of(ProblemFile).items():
        target = raw if section is ProblemFile else definitions[name]
        _explain(target, dict(field_docs(section)))
        for key in _INFERRED.get(name, ()):
            target["required"].remove(key)
            target["properties"][key] = _or_null(target["properties"][key])
    definitions["Fx"] = _exchange_rates(definitions["Fx"])
    parts = {name: _untitled(value) for name, value in sorted(definitions.items())}
    return {"$schema": DRAFT, "title": "LLM deployment optimizer: problem file", **_untitled(raw), "$defs": parts}


def render_schema() -> str:
    """The schema as the text of a file."""
    return json.dumps(problem_schema(), indent=2, ensure_ascii=False) + "\n"


class _Generator(GenerateJsonSchema):
    """Says what the validators in front of a type accept: words, single values for lists, yes and no."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        function = schema["function"]["function"]
        inner = self.generate_inner(schema["schema"])
        if isinstance(function, OneOf):
            return {"enum": [*function.words, *(alias for alias, _ in function.aliases)]}
        if function is rows_of_a_file:
            return {"anyOf": [inner, {"type": "string", "minLength": 1}]}
        if function is as_tuple:
            return {"anyOf": [inner["items"], inner]}
        if function is yes_no:
            return {"enum": [True, False, "yes", "no", "Yes", "No", "YES", "NO"]}
        if function is parallel_size:
            return {"enum": list(ENGINE_PARALLELISM)}
        return inner


def _explain(section: Schema, docs: dict[str, str]) -> None:
    """Descriptions from docstrings; a key that has a default may also stand without a value."""
    required = section.get("required", [])
    for key, value in section["properties"].items():
        stated: Schema = {"description": docs[key]}
        default = value.pop("default", None)
        if default is not None and not isinstance(default, dict):
            stated["default"] = default
        bare = {"allOf": [value]} if "$ref" in value else value
        section["properties"][key] = {**(bare if key in required else _or_null(value)), **stated}


def _or_null(value: Schema) -> Schema:
    if {"type": "null"} in value.get("anyOf", ()):
        return value
    description: Schema = {key: value.pop(key) for key in ("description", "default") if key in value}
    return {"anyOf": [value, {"type": "null"}], **description}


def _exchange_rates(section: Schema) -> Schema:
    """Written flat: every key but ``date`` is a currency."""
    properties = section["properties"]
    return {
        "type": "object",
        "description": section["description"],
        "properties": {"date": properties["date"]},
        "patternProperties": {_CURRENCY: properties["rates"]["additionalProperties"]},
        "additionalProperties": False,
        "minProperties": 1,
    }


def _untitled(value: Any) -> Any:
    """Without the titles that pydantic derives from names: they say nothing that the key does not."""
    if isinstance(value, list):
        return [_untitled(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _untitled(item) for key, item in value.items() if key != "title" or not isinstance(item, str)}


def field_docs(section: type[BaseModel]) -> Mapping[str, str]:
    """The docstring of each field that a section declares itself, on one line."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(section) or section))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == section.__name__)
    docs: dict[str, str] = {}
    for field, after in pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            docs[field.target.id] = " ".join(after.value.value.split())
    return MappingProxyType(docs)


def sections_of(section: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The section and every section below it by class name, depth first in the order of the fields."""
    found: dict[str, type[BaseModel]] = {}

    def visit(model: type[BaseModel]) -> None:
        if model.__name__ in found:
            return
        found[model.__name__] = model
        for field in model.model_fields.values():
            for below in _models_in(field.annotation):
                visit(below)

    visit(section)
    return found


def _models_in(annotation: object) -> list[type[BaseModel]]:
    from typing import get_args

    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


_HEAD = """# Every key of a problem file

Generated by `optimize schema --format markdown` from the same docstrings as the editor's completion; do not edit.
A key without a value takes its default. Unknown keys are refused. A list may be written as a single value.
"""


_TYPES = MappingProxyType({"integer": "whole number", "number": "number", "string": "text"})


def render_reference() -> str:
    """The page in Markdown, one table per section."""
    from optimizer.problem.schema import ProblemFile

    schema = problem_schema()
    pages = [_HEAD]
    for name, section in sections_of(ProblemFile).items():
        part = schema if section is ProblemFile else schema["$defs"][name]
        pages.append(_section(section, part))
    return "\n".join(pages)


def _section(section: type[BaseModel], schema: dict[str, Any]) -> str:
    doc = " ".join((section.__doc__ or "").split()).replace("``", "`")
    lines = [f"## {section.__name__}", "", doc, "", "| key | accepts | default | meaning |", "|---|---|---|---|"]
    for key, meaning in field_docs(section).items():
        if key not in schema["properties"]:  # written flat: each currency is a key of its own
            lines.append(f"| `CNY`, `EUR`, ... | number above 0 | | {meaning} |")
            continue
        value = schema["properties"][key]
        needed = "required" if key in schema.get("required", ()) else _default(value)
        text = meaning.replace("``", "`").replace("|", "\\|")
        lines.append(f"| `{key}` | {_accepts(value)} | {needed} | {text} |")
    return "\n".join(lines) + "\n"


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    if default is None or default == []:
        return ""
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, list):
        return f"`[{', '.join(map(str, default))}]`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _accepts(value: dict[str, Any]) -> str:
    """What a value may be, in words."""
    for joint in ("anyOf", "oneOf", "allOf"):
        if joint in value:
            parts = [_accepts(part) for part in value[joint] if part.get("type") != "null"]
            listed = [part for part in parts if part.startswith("list of ")]
            plain = [part for part in parts if not any(one == f"list of {part}" for one in listed)]
            return " or ".join(dict.fromkeys(part for part in plain if part))
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in value:
        return "yes, no" if "yes" in value["enum"] else ", ".join(f"`{word}`" for word in value["enum"])
    if value.get("type") == "array":
        return f"list of {_accepts(value['items'])}"
    return _TYPES.get(value.get("type", ""), "") + _range(value)


def _range(value: dict[str, Any]) -> str:
    low, above = value.get("minimum"), value.get("exclusiveMinimum")
    high, below = value.get("maximum"), value.get("exclusiveMaximum")
    high = None if high is not None and high >= 1e7 else high
    parts = [f"from {_plain(low)}"] if low is not None else [f"above {_plain(above)}"] if above is not None else []
    parts += [f"to {_plain(high)}"] if high is not None else [f"below {_plain(below)}"] if below is not None else []
    return f" {' '.join(parts)}" if parts else ""


def _plain(number: float) -> str:
    """A bound as people write it: 1,000,000 and not 1e+06."""
    return f"{number:,.0f}" if float(number).is_integer() and abs(number) >= 1e6 else f"{number:g}"
