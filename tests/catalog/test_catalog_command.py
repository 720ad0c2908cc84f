"""``optimize catalog``: filters, formats, errors, width."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from optimizer.commands.catalog import command
from optimizer.errors import CatalogError, UsageError


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def _json(*arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(_run(*arguments, "--format", "json"))
    return rows


@pytest.mark.parametrize("what", ["gpus", "models", "offers"])
def test_text_fits_a_hundred_columns_and_ends_in_a_count(what: str) -> None:
    lines = _run(what).splitlines()
    assert max(map(len, lines)) <= 100
    assert not any(line != line.rstrip() or "\x1b" in line for line in lines)
    counts = {"gpus": "72 GPUs.", "models": "129 models.", "offers": "1253 prices."}
    assert any(line.startswith(counts[what]) for line in lines[-2:])


def test_json_and_csv_hold_the_same_rows() -> None:
    rows = _json("gpus")
    table = list(csv.DictReader(io.StringIO(_run("gpus", "--format", "csv"))))
    assert len(rows) == len(table) == 72
    assert list(rows[0]) == list(table[0])
    assert {row["id"]: row["bf16_dense_tflops"] for row in rows}["h100_sxm_80"] == 989.4
    assert {row["id"]: row["bf16_dense_tflops"] for row in table}["h100_sxm_80"] == "989.4"
    assert all(row["source"] for row in rows)


def test_filters_of_offers() -> None:
    rows = _json("offers", "--gpu", "h100_sxm_80", "--provider", "aws", "--rankable")
    assert [(row["instance_type"], row["tier"], row["amount"]) for row in rows] == [
        ("p5.48xlarge", "on_demand", 55.04),
        ("p5.48xlarge", "reserved_3y", 23.7773),
        ("p5.4xlarge", "on_demand", 6.88),
    ]
    assert len(_json("offers")) == 1253
    assert len(_json("offers", "--rankable")) == 538
    assert len(_json("offers", "--reference")) == 715
    assert {row["tier"] for row in _json("offers", "--tier", "spot")} == {"spot"}
    assert {row["gpu"] for row in _json("offers", "--vendor", "amd", "--rankable")} == {
        "mi300x_192", "mi325x_256", "mi350x_288", "mi355x_288",
    }  # fmt: skip


def test_filters_of_gpus_and_models() -> None:
    assert {row["vendor"] for row in _json("gpus", "--vendor", "huawei")} == {"huawei"}
    assert [row["id"] for row in _json("gpus", "--search", "H800_SXM")] == ["h800_sxm_80"]
    assert _json("models", "--search", "llama-3.1-70b-instruct")[0]["id"] == "meta-llama/Llama-3.1-70B-Instruct"
    assert {row["family"] for row in _json("models", "--family", "Qwen3")} == {"Qwen3"}


def test_nothing_found_is_said() -> None:
    assert _run("gpus", "--search", "no such card").startswith("0 GPUs.")
    assert _json("gpus", "--search", "no such card") == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("gpus", "--vendor", "nvidea"), "unknown vendor 'nvidea'\n    did you mean nvidia?"),
        (("models", "--family", "Qwen4"), "unknown family 'Qwen4'\n    did you mean Qwen"),
        (("offers", "--gpu", "h100"), "unknown GPU 'h100'\n    did you mean h100_"),
        (("offers", "--provider", "awz"), "unknown provider 'awz'\n    did you mean aws?"),
        (("offers", "--tier", "xyz"), "unknown tier 'xyz'\n    known: on_demand, purchase"),
    ],
)
def test_unknown_filters_are_refused_with_a_suggestion(arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError) as error:
        _run(*arguments)
    assert says in str(error.value)


def test_own_catalogs_are_listed(tmp_path: Path) -> None:
    header = "offer_id,provider,gpu,gpus_per_node,link,tier,amount,currency,price_date,price_source\n"
    (tmp_path / "offers.csv").write_text(header + "mine,aws,l20_48,4,pcie,on_demand,9,CNY,2026-09-01,quote\n")
    rows = _json("offers", "--gpu", "l20_48", "--rankable", "--catalogs", str(tmp_path))
    assert "mine" in {row["offer_id"] for row in rows}
    with pytest.raises(CatalogError, match="no such directory"):
        _run("offers", "--catalogs", str(tmp_path / "absent"))
