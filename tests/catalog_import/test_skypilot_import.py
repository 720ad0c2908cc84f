"""SkyPilot's vms.csv in the dialects that clouds write it in."""

from __future__ import annotations

import csv

import pytest

from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.importers.names import Aliases, Mapped, Unmapped, parse_gpu_info, read_names
from optimizer.catalog.importers.price_list import Imported, harmless, offers_csv, providers_csv, summary
from optimizer.catalog.importers.skypilot import import_skypilot
from optimizer.catalog.types import Catalog
from optimizer.errors import CatalogError
from optimizer.vocabulary import Link, Tier


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(models=())


@pytest.fixture(scope="module")
def names(catalog: Catalog) -> Aliases:
    return read_names(catalog.gpus, [default_root()])


def python_info(name: str, count: float, size: float, total: float) -> str:
    info = {"Gpus": [{"Name": name, "Count": count, "MemoryInfo": {"SizeInMiB": size}}], "TotalGpuMemoryInMiB": total}
    return str(info)


@pytest.fixture
def listed(tmp_path, catalog, names):
    def imported(cloud: str, rows: list[dict[str, object]], **options: str) -> Imported:
        path = tmp_path / cloud / "vms.csv"
        path.parent.mkdir(exist_ok=True)
        header = list(dict.fromkeys(name for row in rows for name in row))
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, header, restval="")
            writer.writeheader()
            writer.writerows(rows)
        return import_skypilot([path], names, catalog.providers, **{"date": "2026-09-24", **options})

    return imported


def row(instance: str, card: str, count: object, price: object, spot: object = "", **more: object) -> dict[str, object]:
    filled = {"InstanceType": instance, "AcceleratorName": card, "AcceleratorCount": count, "Price": price}
    return {**filled, "SpotPrice": spot, "Region": "r1", "GpuInfo": "", **more}


@pytest.mark.parametrize(
    ("cloud", "instance", "card", "count", "info", "gpu"),
    [
        ("aws", "p5.48xlarge", "H100", 8, python_info("H100", 8, 81920, 655360), "h100_sxm_80"),
        ("aws", "p4d.24xlarge", "A100", 8, python_info("A100", 8, 40960, 327680), "a100_sxm_40"),
        ("aws", "p4de.24xlarge", "A100-80GB", 8, python_info("A100", 8, 81920, 655360), "a100_sxm_80"),
        ("lambda", "gpu_8x_a100", "A100", 8.0, python_info("A100", 8.0, 40960, 40960), "a100_sxm_40"),
        ("lambda", "gpu_1x_h100_pcie", "H100", 1.0, "", "h100_pcie_80"),
        ("runpod", "1x_A100-80GB_SECURE", "A100-80GB", 1.0, python_info("A100 PCIe", 1, 80, 80), "a100_pcie_80"),
        ("vast", "2x-H100_NVL-32-65536", "H100", 2, python_info("H100", 2, 191660, 191660), "h100_nvl_94"),
        ("vast", "4x-RTX_4090-32-65536", "RTX4090", 4, python_info("RTX4090", 4, 98256, 98256), "rtx_4090_24"),
        ("vast", "1x-RTX_6000Ada-32-65536", "RTX6000-Ada", 1, "", "rtx_6000_ada_48"),
        ("verda", "1H100.80S.32V", "H100", 1.0, '{"Gpus": [{"MemoryInfo": {"SizeInMiB": 81920}}]}', "h100_sxm_80"),
        ("do", "gpu-h100x8-640gb", "H100", 8, python_info("h100", 8.0, 81559, 81559).lower(), "h100_sxm_80"),
        ("azure", "Standard_NC24ads_A100_v4", "A100-80GB", 1, "", "a100_pcie_80"),
        ("oci", "BM.GPU.MI300X.8", "MI300X", 8, python_info("MI300X", 8, 196608, 1572864), "mi300x_192"),
    ],
)
def test_each_dialect_leads_to_its_card(listed, cloud, instance, card, count, info, gpu):
    read = listed(cloud, [row(instance, card, count, 9.5, GpuInfo=info)])
    assert [price.node.gpu for price in read.prices] == [gpu]
    assert read.prices[0].amount == 9.5
    assert not read.left_out


def test_a_name_that_several_cards_bear_is_left_out_with_its_line(listed):
    read = listed("vast", [row("1x-H100", "H100", 1, 2.1), row("1x-L4", "L4", 1, 0.4)])
    assert [price.node.gpu for price in read.prices] == ["l4_24"]
    (left,) = read.left_out
    assert left.line == 2
    assert "may be h100_nvl_94, h100_pcie_80, h100_sxm_80" in left.reason


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("0", "not above 0"),
        ("0.0", "not above 0"),
        ("-1", "not above 0"),
        ("inf", "not a number"),
        ("1,5", "not a number"),
    ],
)
def test_a_price_that_is_none_is_refused(listed, price, reason):
    read = listed("aws", [row("g6", "L4", 1, price, 0.3)])
    assert [(found.tier, found.amount) for found in read.prices] == [(Tier.SPOT, 0.3)]
    assert reason in read.left_out[0].reason


def test_blank_prices_and_machines_without_cards_are_said(listed):
    read = listed(
        "aws", [row("g6", "L4", 1, "", ""), row("m5", "", "", 0.2), row("x", "", 0, 0.2), row("t", "TPU", 0.5, 1)]
    )
    assert read.without_gpu == 2
    assert sorted(left.reason for left in read.left_out) == [
        "AcceleratorCount '0.5' is not a whole number of cards",
        "no price",
    ]


