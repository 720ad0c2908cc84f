"""``optimize catalog update --from DIR``: prices that moved, are new, retired, newer than the list, or too good."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from optimizer.catalog import load_catalog
from optimizer.commands import cli
from optimizer.errors import CatalogError, UsageError
from optimizer.progress import TODAY
from optimizer.report.widths import columns_of
from optimizer.vocabulary import Evidence, Tier

SKYPILOT = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,SpotPrice,Region,AvailabilityZone,GpuInfo\n"
)
GPUHUNT = "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,gpu_vendor,flags\n"
AWS = (
    "p5.48xlarge,H100,8.0,192.0,2048.0,49.24,21.5,us-east-1,us-east-1a,\n"
    "p5.48xlarge,H100,8.0,192.0,2048.0,49.24,23.5,us-east-1,us-east-1b,\n"
    "p5.48xlarge,H100,8.0,192.0,2048.0,54.1,,eu-west-2,eu-west-2a,\n"
    "g6.12xlarge,L4,4.0,48.0,192.0,4.6016,,us-east-1,us-east-1b,\n"
    "m5.large,,,2.0,8.0,0.096,,us-east-1,us-east-1b,\n"
)


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TODAY, "2026-11-30")


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    folder = tmp_path / "lists"
    put(folder, "aws/vms.csv", SKYPILOT + AWS)
    return folder


def put(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (1795780800, 1795780800))  # noon of 2026-11-27


def run(folder: Path, *options: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["catalog", "update", "--from", str(folder), *options], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


def changes(folder: Path, *options: str) -> dict[tuple[str, str], dict[str, Any]]:
    document = json.loads(run(folder, "--format", "json", *options))
    return {(one["offer_id"], one["tier"]): one for one in document["changes"]}


def test_what_moved_is_printed_with_the_day_and_nothing_is_written(lists: Path, tmp_path: Path) -> None:
    text = run(lists)
    assert max(map(len, text.splitlines())) <= 80
    told = " ".join(text.split())
    assert "aws/vms.csv (SkyPilot, 2026-11-27)" in told
    assert "the day each file was last written, as these lists state none; --date DAY" in told
    assert "aws p5.48xlarge us-east-1, 8x h100_sxm_80, on demand: $55.04 (2026-11-09) -> $49.24, -10.5 %" in told
    assert "aws p5.48xlarge eu-west-2, 8x h100_sxm_80, on demand: $54.1" in told
    assert "nothing written: -o DIR" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lists"]


def test_a_moved_a_new_and_a_retired_price(lists: Path) -> None:
    found = changes(lists, "--date", "2026-11-28")
    moved = found["aws-p5-48xlarge-us-east-1", "on_demand"]
    assert (moved["what"], moved["before"]["amount"], moved["now"]["amount"]) == ("price", 55.04, 49.24)
    assert (moved["now"]["price_date"], moved["now"]["evidence"]) == ("2026-11-28", "list")
    assert moved["place"].endswith("vms.csv:2")
    spot = found["aws-p5-48xlarge-us-east-1", "spot"]
    assert (spot["what"], spot["now"]["amount"]) == ("new", 23.5)  # of two zones the dearer
    new = found["aws-p5-48xlarge-eu-west-2", "on_demand"]
    assert (new["what"], new["before"]) == ("new", None)
    gone = found["aws-g6-xlarge-1x-us-east-1", "on_demand"]
    assert (gone["what"], gone["now"]["evidence"]) == ("retired", "reference")
    assert "not in skypilot-org/skypilot-catalog, aws/vms.csv, 2026-11-28" in gone["now"]["reason"]
    assert not any(one["before"] and one["before"]["currency"] == "CNY" for one in found.values())
    assert not any(tier.startswith("reserved") for _, tier in found)  # the lists say nothing of terms
    assert {one["provider"] for one in found.values()} == {"aws"}


def test_what_is_written_is_a_directory_for_catalogs(lists: Path, tmp_path: Path) -> None:
    out = tmp_path / "market"
    run(lists, "--date", "2026-11-28", "-o", str(out))
    assert [path.name for path in out.iterdir()] == ["offers.csv"]
    before, after = load_catalog(models=()), load_catalog(out, models=())
    node = after.offers["aws-p5-48xlarge-us-east-1"]
    prices = {price.tier: price for price in node.prices}
    assert (prices[Tier.ON_DEMAND].amount, prices[Tier.SPOT].amount) == (49.24, 23.5)
    assert prices[Tier.ON_DEMAND].evidence is Evidence.LIST
    assert prices[Tier.ON_DEMAND].source == "skypilot-org/skypilot-catalog, aws/vms.csv, 2026-11-28"
    old = before.offers["aws-p5-48xlarge-us-east-1"]
    assert (node.link, node.network_gbps, node.host_memory_gib) == (old.link, old.network_gbps, old.host_memory_gib)
    kept = [price for price in old.prices if price.tier not in (Tier.ON_DEMAND, Tier.SPOT)]
    assert all(price in node.prices for price in kept)
    abroad = after.offers["aws-p5-48xlarge-eu-west-2"]
    assert (abroad.link, abroad.country, abroad.host_memory_gib) == (old.link, "GB", 2048)
    assert not any(price.rankable for price in after.offers["aws-g6-xlarge-1x-us-east-1"].prices
                   if price.tier is Tier.ON_DEMAND)  # fmt: skip
    assert after.newest_price_date == "2026-11-28"


def test_a_second_run_moves_nothing(lists: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "one", tmp_path / "two"
    run(lists, "--date", "2026-11-28", "-o", str(out))
    found = changes(lists, "--date", "2026-11-28", "--catalogs", str(out), "-o", str(again))
    assert {one["what"] for one in found.values()} == {"same"}
    assert (again / "offers.csv").read_bytes() == (out / "offers.csv").read_bytes()


def test_a_list_that_is_older_than_a_price_changes_it_not(lists: Path) -> None:
    found = changes(lists, "--date", "2026-06-01")
    assert found["aws-p5-48xlarge-us-east-1", "on_demand"]["what"] == "kept"
    assert not any(one["what"] == "retired" and one["before"]["price_date"] > "2026-06-01" for one in found.values())


def test_an_auction_floor_is_questioned_and_may_not_rank(tmp_path: Path) -> None:
    lists, out = tmp_path / "lists", tmp_path / "out"
    put(lists, "lambda.csv", GPUHUNT + "gpu_8x_h100_sxm5,us-west-3,7.92,208,1800.0,8,H100,80.0,False,,nvidia,\n")
    text = run(lists, "-o", str(out))
    assert "1 questioned: far below the card's median, not ranked" in text
    (price,) = load_catalog(out, models=()).offers["lambda-gpu-8x-h100-sxm5-us-west-3"].prices
    assert not price.rankable and "of the median on-demand price of" in price.reason


def test_a_marketplace_is_indicative(tmp_path: Path) -> None:
    lists, out = tmp_path / "lists", tmp_path / "out"
    put(lists, "vast/vms.csv", SKYPILOT + "8x-H100-SXM,H100-SXM,8,1,1,24,,US,,\n")
    found = changes(lists, "-o", str(out))
    (new,) = [one for one in found.values() if one["what"] == "new"]
    assert new["now"]["evidence"] == "indicative"


def test_lines_that_cannot_be_read_are_named_and_retire_nothing(lists: Path) -> None:
    put(lists, "aws/vms.csv", SKYPILOT + AWS + "g6.xlarge,L4,1.0,4.0,16.0,abc,,us-east-1,us-east-1b,\n")
    document = json.loads(run(lists, "--format", "json"))
    assert [(one["line"], one["reason"]) for one in document["refused"]] == [(7, "there is no price")]
    retired = {one["offer_id"] for one in document["changes"] if one["what"] == "retired"}
    assert retired and "aws-g6-xlarge-1x-us-east-1" not in retired
    put(lists, "aws/vms.csv", SKYPILOT + AWS + "g6.xlarge,L4\n")
    document = json.loads(run(lists, "--format", "json"))
    assert document["refused"][0]["reason"].startswith("2 cells where the header has 10")
    assert not any(one["what"] == "retired" for one in document["changes"])


def test_a_provider_that_the_catalog_lacks_is_named(tmp_path: Path) -> None:
    put(tmp_path, "paperspace.csv", GPUHUNT + "L4x8,NY2,7.6,1,1,8,L4,24.0,False,,nvidia,\n")
    assert "paperspace.csv:2: paperspace is not in providers.csv" in " ".join(run(tmp_path, code=2).split())


def test_own_catalogs_are_copied_and_never_written_over_unasked(lists: Path, tmp_path: Path) -> None:
    own, out = tmp_path / "own", tmp_path / "out"
    header = "offer_id,provider,gpu,gpus_per_node,link,tier,amount,currency,price_date,price_source,rankable\n"
    put(own, "offers.csv", f"{header}mine,newco,l20_48,4,pcie,on_demand,9,CNY,2026-09-01,a quote,yes\n")
    put(own, "providers.csv", "id,aliases,class,country,name\nnewco,,neocloud,DE,New Co\n")
    options = ("--date", "2026-11-28", "--catalogs", str(own))
    with pytest.raises(UsageError, match="--in-place says that"):
        run(lists, *options, "-o", str(own))
    with pytest.raises(UsageError, match="--in-place writes over"):
        run(lists, "--in-place")
    run(lists, *options, "-o", str(out))
    assert (out / "providers.csv").read_bytes() == (own / "providers.csv").read_bytes()
    assert (own / "offers.csv").read_text().count("\n") == 2
    run(lists, *options, "--in-place")
    assert (own / "offers.csv").read_bytes() == (out / "offers.csv").read_bytes()
    found = load_catalog(own, models=()).offers
    assert found["mine"].prices[0].rankable and found["mine"].prices[0].currency == "CNY"
    assert found["aws-p5-48xlarge-us-east-1"].prices[0].amount == 49.24
    with (own / "offers.csv").open(encoding="utf-8", newline="") as stream:
        assert {row["rankable"] for row in csv.DictReader(stream)} == {"", "yes"}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "images.csv",
            "Region,ImageId\nus,ami-1\n",
            "holds no list of gpuhunt, SkyPilot, ec2instances: it has images.csv",
        ),
        ("vms.txt", "", "it has no CSV file"),
    ],
)
def test_a_folder_without_lists_is_refused(name: str, text: str, says: str, tmp_path: Path) -> None:
    put(tmp_path, name, text)
    with pytest.raises(CatalogError, match=says):
        run(tmp_path)


def test_a_day_ahead_of_today_is_refused(lists: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CatalogError, match="2026-12-01 is ahead of today, 2026-11-30"):
        run(lists, "--date", "2026-12-01")
    monkeypatch.setenv(TODAY, "2026-11-26")
    with pytest.raises(CatalogError, match="was last written on 2026-11-27, ahead of today"):
        run(lists)


def test_what_moved_in_chinese(lists: Path, tmp_path: Path) -> None:
    """Everything that the command says itself; what is quoted of a list stays as it is."""
    put(lists, "lambda/vms.csv", SKYPILOT + "gpu_1x_h100,H100,1.0,26.0,200.0,0.2,,us-east-1,,\n,H100,1.0,1,1,x,,a,,\n")
    put(lists, "runpod.csv", GPUHUNT + "NVIDIA B200,CA,5.49,28,180,1,B200,180,False,,nvidia,\n")
    said = [
        run(lists, "--lang", "zh"),
        run(lists, "--lang", "zh", "--date", "2026-11-28", "-o", str(tmp_path / "out")),
    ]
    for text in said:
        assert {"清单", "日期", "依据"} <= {line[:2] for line in text.splitlines()}
        assert max(columns_of(line) for line in text.splitlines() if str(tmp_path) not in line) <= 80
        prose = re.sub(r"--\w+(?:-\w+)*(?: DIR| DAY| json)?|\S*[./_]\S*|-o DIR", "*", " ".join(text.split()))
        assert re.findall(r"\b(?!aws|runpod|lambda|vultr|bare)[a-z]{2,} [a-z]{2,}\b", prose) == []
    assert "没有写出" in said[0]
    assert "使用方法：--catalogs" in said[1].replace("\n          ", "")
