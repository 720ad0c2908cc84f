"""``optimize check``: a model may be a file, its folder, or a folder under its bare name; encoders are told about."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.commands.check import command

CONFIGS = Path(__file__).parents[2] / "data" / "configs"
PROBLEM = """workloads:
  - name: chat
    model: {model}
    traffic: {{concurrency: 4}}
    tokens: {{input: 1000, output: 200, context_max: 4096}}
    slo: {{ttft_ms: 5000, tpot_ms: 80}}
"""


def _check(folder: Path, model: str) -> str:
    file = folder / "problem.yaml"
    file.write_text(PROBLEM.format(model=model))
    result = CliRunner().invoke(command, [str(file)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("model", ["vision/config.json", "./vision", "vision"])
def test_a_model_may_be_a_file_or_a_folder(model: str, tmp_path: Path) -> None:
    shutil.copytree(CONFIGS / "Qwen--Qwen3-VL-8B-Instruct", tmp_path / "vision")
    told = _check(tmp_path, model)
    assert "takes image" in told
    assert "their tokens count as input tokens, and the time of the encoder is not modelled" in told


def test_a_catalog_model_with_an_encoder_says_so_too(tmp_path: Path) -> None:
    assert "the time of the encoder is not modelled" in _check(tmp_path, "Qwen/Qwen3.6-27B")
    assert "encoder" not in _check(tmp_path, "Qwen/Qwen3-8B")