def test_of_the_zones_of_a_region_the_cheapest_of_each_tier_counts(listed):
    rows = [
        row("p5", "H100", 8, 98.3, 40.0, AvailabilityZone="a"),
        row("p5", "H100", 8, 98.3, 31.5, AvailabilityZone="b"),
        row("p5", "H100", 8, 97.0, 50.0, AvailabilityZone="c"),
        row("p5", "H100", 8, 99.0, 60.0, Region="r2"),
    ]
    read = listed("aws", rows)
    found = {(price.node.region, price.tier): (price.amount, price.source) for price in read.prices}
    assert found["r1", Tier.ON_DEMAND] == (97.0, "SkyPilot catalog, aws/vms.csv, zone c")
    assert found["r1", Tier.SPOT] == (31.5, "SkyPilot catalog, aws/vms.csv, zone b")
    assert len(found) == 4
    assert read.duplicates == 4


def test_gcp_hosts_and_accelerators_are_added_zone_by_zone(listed):
    rows = [
        row("a3-highgpu-8g", "", "", 10.0, 2.0, AvailabilityZone="z1"),
        row("a3-highgpu-8g", "", "", 11.0, 3.0, AvailabilityZone="z2", Region="r2"),
        row("", "H100", 8.0, 78.0, 20.0, AvailabilityZone="z1"),
        row("", "H100", 4, 39.0, 10.0, AvailabilityZone="z1"),
    ]
    read = listed("gcp", rows)
    assert {price.tier: price.amount for price in read.prices} == {Tier.ON_DEMAND: 88.0, Tier.SPOT: 22.0}
    assert read.prices[0].node.gpu == "h100_sxm_80"
    assert [left.reason for left in read.left_out] == ["H100: the price of accelerators alone, without an instance"]
    assert read.without_gpu == 1


def test_a_cloud_nobody_lists_brings_its_own_provider(listed, tmp_path):
    read = listed("paperspace", [row("A6000x2", "A6000", 2, 3.86)])
    (tmp_path / "offers.csv").write_text(offers_csv(read), encoding="utf-8")
    (tmp_path / "providers.csv").write_text(providers_csv(read), encoding="utf-8")
    offer = load_catalog(tmp_path, models=()).offers["paperspace-a6000x2-r1"]
    assert (offer.gpu, offer.gpus_per_node, offer.link) == ("rtx_a6000_48", 2, Link.PCIE)


def test_a_list_whose_cloud_is_not_known_asks_for_it(listed):
    with pytest.raises(CatalogError, match="--provider"):
        listed("somewhere", [row("x", "L4", 1, 1.0)])
    assert listed("somewhere", [row("x", "L4", 1, 1.0)], provider="aws").prices[0].node.provider == "aws"
    with pytest.raises(CatalogError, match="not in providers"):
        listed("somewhere", [row("x", "L4", 1, 1.0)], provider="nobody")


def test_columns_that_are_missing_are_named(tmp_path, names, catalog):
    path = tmp_path / "aws.csv"
    path.write_text("InstanceType,Price\nx,1\n", encoding="utf-8")
    with pytest.raises(CatalogError, match=r"aws.csv:1:1: column acceleratorname is missing"):
        import_skypilot([path], names, catalog.providers)


def test_prices_without_a_day_are_reference(listed, tmp_path):
    read = listed("aws", [row("g6", "L4", 1, 0.8)], date="")
    assert "state --date" in summary(read)
    (tmp_path / "offers.csv").write_text(offers_csv(read), encoding="utf-8")
    (price,) = load_catalog(tmp_path, models=()).offers["aws-g6-r1"].prices
    assert not price.rankable


def test_the_same_list_in_another_order_gives_the_same_bytes(listed):
    rows = [row(f"i{n}", "L4", 1 + n % 2, 1 + n / 7, 0.3, Region=f"r{n % 5}") for n in range(40)]
    assert offers_csv(listed("aws", rows)) == offers_csv(listed("aws", rows[::-1]))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-cmd", "@x", "\t=1", "=HYPERLINK(1)\n"])
def test_no_cell_is_a_formula(listed, text):
    read = listed("aws", [row(f"{text}", "L4", 1, 0.8, Region=text)], source=text)
    cells = next(csv.DictReader(offers_csv(read).splitlines()))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells.values())
    assert harmless(text).startswith("'")


@pytest.mark.parametrize("text", ["", "tpu-v3-32", "{", "{'Gpus': []}", "{'Gpus': [3]}", "[" * 5000, "{'Gpus': None}"])
def test_gpu_info_that_says_nothing_is_no_error(text):
    assert parse_gpu_info(text, 1).memory == ()


@pytest.mark.parametrize(
    ("name", "gpu"),
    [
        ("NVIDIA A100-SXM4-80GB", "a100_sxm_80"),
        ("Tesla V100-PCIE-32GB", "v100_pcie_32"),
        ("H20 141GB", "h20_141"),
        ("H20", "h20_96"),
        ("昇腾910B4", "ascend_910b4_32"),
        ("Ascend 910B2", "ascend_910b2_64"),
        ("h100_sxm_80", "h100_sxm_80"),
        ("GeForce RTX 4090 D", "rtx_4090d_24"),
        ("RTX 4090 48G", "rtx_4090_48mod"),
    ],
)
def test_names_of_cards(names, gpu, name):
    found = names.gpu(name)
    assert isinstance(found, Mapped)
    assert found.gpu == gpu


@pytest.mark.parametrize("name", ["K80", "H100 40GB", "", "A800x", "RTX PRO 6000"])
def test_names_that_lead_nowhere_say_why(names, name):
    assert isinstance(names.gpu(name), Unmapped)


def test_every_alias_leads_to_a_card_of_the_catalog(names, catalog):
    cards = {alias.id for key, rows in names.by_name.items() if key[0] == "gpu" for alias in rows}
    assert cards <= set(catalog.gpus)
    assert set(catalog.gpus) - cards <= {"a16_16x4"}
