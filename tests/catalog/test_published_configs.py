"""Every configuration in data/configs is read as its publisher means it: parameters, KV, formats, context."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from optimizer.catalog import model_from_config
from optimizer.catalog.types import Model, StoredPart

CONFIGS = Path(__file__).parents[2] / "data" / "configs"
with (CONFIGS / "expected.csv").open(encoding="utf-8", newline="") as _stream:
    EXPECTED = list(csv.DictReader(_stream))

ROUNDED = {
    "deepseek-ai/DeepSeek-V4-Flash": 0.06,
    "deepseek-ai/DeepSeek-V4-Pro": 0.02,
    "sgl-project/DeepSeek-V4-Flash-FP8": 0.06,
}
"""Two digits are published of these (13B active, 1.6T), counted with layers that are not in the total here."""

WITH_DRAFT_LAYERS_OR_NO_TOWER = 0.07
"""Published sizes hold the layers for speculative decoding, which are loaded only if used (up to 6.6 % of a mixture);
sizes computed from the language model alone leave out the tower, which is loaded (7 % of an 8B model)."""


def parts_of(model: Model) -> tuple[StoredPart, ...]:
    """The parts of the one checkpoint that a configuration describes."""
    ((_, parts),) = model.stored
    return parts


@pytest.mark.parametrize("row", EXPECTED, ids=[row["name"] for row in EXPECTED])
def test_published_configurations(row: dict[str, str]) -> None:
    model = model_from_config(CONFIGS / row["name"])
    near = ROUNDED.get(row["model_id"], 0.01)
    for name, counted in (("total_params", model.total_params), ("active_params", model.active_params)):
        if row[name]:
            assert counted == pytest.approx(float(row[name]), rel=near), name
    assert model.kv_bytes_full_16bit == pytest.approx(float(row["kv_bytes_per_token_16bit"]), rel=1e-12)
    assert model.kv_bytes_sliding_16bit == float(row["kv_sliding_bytes_per_token_16bit"])
    assert model.sliding_window == int(row["sliding_window_tokens"] or 0)
    if row["index_bytes_per_token"]:
        assert model.index_bytes_per_token == float(row["index_bytes_per_token"])
    assert model.native_dtype.replace("fp16", "bf16") == row["weight_format"]
    assert model.kv_in_checkpoint == row["kv_format_in_checkpoint"]
    assert model.context_limit == int(row["context_limit"])
    state = re.search(r"state ([\d,]+) B", row["notes"])
    if state:
        assert model.linear_state_bytes == int(state[1].replace(",", ""))
    size = sum(part.bytes for part in parts_of(model))
    if row["bytes_as_loaded"] and "VL-2B" not in row["name"]:
        assert size == pytest.approx(float(row["bytes_as_loaded"]), rel=WITH_DRAFT_LAYERS_OR_NO_TOWER)
    if row["bytes_source"].startswith("computed") and not model.modalities and "routers" not in row["bytes_source"]:
        assert size == pytest.approx(float(row["bytes_as_loaded"]), rel=1e-3)


def test_infinity_is_read_where_transformers_writes_it(tmp_path: Path) -> None:
    source = CONFIGS / "nvidia--Nemotron-H-56B-Base-8K" / "config.json"
    assert "Infinity" in source.read_text(encoding="utf-8")
    (tmp_path / "config.json").write_text(source.read_text(encoding="utf-8").replace("Infinity", "-Infinity"))
    assert model_from_config(tmp_path).linear_layers == 54


def test_long_lists_of_modules_are_read(tmp_path: Path) -> None:
    config = json.loads((CONFIGS / "Qwen--Qwen3-8B-AWQ" / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"]["modules_to_not_convert"] = [f"unused.module.number.{i:07d}" for i in range(60_000)]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert (tmp_path / "config.json").stat().st_size > 1 << 20
    assert model_from_config(tmp_path).native_dtype == "int4"


def test_a_side_file_alone_says_how_weights_are_stored() -> None:
    folder = CONFIGS / "nvidia--Qwen3-235B-A22B-NVFP4"
    assert "quantization_config" not in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    routers = {p.format for p in parts_of(model_from_config(folder)) if p.name == "routers and gates"}
    assert routers == {"bf16"}
