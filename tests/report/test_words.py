"""How figures read."""

from __future__ import annotations

import pytest

from optimizer.report import words
from optimizer.vocabulary import Link, Tier


@pytest.mark.parametrize(
    ("cents", "currency", "text"),
    [(842_000, "USD", "$8,420"), (842_050, "USD", "$8,421"), (6_100_000, "CNY", "CNY 61,000"), (-5, "USD", "$0"),
     (-100, "EUR", "-EUR 1")],
)  # fmt: skip
def test_money(cents: int, currency: str, text: str) -> None:
    assert words.money(cents, currency) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.7389, "0.74"),
        (31.44, "31"),
        (1234.0, "1,200"),
        (0.0996, "0.10"),
        (9.96, "10"),
        (0.0, "0"),
        (0.00123, "0.0012"),
    ],
)
def test_two_significant_digits(value: float, text: str) -> None:
    assert words.two_digits(value) == text


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [
        (124.0, 120.0, "124"),
        (131.0, 120.0, "130"),
        (120.04, 120.0, "120.04"),
        (119.0, 120.0, "120"),
        (0.10004, 0.1, "0.10004"),
        (1_234_567.0, 1_230_000.0, "1,235,000"),
        (120.00000001, 120.0, "120.000000"),
        (float("inf"), 120.0, "no end"),
    ],
)
def test_a_breach_is_seen_in_its_figures(value: float, limit: float, text: str) -> None:
    assert words.two_digits_beyond(value, limit) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (23.92, "$23.92"),
        (11.5342, "$11.5342"),
        (0.0832, "$0.0832"),
        (165, "$165.00"),
        (0, "$0.00"),
        (0.0000251, "$0.000025"),
        (0.001, "$0.001"),
        (0.00099, "$0.00099"),
    ],
)
def test_unit_price(amount: float, text: str) -> None:
    assert words.price(amount, "USD") == text


@pytest.mark.parametrize(
    ("gpu", "name"),
    [("h200_sxm_141", "H200 SXM 141GB"), ("rtx_4090_24", "RTX 4090 24GB"), ("rtx_6000_ada_48", "RTX 6000 Ada 48GB"),
     ("a100_pcie_40", "A100 PCIe 40GB"), ("h100_nvl_94", "H100 NVL 94GB"), ("l4_24", "L4 24GB"),
     ("rtx_pro_6000_server_96", "RTX PRO 6000 Server 96GB"), ("ascend_910b2_64", "Ascend 910B2 64GB")],
)  # fmt: skip
def test_gpu_names(gpu: str, name: str) -> None:
    assert words.gpu_name(gpu) == name


def test_tiers_say_how_long() -> None:
    assert words.tier_name(Tier.RESERVED_1Y, 12) == "1-year commitment"
    assert words.tier_name(Tier.ON_DEMAND, 0) == "on demand"
    assert words.tier_name(Tier.RESERVED_1Y, 6) == "1-year commitment for 6 months"


def test_direct_links_go_by_their_name() -> None:
    assert words.interconnect_name("nvlink", Link.NVSWITCH) == "NVLink"
    assert words.interconnect_name("nvlink", Link.XGMI) == "xGMI"
    assert words.interconnect_name("pcie", Link.UNVERIFIED) == "PCIe"
    assert words.interconnect_name("none", Link.PCIE) == "1 GPU each"


def test_limits_keep_their_digits() -> None:
    assert words.limit(1.25) == "1.25 s"
    assert words.limit(0.05) == "50 ms"
    assert words.limit(1.0) == "1 s"


def test_values_as_in_the_problem_file() -> None:
    assert words.yaml_scalar(None) == "null"
    assert words.yaml_scalar(True) == "yes"
    assert words.yaml_scalar(["fp8", "int4"]) == "[fp8, int4]"
    assert words.yaml_scalar(0.97) == "0.97"
