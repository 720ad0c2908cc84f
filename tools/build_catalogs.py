"""Build ``catalogs/*.csv`` from the collected source data.

    python tools/build_catalogs.py ../shared/data catalogs

Deterministic: the same inputs give the same bytes; rows are sorted by id. What stands in no source file (engine
defaults, provider classes, recovery defaults, exchange rates) lives in ``tools/catalog_facts.py``. Decisions for
doubtful rows are rules here, each explained in ``catalogs/README.md``.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import catalog_facts as facts

Row = Mapping[str, str]
Table = list[dict[str, str]]

COLLECTED = "2026-11-21"
"""Day the source data was taken over; rows whose source states no date of its own carry this one."""


def read(path: Path) -> Table:
    """All rows of a CSV file as text."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write rows with ``\\n`` line ends; the columns are those of the first row."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def number(text: str, scale: float = 1.0) -> str:
    """A figure without trailing zeros; blank and 0 stay apart."""
    if not text:
        return ""
    value = float(text) * scale
    return str(int(value)) if value == int(value) else repr(round(value, 9))


# GPUs -----------------------------------------------------------------------------------------------------------------


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


# Models ---------------------------------------------------------------------------------------------------------------

_BILLION = 1e9


def full_layer_bytes(model: Row) -> str:
    """KV bytes of the full-attention layers: none where every layer slides (the source repeats the sliding figure)."""
    return number(model["kv_bytes_full_layers_fp16"]) if model["full_attn_layers"] != "0" else "0"


def model_row(model: Row) -> dict[str, str]:
    """One row of models.csv: parameters in units, everything per token or per sequence in bytes."""
    dtype = model["native_dtype"]
    return {
        "id": model["id"],
        "family": model["family"],
        "total_params": number(model["total_params_b"], _BILLION),
        "active_params": number(model["active_params_b"], _BILLION),
        "embed_params": number(model["embed_params_b"], _BILLION),
        "head_params": number(model["lm_head_params_b"], _BILLION),
        "routed_expert_params": number(model["routed_expert_params_b"] or "0", _BILLION),
        "tied_embeddings": "yes" if model["tie_word_embeddings"] == "True" else "no",
        "layers": model["num_layers"],
        "hidden_size": model["hidden_size"],
        "intermediate_size": number(model["intermediate_size"].replace("variable", "") or "0"),
        "attention_heads": model["num_attention_heads"],
        "kv_heads": model["num_kv_heads"],
        "head_dim": model["head_dim"],
        "vocabulary": model["vocab_size"],
        "attention": "gqa" if model["attention_kind"] == "mqa" else model["attention_kind"],
        "sliding_window_tokens": number(model["sliding_window"] or "0"),
        "full_attention_layers": model["full_attn_layers"],
        "sliding_layers": model["swa_layers"],
        "linear_layers": model["linear_layers"],
        "layer_pattern": model["sliding_window_layer_pattern"],
        "mla_kv_lora_rank": number(model["kv_lora_rank"] or "0"),
        "mla_rope_head_dim": number(model["qk_rope_head_dim"] or "0"),
        "mla_nope_head_dim": number(model["qk_nope_head_dim"] or "0"),
        "mla_v_head_dim": number(model["v_head_dim"] or "0"),
        "kv_bytes_per_token_full_16bit": full_layer_bytes(model),
        "kv_bytes_per_token_sliding_16bit": number(model["kv_bytes_swa_layers_fp16"]),
        "linear_state_bytes_per_sequence": number(model["linear_state_bytes_per_seq"]),
        "index_bytes_per_token": number(model["dsa_index_bytes_per_token"]),
        "experts": number(model["moe_num_experts"] or "0"),
        "experts_per_token": number(model["moe_experts_per_token"] or "0"),
        "shared_experts": number(model["moe_num_shared_experts"] or "0"),
        "expert_intermediate_size": number(model["moe_intermediate_size"] or "0"),
        "first_dense_layers": number(model["first_dense_layers"] or "0"),
        "native_dtype": "int4" if dtype.startswith("int4") else dtype,
        "context_limit_tokens": model["max_position_embeddings"],
        "legal_tp": model["legal_tp_le_32"],
        "fp8_block_legal_tp": model["fp8_block_legal_tp_no_ep"],
        "licence_unverified": model["license"],
        "source": model["source"],
        "source_date": COLLECTED,
        "notes": model["notes"],
    }


