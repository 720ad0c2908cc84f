"""Build ``catalogs/`` from the raw facts in ``data/``.

    python -m tools.build_catalogs

Deterministic: the same inputs give the same bytes; rows are sorted by id. What stands in no source file (engine
defaults, provider classes, recovery defaults, exchange rates) lives in ``engine_facts.py`` and ``catalog_facts.py``.
Decisions for doubtful rows are rules here and in ``price_rows.py``, each explained in ``catalogs/README.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tools import catalog_facts as facts
from tools import engine_facts, format_facts, provider_facts, region_facts
from tools.api_rows import api_rows
from tools.dated_prices import dated_rows
from tools.gpu_rows import gpu_row, market_rows
from tools.measurement_rows import measured_rows, step_rows, with_counts, written
from tools.memory_facts import cuda_totals, engine_default_rows, engine_option_rows, stored_rows, with_cuda
from tools.price_rows import price_rows
from tools.source_tables import COLLECTED, Row, Table, number, read, write
from tools.speculation_facts import speculation_rows

ROOT = Path(__file__).resolve().parent.parent


def launch_field(row: Row) -> tuple[str, str, str]:
    """The key of a field of a Kubernetes extension."""
    return row["kind"], row["api_version"], row["path"]


# Models ---------------------------------------------------------------------------------------------------------------

_BILLION = 1e9


def full_layer_bytes(model: Row) -> str:
    """KV bytes of the full-attention layers: none where every layer slides (the source repeats the sliding figure)."""
    return number(model["kv_bytes_full_layers_fp16"]) if model["full_attn_layers"] != "0" else "0"


def native_dtype(model: Row) -> str:
    """The main format of the published weights: DeepSeek-V4 states fp8 and stores its experts in fp4."""
    dtype = model["native_dtype"]
    if model["family"] == "DeepSeek-V4":
        return "mxfp4"
    return "int4" if dtype.startswith("int4") else dtype


def model_row(model: Row) -> dict[str, str]:
    """One row of models.csv: parameters in units, everything per token or per sequence in bytes."""
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
        "native_dtype": native_dtype(model),
        "context_limit_tokens": model["max_position_embeddings"],
        "legal_tp": model["legal_tp_le_32"],
        "fp8_block_legal_tp": model["fp8_block_legal_tp_no_ep"],
        "licence_unverified": model["license"],
        "source": model["source"],
        "source_date": COLLECTED,
        "notes": model["notes"],
    }


ANOTHER_MODEL = "release or variant"
"""Remark on a checkpoint that has the shape of its base, but other weights."""

COUNTED = ("fp8", "int8", "int4", "nvfp4", "mxfp4")
"""Weight formats that the planner counts."""

UNSERVED_METHODS = ("bitsandbytes",)
"""Ways of quantizing that are none of them: nf4 is no int4 of the engines' kernels."""


def checkpoint_rows(
    sizes: Sequence[Row], accuracy: Sequence[Row], models: Sequence[Row], published: Sequence[Row]
) -> Table:
    """Published checkpoints: the native one, those with a measured size, those with an accuracy card, and those that
    publishers and recipes name."""
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
                    "quant_method": "",
                    "engines": "",
                    "min_version": "",
                    "source": source,
                    "source_date": COLLECTED,
                },
            )

    for size in sizes:
        if size["checkpoint"] != "(formula)":
            add(size["base_model"], facts.quant_of(size["format"]), size["checkpoint"], size["size_gb"], size["source"])
    for card in accuracy:
        found = re.match(r"(?:HF|Hugging Face model) card ([\w.-]+/[\w.-]+)", card["source"])
        if found:
            model = facts.CARD_MODELS.get(card["model"], "")
            add(model, facts.quant_of(card["format"]), found[1], "", card["source"])
    for row in models:
        native = native_dtype(row)
        add(row["id"], "bf16" if native == "fp16" else native, row["id"], "", "native weights: " + row["source"])
    for row in published:
        other = ANOTHER_MODEL in row["notes"] or "may not exist" in row["notes"]
        if other or row["quant_method"].startswith(UNSERVED_METHODS) or row["weight_quant"] not in COUNTED:
            continue
        key = (row["base_model"], row["weight_quant"], row["checkpoint"])
        add(*key, row["size_gb"], row["source"])
        if key in rows:
            rows[key] |= {name: row[name] for name in ("quant_method", "engines", "min_version")}
            rows[key]["source_date"] = row["date"] if rows[key]["source"] == row["source"] else COLLECTED
    return [rows[key] for key in sorted(rows)]


