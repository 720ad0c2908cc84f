"""The schema of the result says what is in it, and nothing that is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator

from optimizer.commands import cli
from optimizer.handover.result_schema import result_schema

GOLDEN = sorted((Path(__file__).parents[1] / "report" / "golden").glob("*.json"))


def test_the_schema_is_one_and_is_printed() -> None:
    Draft7Validator.check_schema(result_schema())
    result = CliRunner().invoke(cli, ["schema", "--result"])
    assert json.loads(result.stdout) == result_schema()
    assert CliRunner().invoke(cli, ["schema", "--result", "--format", "markdown"]).exit_code != 0


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_results_pass_and_every_key_is_named(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    Draft7Validator(result_schema()).validate(document)
    assert not list(unnamed(document, result_schema(), ""))


@pytest.mark.parametrize("edit", [{"plans": {}}, {"status": None}, {"schema_version": 1}, {"load": [{}]}])
def test_what_is_no_result_does_not_pass(edit: dict[str, Any]) -> None:
    document = json.loads(GOLDEN[0].read_text(encoding="utf-8"))
    assert not Draft7Validator(result_schema()).is_valid({**document, **edit})


def unnamed(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """Keys that the schema does not name; of an object without named keys it says nothing."""
    whole = result_schema()["definitions"]
    ways = [way for way in schema.get("anyOf", [schema]) if way != {"type": "null"}]
    inner = whole[ways[0]["$ref"].rpartition("/")[2]] if "$ref" in ways[0] else ways[0]
    if isinstance(value, list) and "items" in inner:
        for at, item in enumerate(value):
            yield from unnamed(item, inner["items"], f"{path}[{at}]")
    elif isinstance(value, dict) and "properties" in inner:
        for key, item in value.items():
            if key in inner["properties"]:
                yield from unnamed(item, inner["properties"][key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