def checkpoint_rows(sizes: Sequence[Row], accuracy: Sequence[Row], models: Sequence[Row]) -> Table:
    """Published checkpoints: the native one, those with a measured size, those with an accuracy card."""
    known = {model["id"] for model in models}
    rows: dict[tuple[str, str, str], dict[str, str]] = {}

    def add(model: str, quant: str, checkpoint: str, size: str, source: str) -> None:
        if model in known and quant:
            rows.setdefault(
                (model, quant, checkpoint),
                {
                    "model": model,
                    "weight_quant": quant,
                    "checkpoint": checkpoint,
                    "size_gb": number(size),
                    "source": source,
                    "source_date": COLLECTED,
                },
            )

    for size in sizes:
        if size["checkpoint"] != "(formula)":
            add(size["base_model"], facts.quant_of(size["format"]), size["checkpoint"], size["size_gb"], size["source"])
    for card in accuracy:
        found = re.match(r"HF card ([\w.-]+/[\w.-]+)", card["source"])
        if found:
            model = facts.CARD_MODELS.get(card["model"], "")
            add(model, facts.quant_of(card["format"]), found[1], "", card["source"])
    for row in models:
        native = "int4" if row["native_dtype"].startswith("int4") else row["native_dtype"]
        add(row["id"], "bf16" if native == "fp16" else native, row["id"], "", "native weights: " + row["source"])
    return [rows[key] for key in sorted(rows)]


# Offers ---------------------------------------------------------------------------------------------------------------

TIERS = {
    "price_per_hour_on_demand": "on_demand",
    "price_per_hour_spot": "spot",
    "price_reserved_1y": "reserved_1y",
    "price_reserved_3y": "reserved_3y",
    "purchase_price": "purchase",
}


def offer_link(offer: Row, gpu: Row) -> tuple[str, str]:
    """Link of the node and why."""
    said = offer["nvlink"]
    if int(offer["gpus_per_node"]) == 1:
        return "pcie", "one GPU: no link between GPUs"
    if said.startswith("unverified") or not said:
        return "unverified", "the source does not state it"
    if said == "no":
        return "pcie", "source says no NVLink"
    if said == "pair":
        return "nvlink_pair", "source says NVLink pairs"
    return link_of(gpu)[0], "source says NVLink or its like: the native link of the card"


def price_origin(offer: Row, tier: str) -> tuple[str, str]:
    """(date as stated, source) of one price: spot and reserved prices may come from elsewhere than the row."""
    marker = {"spot": "; spot", "reserved_1y": "; reserved:", "reserved_3y": "; reserved:"}.get(tier, "")
    base = re.split(r"; (?:spot|reserved)", offer["source"])[0]
    found = re.search(re.escape(marker) + r"\s*(?P<source>[^;]*)", offer["source"]) if marker else None
    if not found:
        return offer["date"], base
    source = (f"spot {found['source']}" if tier == "spot" else found["source"]).strip()
    dated = re.search(r"\d{4}-\d{2}-\d{2}", source)
    undated = re.search(r"undated[^)]*", source)
    return (dated[0] if dated else undated[0] if undated else "undated"), source