# Offers ---------------------------------------------------------------------------------------------------------------


def table(header: str, lines: Iterable[Sequence[str]]) -> Table:
    """Rows from a header and tuples of text."""
    names = header.split()
    return [dict(zip(names, line, strict=True)) for line in lines]


def offer_rows(data: Path, gpus: Sequence[Row]) -> Table:
    """All prices: the dated collection, and of the first what it does not replace as well as what it retires."""
    cards = {gpu["id"]: gpu for gpu in gpus}
    dated = dated_rows(read(data / "dated_offers.csv"), cards)
    first = price_rows(read(data / "offers.csv"), cards, dated)
    return sorted([*dated, *first], key=lambda row: (row["offer_id"], row["tier"]))


def build(data: Path, target: Path) -> None:
    """Write every catalog file this script owns."""
    gpus = read(data / "gpus.csv")
    models = read(data / "models.csv")
    totals = cuda_totals(gpus, read(data / "cuda_total_memory.csv"))
    cards = (with_cuda(gpu_row(gpu, gpus), totals) for gpu in gpus)
    sizes, accuracy = read(data / "quantized_checkpoint_sizes.csv"), read(data / "quantization_accuracy.csv")
    configs = data / "configs"
    stored = stored_rows(configs, read(configs / "expected.csv"), read(data / "checkpoints.csv"), models)
    prices = read(data / "api_prices.csv")
    write(target / "gpus.csv", sorted(cards, key=lambda row: row["id"]))
    write(target / "markets.csv", market_rows(gpus))
    write(target / "models.csv", sorted(map(model_row, models), key=lambda row: row["id"]))
    write(target / "checkpoints.csv", checkpoint_rows(sizes, accuracy, models, read(data / "checkpoints.csv")))
    write(target / "offers.csv", offer_rows(data, gpus))
    providers = provider_facts.provider_rows(read(data / "provider_certificates.csv"))
    write(target / "providers.csv", table(provider_facts.PROVIDER_COLUMNS, providers))
    write(target / "api_prices.csv", api_rows(prices, [model["id"] for model in models]))
    write(target / "regions.csv", table(region_facts.REGION_COLUMNS, region_facts.REGIONS))
    write(target / "engines.csv", table(engine_facts.ENGINE_COLUMNS, sorted(engine_facts.ENGINES)))
    write(target / "formats.csv", table(format_facts.FORMAT_COLUMNS, sorted(format_facts.FORMATS)))
    write(target / "engine_defaults.csv", engine_default_rows(read(data / "engine_defaults.csv")))
    write(target / "engine_options.csv", engine_option_rows(read(data / "engine_options.csv")))
    write(target / "launch" / "fields.csv", sorted(read(data / "launch_fields.csv"), key=launch_field))
    write(target / "launch" / "dynamo.csv", read(data / "dynamo_releases.csv"))
    write(target / "stored_parts.csv", stored)
    write(target / "speculation.csv", speculation_rows(data, frozenset(model["id"] for model in models)))
    write(target / "quantization.csv", table(facts.RECOVERY_COLUMNS, facts.RECOVERY))
    write(target / "fx.csv", table(facts.FX_COLUMNS, facts.FX))
    mixtures = frozenset(model["id"] for model in models if int(float(model["moe_num_experts"] or 0)))
    measured = written([*measured_rows(data, mixtures)])
    write(target / "measurements" / "measurements.csv", measured)
    sources = with_counts(read(data / "measurement_sources.csv"), measured)
    write(target / "measurements" / "sources.csv", sources)
    write(target / "measurements" / "engine_steps.csv", written([*step_rows(data)]))


if __name__ == "__main__":
    build(ROOT / "data", ROOT / "catalogs")
