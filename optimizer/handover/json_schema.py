"""JSON Schema of the problem file, for editors: generated from the pydantic schema, explained by its docstrings.

It accepts every file that the loader accepts, up to words in odd capitals; what only the loader can check (ids of the
catalogs, keys that contradict each other) is left to ``optimize check``.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from optimizer.handover.field_docs import field_docs, sections_of
from optimizer.problem.fields import OneOf, as_tuple, yes_no
from optimizer.problem.schema import ProblemFile
from optimizer.problem.schema_hardware import parallel_size
from optimizer.problem.words import ENGINE_PARALLELISM

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
