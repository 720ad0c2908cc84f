"""The JSON Schema, the reference page and the starter files: all from one source, all true."""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from optimizer.catalog import load_catalog
from optimizer.commands import cli
from optimizer.errors import UsageError
from optimizer.handover.json_schema import (
    MODELINE,
    field_docs,
    problem_schema,
    render_reference,
    render_schema,
    sections_of,
)
from optimizer.handover.starters import Starter, render_starter
from optimizer.planning.inputs import known_ids
from optimizer.problem import load_problem
from optimizer.problem.schema import ProblemFile

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / "problems").glob("*.yaml")), ROOT / "tests" / "problem" / "full.yaml"]


@cache
def _validator() -> Draft7Validator:
    schema = problem_schema()
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def _value(text: str) -> Any:
    """What an editor sees: YAML without dates."""
    return _plain(YAML(typ="safe", pure=True).load(text))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_schema_accepts_what_the_loader_accepts(path: Path) -> None:
    assert [error.message for error in _validator().iter_errors(_value(path.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize(
    "edit",
    [
        {"workload": []},
        {"budget": {"monthly": -1}},
        {"budget": {"monthly": "much"}},
        {"objective": "minimise_cost"},
        {"hardware": {"nvlink": "maybe"}},
        {"hardware": {"only_owned": "perhaps"}},
        {"engine": {"tensor_parallel": [3]}},
        {"engine": {"weight_quant": ["fp7"]}},
        {"payment": {"tiers": []}},
        {"payment": {"fx": {"yuan": 7.1}}},
        {"ranking": {"top": 0}},
        {"workloads": []},
    ],
)
def test_schema_refuses(edit: dict[str, Any]) -> None:
    sound = _value(FILES[0].read_text(encoding="utf-8"))
    assert _validator().is_valid(sound)
    assert not _validator().is_valid({**sound, **edit})


@pytest.mark.parametrize(
    "edit",
    [
        {"budget": None},
        {"hardware": {"gpus": "h100_sxm_80", "nvlink": None, "only_owned": "NO"}},
        {"engine": {"weight_quant": "fp16", "kv_cache": "auto", "tensor_parallel": 2}},
        {"payment": {"tiers": "spot", "fx": {"CNY": 7.1, "date": "2026-08-03"}, "currency": "CNY"}},
        {"offers": [{"id": "q", "provider": "p", "gpu": "l4_24", "gpus_per_node": 1, "price_per_hour": 1}]},
    ],
)
def test_schema_accepts_short_forms(edit: dict[str, Any], tmp_path: Path) -> None:
    sound = {**_value((ROOT / "problems" / "chatbot_100users.yaml").read_text(encoding="utf-8")), **edit}
    assert [error.message for error in _validator().iter_errors(sound)] == []
    path = tmp_path / "p.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML(typ="safe").dump(sound, stream)
    assert load_problem(path)


def test_schema_leaves_out_only_what_a_validator_infers() -> None:
    """A new ``mode="before"`` validator changes what may be written: the schema has to learn of it."""
    decorated = {
        name
        for name, section in sections_of(ProblemFile).items()
        if set(section.__pydantic_decorators__.model_validators) - {"null_means_default"}
    }
    assert decorated == {"Tokens", "Workload", "Quote", "Fx", "ProblemFile"}


def test_every_key_is_explained() -> None:
    for section in sections_of(ProblemFile).values():
        assert set(field_docs(section)) >= set(section.model_fields)


def test_schema_file_and_reference_page_are_current() -> None:
    assert (ROOT / "problems" / "problem.schema.json").read_text(encoding="utf-8") == render_schema()
    assert (ROOT / "docs" / "problem_file.md").read_text(encoding="utf-8") == render_reference()


@pytest.mark.parametrize("path", FILES[:-1], ids=lambda path: path.name)
def test_every_example_names_the_schema(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith(MODELINE + "\n")


@pytest.mark.parametrize("kind", Starter)
def test_starter_is_sound_and_safe(kind: Starter, tmp_path: Path) -> None:
    path = tmp_path / f"{kind}.yaml"
    path.write_text(render_starter(kind), encoding="utf-8")
    problem = load_problem(path, known=known_ids(load_catalog()))
    assert problem.warnings == ()
    assert problem.margins.load_headroom == 0.2
    traffic = problem.workloads[0].traffic
    assert (problem.margins.survive == "node") is (traffic.batch is None)
    assert problem.margins.spare_nodes == (1 if traffic.batch else 0)
    assert traffic.peak_factor == (1.0 if traffic.batch else 2.5)
    assert _validator().is_valid(_value(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("kind", Starter)
def test_starter_in_chinese_says_the_same(kind: Starter) -> None:
    """Every comment is told, and not one figure or key is another."""
    english, chinese = (render_starter(kind, language=language) for language in ("en", "zh"))
    assert _value(chinese) == _value(english)
    for before, after in zip(english.splitlines()[1:], chinese.splitlines()[1:], strict=True):
        assert before.partition("#")[0] == after.partition("#")[0]
        comment = before.partition("#")[2]
        if re.search(r"\b[a-z]+ [a-z]+\b", re.sub(r"^ *[a-z]+: \[[^]]*\] *#?|`[^`]*`", "", comment)):
            assert re.search("[\u4e00-\u9fff]", after.partition("#")[2]), after


def test_new_writes_file_and_schema_and_never_overwrites(tmp_path: Path) -> None:
    runner, path = CliRunner(), tmp_path / "mine.yaml"
    result = runner.invoke(cli, ["new", "chatbot", "-o", str(path)])
    assert result.exit_code == 0
    assert path.read_text(encoding="utf-8") == render_starter(Starter.CHATBOT)
    assert (tmp_path / "problem.schema.json").read_text(encoding="utf-8") == render_schema()
    path.write_text("precious", encoding="utf-8")
    again = runner.invoke(cli, ["new", "rag", "-o", str(path)])
    assert isinstance(again.exception, UsageError)
    assert path.read_text(encoding="utf-8") == "precious"
    assert runner.invoke(cli, ["new", "rag", "-o", str(path), "--force"]).exit_code == 0
    assert path.read_text(encoding="utf-8") == render_starter(Starter.RAG)


def test_schema_command_prints_both_forms() -> None:
    assert CliRunner().invoke(cli, ["schema"]).stdout == render_schema()
    assert CliRunner().invoke(cli, ["schema", "--format", "markdown"]).stdout == render_reference()
