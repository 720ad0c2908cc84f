"""``--quotes FILE``: lists of quotes beside the offers of a problem, in one command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from optimizer.commands import cli
from optimizer.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
HEAD = "provider,gpu,gpus_per_node,price,currency,unit\n"


def run(*arguments: str) -> Result:
    """The command line."""
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    """The front page with a quote of its own, for buyers of two resellers."""
    text = (ROOT / "problems" / "chatbot_100users.yaml").read_text(encoding="utf-8")
    own = "{id: mine, provider: first, gpu: h100_sxm_80, gpus_per_node: 8, price_per_hour: 90}"
    path = tmp_path / "p.yaml"
    path.write_text(f"{text}\noffers: [{own}]\n", encoding="utf-8")
    return path


def test_lists_come_beside_the_offers_of_the_file(problem: Path, tmp_path: Path) -> None:
    listed, more = tmp_path / "list.csv", tmp_path / "more.csv"
    listed.write_text(f"{HEAD}second,H100 SXM,8,14,USD,hour\nsecond,H100,8,14,USD,hour\n", encoding="utf-8")
    more.write_text("供应商,型号,卡数,单价(元/台/月)\n某云,H20 96G,8,68000\n", encoding="utf-8")
    lists = ("--quotes", str(listed), "--quotes", str(more))
    chosen = ("--set", "hardware.providers=[first, second, 某云]", "--set", "ranking.top=1")
    result = run(str(problem), *lists, *chosen, "--no-simulate", "--format", "json")
    assert result.exit_code == 0, result.output
    assert "list.csv:3: quote refused: 'H100' may be" in result.stderr
    quotes = json.loads(result.stdout)["quotes"]
    assert [(one["provider"], one["verdict"]) for one in quotes][:2] == [("first", "loses"), ("second", "wins")]
    assert quotes[2]["provider"] == "某云"
    assert quotes[2]["currency"] == "CNY"


def test_a_list_without_a_quote_is_an_error_with_every_reason(problem: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(f"{HEAD}x,H100,8,14,USD,hour\nx,L4,,1,USD,hour\n", encoding="utf-8")
    with pytest.raises(UsageError) as error:
        run("check", str(problem), "--quotes", str(listed))
    assert [finding.line for finding in error.value.findings] == [2, 3]
