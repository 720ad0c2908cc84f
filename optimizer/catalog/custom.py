"""A card of the user's own: the fields of gpus.csv that the problem file states, the rest from a named sibling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optimizer.catalog.types import Catalog, Gpu
from optimizer.vocabulary import Link

if TYPE_CHECKING:
    from optimizer.problem.schema_hardware import CustomGpu

_FIELDS = (
    ("vendor", "vendor"),
    ("architecture", "arch"),
    ("compute_capability", "compute_capability"),
    ("memory_marketed_gb", "memory_gb"),
    ("memory_mib", "memory_mib"),
    ("memory_bandwidth_gb_s", "bandwidth_gb_s"),
    ("bf16_dense_tflops", "bf16_tflops"),
    ("fp8_dense_tflops", "fp8_tflops"),
    ("int8_dense_tops", "int8_tops"),
    ("fp4_dense_tflops", "fp4_tflops"),
    ("supports_bf16", "supports_bf16"),
    ("supports_fp8", "supports_fp8"),
    ("supports_fp4", "supports_fp4"),
    ("link_gb_s_both_directions", "link_gb_s"),
    ("link_domain_gpus", "link_domain_gpus"),
    ("pcie_generation", "pcie_gen"),
    ("pcie_lanes", "pcie_lanes"),
    ("tdp_w", "tdp_w"),
    ("node_overhead_w_per_gpu", "node_overhead_w"),
    ("form_factor", "form_factor"),
    ("release_year", "release_year"),
    ("datacenter_licensed", "datacenter_licensed"),
    ("export_note", "export_note"),
    ("source", "source"),
    ("notes", "notes"),
)
"""Keys of ``hardware.custom`` (columns of gpus.csv) and the fields of a card that they state."""


def with_custom(catalog: Catalog, cards: Iterable[CustomGpu]) -> Catalog:
    """The catalog with the user's own cards. A card that is there already, and the same, stays the same object."""
    gpus = {key: gpu for key, gpu in catalog.gpus.items() if not gpu.custom}
    for card in cards:
        made, there = _card(card, gpus[card.sibling]), catalog.gpus.get(card.id)
        gpus[card.id] = there if there is not None and there == made else made
    return catalog if gpus == dict(catalog.gpus) else replace(catalog, gpus=gpus)


def _card(card: CustomGpu, sibling: Gpu) -> Gpu:
    stated: dict[str, Any] = {field: value for key, field in _FIELDS if (value := getattr(card, key)) is not None}
    if card.link is not None:
        stated["link"] = Link(card.link)
    if "memory_gb" in stated and "memory_mib" not in stated:  # the driver reports as large a share as on the sibling
        stated["memory_mib"] = int(stated["memory_gb"] * sibling.memory_mib / sibling.memory_gb)
        stated["memory_is_fallback"] = True
    told = {"source": "the problem file", "notes": f"what it does not state is that of {sibling.id}", "export_note": ""}
    return replace(
        sibling,
        **{**told, **stated},
        id=card.id,
        sibling=sibling.sibling or sibling.id,
        confidence="medium",
        custom=True,
    )
