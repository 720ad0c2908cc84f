"""``optimize new`` with figures of the user's own, and what the shell completes."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from optimizer.commands import cli
from optimizer.commands.completion import complete_cards, complete_edits, complete_models
from optimizer.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
FRONT_PAGE = ROOT / "problems" / "chatbot_100users.yaml"


def new(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["new", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.mark.parametrize("kind", ["chatbot", "rag", "office"])
def test_figures_stand_where_they_belong_and_nothing_else_changes(kind: str) -> None:
    plain = yaml.safe_load(new(kind))
    text = new(kind, "--model", "qwen3-32b", "--users", "321", "--ttft", "1750", "--tpot", "45.5")
    found = yaml.safe_load(text)
    workload = found["workloads"][0]
    assert workload["model"] == "qwen3-32b"
    assert workload["traffic"]["users"]["active"] == 321
    assert workload["slo"]["ttft_ms"] == {"p95": 1750}
    assert workload["slo"]["tpot_ms"] == {"p95": 45.5}
    for path, value in (("ttft_ms", plain), ("tpot_ms", plain)):
        workload["slo"][path] = value["workloads"][0]["slo"][path]
    workload["model"] = plain["workloads"][0]["model"]
    workload["traffic"]["users"]["active"] = plain["workloads"][0]["traffic"]["users"]["active"]
    assert found == plain
    assert "within a second" not in text  # what was said about the old figure


@pytest.mark.parametrize("kind", ["chatbot", "rag", "agents", "voice"])
def test_people_who_take_turns_are_a_closed_population_of_sessions(kind: str) -> None:
    (workload,) = yaml.safe_load(new(kind, "--users", "321"))["workloads"]
    assert workload["traffic"]["users"] == {"active": 321}
    assert {"turns", "shared_prefix", "first_input", "new_input", "output", "gap"} <= workload["sessions"].keys()


def test_what_a_kind_has_no_place_for_is_refused_all_at_once() -> None:
    with pytest.raises(InputError) as refused:
        new("batch", "--users", "300", "--ttft", "1500")
    assert len(refused.value.findings) == 2


@pytest.mark.parametrize("model", ["no-such-model", "meta-llama/Meta-Llama-3-70B"])
def test_a_model_that_cannot_serve_the_file_is_refused_at_once(model: str, tmp_path: Path) -> None:
    path = tmp_path / "rag.yaml"
    with pytest.raises(InputError):
        new("rag", "--model", model, "-o", str(path))
    assert not path.exists()


def test_the_shell_completes_models_cards_and_keys() -> None:
    context, parameter = click.Context(cli), click.Option(["--x"])
    names = [item.value for item in complete_models(context, parameter, "qwen3-32")]
    assert "Qwen3-32B" in names
    assert all(name.startswith("Qwen/") for name in (i.value for i in complete_models(context, parameter, "qwen/")))
    assert "h100_sxm_80" in [item.value for item in complete_cards(context, parameter, "h1")]
    assert "margins.load_headroom=" in [item.value for item in complete_edits(context, parameter, "margins.")]
    context.params["file"] = FRONT_PAGE
    edits = [item.value for item in complete_edits(context, parameter, "workloads.chat.slo.")]
    assert "workloads.chat.slo.ttft_ms.p95=" in edits and all(edit.endswith("=") for edit in edits)
    context.params["file"] = Path("no such file.yaml")
    assert complete_edits(context, parameter, "budget.")
