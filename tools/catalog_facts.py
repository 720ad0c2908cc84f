"""Facts and classifications that stand in no source file: each with where it comes from."""

from __future__ import annotations

import re

_CAPABILITY_BY_ARCH = {
    "volta": "7.0",
    "turing": "7.5",
    "ampere": "8.6",
    "ada": "8.9",
    "hopper": "9.0",
    "blackwell": "10.0",
    "blackwell_ultra": "10.3",
    "blackwell_rtx": "12.0",
}
_GA100 = re.compile(r"a(100|800|30)_")


def compute_capability(gpu: str, arch: str) -> str:
    """CUDA compute capability (developer.nvidia.com/cuda-gpus); GA100 parts are 8.0, other Ampere 8.6."""
    return "8.0" if _GA100.match(gpu) else _CAPABILITY_BY_ARCH.get(arch, "")


SIBLINGS = {
    "a100_pcie_40": "a100_pcie_80",
    "a800_40_active": "a100_pcie_80",
    "a800_pcie_80": "a100_pcie_80",
    "a800_sxm_80": "a100_sxm_80",
    "gb300_288": "b300_sxm_288",
    "gh200_144": "gh200_96",
    "h100_nvl_94": "h100_sxm_80",
    "h20_141": "h200_sxm_141",
    "h20_96": "h200_sxm_141",
    "h200_nvl_141": "h200_sxm_141",
    "h800_pcie_80": "h100_pcie_80",
    "h800_sxm_80": "h100_sxm_80",
    "l2_24": "l4_24",
    "l20_48": "l40s_48",
    "l40_48": "l40s_48",
    "mi308x_192": "mi300x_192",
    "mi350x_288": "mi355x_288",
    "rtx_3090_24": "rtx_3090ti_24",
    "rtx_4090_48mod": "rtx_4090_24",
    "rtx_4090d_24": "rtx_4090_24",
    "rtx_5090_d_32": "rtx_5090_32",
    "rtx_6000_ada_48": "l40s_48",
    "rtx_pro_6000_maxq_96": "rtx_pro_6000_server_96",
    "rtx_pro_6000_ws_96": "rtx_pro_6000_server_96",
    "ascend_910b1_64": "ascend_910b2_64",
    "ascend_910b3_64": "ascend_910b2_64",
}
"""Cards without measurements -> the measured card of the same chip, or of the same generation and memory kind."""


def obtainable(export_note: str, market: str) -> tuple[str, str]:
    """(yes | restricted | unknown, since) of a card in a market, read off its export note. A flag, never a permit."""
    since = re.findall(r"\d{4}-\d{2}", export_note)
    if market == "us":
        return ("unknown", "") if not export_note or export_note.startswith("CN") else ("yes", "")
    if not export_note or export_note == "unofficial":
        return "unknown", ""
    if "CN sale allowed" in export_note:
        return "yes", since[-1]
    if export_note.startswith("CN") and not since:
        return "yes", ""
    return "restricted", since[0]


_QUANTS = (
    ("NVFP4", "nvfp4"),
    ("MXFP4", "mxfp4"),
    ("FP4 experts", "mxfp4"),
    ("FP8 KV", ""),
    ("FP8", "fp8"),
    ("INT8 W8A16", ""),
    ("INT8", "int8"),
    ("INT4", "int4"),
)


def quant_of(text: str) -> str:
    """Catalog name of a published weight format; blank where it is none of ours (8-bit weight-only, KV formats)."""
    return next((quant for word, quant in _QUANTS if word in text), "")


CARD_MODELS = {
    "Llama-3.1-8B-Instruct": "meta-llama/Llama-3.1-8B-Instruct",
    "Llama-3.1-70B-Instruct": "meta-llama/Llama-3.1-70B-Instruct",
    "Llama-3.1-405B-Instruct": "meta-llama/Llama-3.1-405B-Instruct",
    "Llama-3.3-70B-Instruct": "meta-llama/Llama-3.3-70B-Instruct",
}
"""Model names of the accuracy table -> catalog ids."""

ALIASES = {"vast-ai": "vast", "jarvis-labs": "jarvislabs", "msrp/street": "msrp-street", "nvidia->CN": "nvidia-cn"}
"""Provider names that mean the same provider, or that make no good id."""

ILLUSTRATIVE = frozenset({"campus-hpc", "cn-leasing"})
ESTIMATES = frozenset({"nvidia", "street", "cn-channel"})
"""Sellers whose whole-server rows are estimates, averages or hearsay rather than a quote."""

_DATE = "2026-11-21"
RECOVERY_COLUMNS = "format min_params recovery source source_date notes"
_RECOVERY = "defaults suggested with the collected accuracy tables"
RECOVERY = (
    ("fp8", "0", "0.995", _RECOVERY + "; arXiv 2411.02355, 2505.20276", _DATE, ""),
    ("int8", "0", "0.985", _RECOVERY + "; arXiv 2411.02355", _DATE, ""),
    ("int4", "0", "0.965", _RECOVERY, _DATE, "stated for 8B and below; also taken between 8B and 30B"),
    ("int4", "30000000000", "0.98", _RECOVERY, _DATE, "warn at contexts of 64K and more (arXiv 2505.20276)"),
    ("nvfp4", "0", "0.98", _RECOVERY, _DATE, ""),
    ("mxfp4", "0", "0.94", _RECOVERY + "; intel/auto-round", _DATE, "a model whose native format this is: 1.0"),
    ("kv_fp8", "0", "0.99", _RECOVERY + "; vLLM blog 2026-04-22", _DATE, ""),
)

FX_COLUMNS = "currency per_usd date kind source"
FX = (
    ("CNY", "7.1", "2026-09-24", "assumption", "round figure, dated to the newest CNY price; set payment.fx for yours"),
    ("EUR", "0.86", "2026-09-24", "assumption", "round figure; set payment.fx for yours"),
)
