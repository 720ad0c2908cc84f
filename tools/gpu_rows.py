"""One row per card: memory, link and power as collected, and where each may be had."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tools import catalog_facts as facts
from tools.source_tables import COLLECTED, Row, Table, number


def form_of(gpu: Row) -> str:
    """``module`` for boards soldered or socketed onto a baseboard, ``card`` for anything in a PCIe slot."""
    return "card" if gpu["form_factor"].startswith("PCIe") else "module"


def fallback_ratio(gpu: Row, gpus: Sequence[Row]) -> float:
    """Lowest reported/marketed memory of the kind: same vendor and form; without one, of the form."""
    known = [
        (g["vendor"], form_of(g), float(g["memory_mib_reported"]) / 1024 / float(g["memory_gb"]))
        for g in gpus
        if g["memory_mib_reported"]
    ]
    same_kind = [ratio for vendor, form, ratio in known if (vendor, form) == (gpu["vendor"], form_of(gpu))]
    return min(same_kind or [ratio for _, form, ratio in known if form == form_of(gpu)])


def memory_of(gpu: Row, gpus: Sequence[Row]) -> tuple[str, str]:
    """Memory in MiB and what it rests on: reported, sibling (taken over in the source) or fallback."""
    if gpu["memory_mib_reported"]:
        assumed = "MiB assumed" in gpu["memory_gb_convention"] or "MiB assumed" in gpu["notes"]
        return number(gpu["memory_mib_reported"]), "sibling" if assumed else "reported"
    return str(int(float(gpu["memory_gb"]) * 1024 * fallback_ratio(gpu, gpus))), "fallback"


_LINKS = (
    ("nvswitch", "nvswitch"),
    ("hybrid-cube-mesh", "nvswitch"),
    ("bridge-pair", "nvlink_pair"),
    ("nvlink-c2c", "nvlink_pair"),
    ("infinity-fabric", "xgmi"),
    ("hccs full mesh", "hccs"),
    ("UB/HCCS", "hccs"),
)


def link_of(gpu: Row) -> tuple[str, str, str]:
    """Link of the usual form, its GB/s over both directions, and the largest domain."""
    topology = gpu["nvlink_topology"]
    link = next((link for prefix, link in _LINKS if topology.startswith(prefix)), "pcie")
    if link == "pcie":
        return link, "0", "1"
    domain = "2" if link == "nvlink_pair" else number(gpu["max_nvlink_domain_gpus"])
    return link, number(gpu["nvlink_bandwidth_gb_s_total_bidirectional_per_gpu"]), domain


def node_overhead_of(gpu: Row) -> tuple[str, str]:
    """Non-GPU power of a node, W per GPU, and the rule it follows."""
    tdp = float(gpu["tdp_w"])
    if form_of(gpu) == "card":
        return number(str(min(410.0, round(tdp * 410 / 400)))), "card: 410/400 of TDP, at most 410 W (assumption)"
    if tdp >= 600 or gpu["arch"].startswith("hopper"):
        return "580", "H100-class module: 0.58 kW"
    return "410", "A100-class module: 0.41 kW"


def has_arm_host(gpu: Row) -> bool:
    """Whether the card comes with a Grace host (Arm): the superchips and the trays made of them."""
    return "grace" in gpu["arch"]


def gpu_row(gpu: Row, gpus: Sequence[Row]) -> dict[str, str]:
    """One row of gpus.csv."""
    memory, basis = memory_of(gpu, gpus)
    link, link_speed, domain = link_of(gpu)
    overhead, overhead_basis = node_overhead_of(gpu)
    arch = re.sub(r"\(.*\)|\+grace", "", gpu["arch"]).replace("-", "_")
    return {
        "id": gpu["id"],
        "vendor": gpu["vendor"],
        "architecture": arch,
        "compute_capability": facts.compute_capability(gpu["id"], arch),
        "memory_marketed_gb": number(gpu["memory_gb"]),
        "memory_mib": memory,
        "memory_basis": basis,
        "memory_bandwidth_gb_s": number(gpu["memory_bandwidth_gb_s"]),
        "bf16_dense_tflops": number(gpu["fp16_bf16_dense_tflops_fp32acc"]),
        "fp8_dense_tflops": number(gpu["fp8_dense_tflops"]),
        "int8_dense_tops": number(gpu["int8_dense_tops"]),
        "fp4_dense_tflops": number(gpu["fp4_dense_tflops"]),
        "supports_bf16": gpu["supports_bf16"],
        "supports_fp8": gpu["supports_fp8"],
        "supports_fp4": gpu["supports_fp4"],
        "link": link,
        "link_gb_s_both_directions": link_speed,
        "link_domain_gpus": domain,
        "link_as_published": gpu["nvlink_topology"],
        "pcie_generation": gpu["pcie_gen"],
        "pcie_lanes": gpu["pcie_lanes"],
        "tdp_w": number(gpu["tdp_w"]),
        "node_overhead_w_per_gpu": overhead,
        "node_overhead_basis": overhead_basis,
        "form_factor": gpu["form_factor"],
        "release_year": gpu["release_year"],
        "datacenter_licensed": gpu["datacenter_license_ok"],
        "sibling": facts.SIBLINGS.get(gpu["id"], ""),
        "confidence": gpu["confidence"],
        "export_note": gpu["export_note"],
        "source": gpu["source"],
        "source_date": COLLECTED,
        "notes": gpu["notes"],
        "host_architecture": "arm64" if has_arm_host(gpu) else "",
    }


def market_rows(gpus: Sequence[Row]) -> Table:
    """Obtainability of each card in China and the United States, read off the export note."""
    rows: Table = []
    for gpu in gpus:
        for market in ("cn", "us"):
            flag, since = facts.obtainable(gpu["export_note"], market)
            rows.append(
                {
                    "gpu": gpu["id"],
                    "market": market,
                    "obtainable": flag,
                    "since": since,
                    "basis": gpu["export_note"] or "nothing stated",
                    "source": gpu["source"],
                    "source_date": COLLECTED,
                }
            )
    return sorted(rows, key=lambda row: (row["gpu"], row["market"]))
