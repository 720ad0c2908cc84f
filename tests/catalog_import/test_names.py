"""Names of cards in outside lists, and SkyPilot's vms.csv in the dialects that clouds write it in."""

from __future__ import annotations

import csv

import pytest

from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.importers.names import Aliases, Mapped, Unmapped, parse_gpu_info, read_names
from optimizer.catalog.importers.quote_rows import Options
from optimizer.catalog.importers.quotes import read_quotes
from optimizer.catalog.types import Catalog


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
    def lines(cloud, instance, card, count, info=""):
        path = tmp_path / cloud / "vms.csv"
        path.parent.mkdir()
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["InstanceType", "AcceleratorName", "AcceleratorCount", "Price", "Region", "GpuInfo"])
            writer.writerow([instance, card, count, 9.5, "r1", info])
        return read_quotes([path], catalog, names, Options()).lines

    return lines


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
    (line,) = listed(cloud, instance, card, count, info)
    assert (line.gpu, line.amount) == (gpu, 9.5), line.reason


def test_a_name_that_several_cards_bear_is_refused_with_its_line(listed):
    (line,) = listed("vast", "1x-H100", "H100", 1)
    assert (line.gpu, line.line) == (None, 2)
    assert all(card in line.reason for card in ("h100_nvl_94", "h100_pcie_80", "h100_sxm_80"))


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
