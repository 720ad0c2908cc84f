"""A small catalog and problems to price against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from optimizer.catalog.types import Catalog, FxRate, Gpu, Offer, Price
from optimizer.problem.schema import Problem
from optimizer.vocabulary import Link, ProviderClass, Tier

H100 = Gpu(
    id="h100_sxm_80",
    vendor="nvidia",
    arch="hopper",
    compute_capability=9.0,
    memory_gb=80,
    memory_mib=81559,
    memory_is_fallback=False,
    bandwidth_gb_s=3350,
    bf16_tflops=989,
    fp8_tflops=1979,
    int8_tops=1979,
    fp4_tflops=None,
    supports_bf16=True,
    supports_fp8=True,
    supports_fp4=False,
    link=Link.NVSWITCH,
    link_gb_s=900,
    link_domain_gpus=8,
    pcie_gen=5,
    pcie_lanes=16,
    tdp_w=700,
    node_overhead_w=580,
    form_factor="SXM5",
    release_year=2022,
    datacenter_licensed=True,
    sibling=None,
    confidence="high",
    export_note="US export-controlled to CN since 2022-10",
    source="data sheet",
    notes="",
)
RTX_4090 = replace(
    H100,
    id="rtx_4090_24",
    memory_gb=24,
    memory_mib=24564,
    link=Link.PCIE,
    link_domain_gpus=1,
    tdp_w=450,
    node_overhead_w=200,
    datacenter_licensed=False,
    export_note="",
)
A100_PCIE = replace(H100, id="a100_pcie_80", link=Link.NVLINK_PAIR, link_domain_gpus=2, tdp_w=300, node_overhead_w=410)
B100 = replace(H100, id="b100_192", confidence="low")

DAY = "2026-07-01"


def price(tier: Tier = Tier.ON_DEMAND, amount: float = 20.0, **changes: Any) -> Price:
    """A dated, rankable price in dollars."""
    return replace(Price(tier, amount, "USD", DAY, "price page", True, ""), **changes)


def offer(name: str = "aws-8x", *prices: Price, **changes: Any) -> Offer:
    """An 8x H100 node."""
    base = Offer(
        id=name,
        provider="aws",
        provider_class=ProviderClass.HYPERSCALER,
        country="US",
        instance_type="p5.48xlarge",
        gpu=H100.id,
        gpus_per_node=8,
        link=Link.NVSWITCH,
        region="us-east-1",
        prices=prices or (price(),),
    )
    return replace(base, **changes)


def catalog_of(*offers: Offer) -> Catalog:
    """A catalog with these offers, newest price of 2026-07-01 and a yuan rate."""
    return Catalog(
        gpus={gpu.id: gpu for gpu in (H100, RTX_4090, A100_PCIE, B100)},
        models={},
        offers={entry.id: entry for entry in offers},
        engines={},
        quant_facts=(),
        fx={"CNY": FxRate("CNY", 7.0, "2026-06-30", "central bank")},
        newest_price_date=DAY,
        root="catalogs",
    )


ONLINE = {"name": "chat", "model": "m", "traffic": {"requests_per_second": 1.0}}
TOKENS = {"input": 1000.0, "output": 100.0, "context_max": 2048}


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """Builds a problem: one online workload unless ``workloads`` is given."""

    def build(**sections: Any) -> Problem:
        workloads = sections.pop("workloads", (ONLINE,))
        document = {"path": "p.yaml", "sha256": "0", "workloads": tuple({**w, "tokens": TOKENS} for w in workloads)}
        return Problem.model_validate({**document, **sections})

    return build


@pytest.fixture
def make_offer() -> Callable[..., Offer]:
    return offer


@pytest.fixture
def make_price() -> Callable[..., Price]:
    return price


@pytest.fixture
def make_catalog() -> Callable[..., Catalog]:
    return catalog_of