def day_of(stated: str) -> str:
    """ISO day of a stated date; a bare month counts from its first day; anything vaguer is undated (blank)."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", stated):
        return stated
    return f"{stated}-01" if re.fullmatch(r"\d{4}-\d{2}", stated) else ""


def order_of(stated: str) -> str:
    """Sort key of a stated date, vague ones by their earliest day."""
    year = re.search(r"\d{4}(-\d{2})*", stated)
    if not year or "<=" in stated:
        return ""
    return year[0] + "-07" if "H2" in stated else year[0]


def doubts(offer: Row, stated: str, gpu: Row) -> list[str]:
    """Why a price may not be ranked, apart from being superseded; empty when it may."""
    found = []
    if "median" in offer["source"] or "median" in offer["instance_type"]:
        found.append("median of a tracker")
    elif offer["instance_type"].startswith("per-gpu") or "(per GPU" in offer["instance_type"]:
        found.append("per-GPU row of a tracker")
    if offer["provider"] in facts.ILLUSTRATIVE:
        found.append("illustrative or internal price")
    if offer["kind"] == "purchase" and offer["gpus_per_node"] == "1":
        found.append("bare card, not a server")
    elif offer["kind"] == "purchase" and offer["provider"] in facts.ESTIMATES:
        found.append("estimate, not a quote")
    if not day_of(stated):
        found.append("undated")
    if offer["notes"] == "approx":
        found.append("approximate")
    if gpu["confidence"] == "low":
        found.append("card of low confidence")
    return found


def price_rows(offers: Sequence[Row], gpus: Mapping[str, Row]) -> Table:
    """One row per price, superseded prices marked."""
    rows: Table = []
    newest: dict[tuple[str, ...], str] = {}
    keys: list[tuple[tuple[str, ...], str]] = []
    for offer in offers:
        for column, tier in TIERS.items():
            if offer[column]:
                row, key, order = _price_row(offer, column, tier, gpus[offer["gpu_id"]])
                rows.append(row)
                keys.append((key, order))
                newest[key] = max(newest.get(key, ""), order)
    for row, (key, order) in zip(rows, keys, strict=True):
        if order < newest[key]:
            row["reason"] = "; ".join(filter(None, [row["reason"], "superseded by a newer price"]))
        row["rankable"] = "reference" if row["reason"] else "yes"
    return sorted(rows, key=lambda row: (row["offer_id"], row["tier"]))


def _price_row(offer: Row, column: str, tier: str, gpu: Row) -> tuple[dict[str, str], tuple[str, ...], str]:
    stated, source = price_origin(offer, tier)
    provider = facts.ALIASES.get(offer["provider"], offer["provider"])
    link, basis = offer_link(offer, gpu)
    region = "" if offer["region"] == "global" else offer["region"]
    row = {
        "offer_id": offer["offer_id"],
        "provider": provider,
        "instance_type": offer["instance_type"],
        "gpu": offer["gpu_id"],
        "gpus_per_node": offer["gpus_per_node"],
        "link": link,
        "link_basis": basis,
        "region": region,
        "network_gbps": number(offer["network_gbps"]),
        "tier": tier,
        "amount": number(offer[column]),
        "currency": offer["currency"],
        "price_date": day_of(stated),
        "price_date_as_stated": stated,
        "price_source": source,
        "rankable": "",
        "reason": "; ".join(doubts(offer, stated, gpu)),
        "notes": offer["notes"],
    }
    return row, (provider, offer["instance_type"], offer["gpu_id"], region, tier), order_of(stated)


def table(header: str, lines: Iterable[Sequence[str]]) -> Table:
    """Rows from a header and tuples of text."""
    names = header.split()
    return [dict(zip(names, line, strict=True)) for line in lines]


def build(data: Path, target: Path) -> None:
    """Write every catalog file this script owns."""
    gpus = read(data / "gpus.csv")
    models = read(data / "models.csv")
    write(target / "gpus.csv", sorted((gpu_row(gpu, gpus) for gpu in gpus), key=lambda row: row["id"]))
    write(target / "markets.csv", market_rows(gpus))
    write(target / "models.csv", sorted(map(model_row, models), key=lambda row: row["id"]))
    write(
        target / "checkpoints.csv",
        checkpoint_rows(
            read(data / "quantized_checkpoint_sizes.csv"), read(data / "quantization_accuracy.csv"), models
        ),
    )
    write(target / "offers.csv", price_rows(read(data / "offers.csv"), {gpu["id"]: gpu for gpu in gpus}))
    write(target / "providers.csv", table(facts.PROVIDER_COLUMNS, sorted(facts.PROVIDERS)))
    write(target / "engines.csv", table(facts.ENGINE_COLUMNS, sorted(facts.ENGINES)))
    write(target / "quantization.csv", table(facts.RECOVERY_COLUMNS, facts.RECOVERY))
    write(target / "fx.csv", table(facts.FX_COLUMNS, facts.FX))


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
