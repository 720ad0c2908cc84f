"""How fast the GPUs of a replica talk: never faster than the bus, by host and by driver."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.performance.parameters import AllReduce, Parameters
from optimizer.performance.rates import link_bandwidth, link_rates_of
from optimizer.performance.types import ReplicaSpec
from optimizer.vocabulary import Link

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
OVER_PCIE = [
    "l40s_48",
    "rtx_pro_6000_server_96",
    "a10_24",
    "a100_pcie_80",
    "rtx_4090_24",
    "rtx_5090_32",
    "h100_pcie_80",
]


def reduced(spec: ReplicaSpec, params: Parameters) -> AllReduce:
    found = link_rates_of(spec, params).allreduce
    assert found is not None
    return found


@pytest.mark.parametrize("card", OVER_PCIE)
@pytest.mark.parametrize("tp", [2, 4, 8])
def test_an_all_reduce_over_pcie_is_never_faster_than_the_bus(make, params, card, tp) -> None:
    spec = make(card, LLAMA, tp=tp, link=Link.PCIE)
    for known in (True, False):
        bus = reduced(replace(spec, known_host=known), params).bus_bytes_s
        assert 0.01 * link_bandwidth(spec) < bus < 0.9 * link_bandwidth(spec)


def test_one_card_reduces_nothing(make, params) -> None:
    assert link_rates_of(make("l40s_48", LLAMA, link=Link.PCIE), params).allreduce is None


def test_geforce_cards_have_no_peer_to_peer(make, params) -> None:
    """RTX 4090 and L40S sit on the same bus, PCIe 4.0 x16."""
    licensed, geforce = (reduced(make(card, LLAMA, tp=2), params) for card in ("l40s_48", "rtx_4090_24"))
    assert geforce.bus_bytes_s < 0.6 * licensed.bus_bytes_s
    assert geforce.latency_s > licensed.latency_s


@pytest.mark.parametrize(("tp", "slower"), [(2, False), (4, True), (8, True)])
def test_from_four_cards_on_a_plan_gets_the_slowest_host(make, params, tp, slower) -> None:
    """3.76 and 1.95 of 32 GB/s at 4 and 8 cards: L40S host A (catalogs/kernels/README.md)."""
    spec = make("l40s_48", LLAMA, tp=tp)
    plan, measured = (reduced(replace(spec, known_host=known), params).bus_bytes_s for known in (False, True))
    assert (plan < measured) is slower
    if slower:
        assert plan == pytest.approx({4: 3.76e9, 8: 1.95e9}[tp], rel=0.01)


def test_a_fabric_does_not_care_about_the_host(make, params) -> None:
    spec = make("h100_sxm_80", LLAMA, tp=8)
    assert reduced(spec, params) == reduced(replace(spec, known_host=True), params)
