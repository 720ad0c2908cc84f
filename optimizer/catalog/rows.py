"""One function per catalog file: a row of text -> a frozen value, every defect noted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from optimizer.catalog.types import (
    Attention,
    Checkpoint,
    DraftFact,
    Engine,
    EngineDefault,
    FormatRule,
    FxRate,
    Gpu,
    MarketFlag,
    Model,
    Price,
    Provider,
    QuantFact,
    Region,
    StoredPart,
    TokenPrice,
)
from optimizer.files.csv_file import CsvRow
from optimizer.vocabulary import Evidence, Link, ProviderClass, Tier

T = TypeVar("T")
K = TypeVar("K")

LINKS: Mapping[str, Link] = {str(link): link for link in Link}
TIERS: Mapping[str, Tier] = {str(tier): tier for tier in Tier if tier is not Tier.OWNED}
PROVIDER_CLASSES: Mapping[str, ProviderClass] = {str(item): item for item in ProviderClass}
ATTENTIONS: Mapping[str, Attention] = {str(item): item for item in Attention}
CONFIDENCES: Mapping[str, str] = {word: word for word in ("high", "medium", "low")}
DTYPES: Mapping[str, str] = {word: word for word in ("bf16", "fp16", "fp8", "mxfp4", "int4")}
QUANTS = ("bf16", "fp8", "int8", "int4", "nvfp4", "mxfp4")
KV_CACHES = ("auto", "fp8")
EVIDENCES: Mapping[str, Evidence] = {str(item): item for item in Evidence}
RANKABLE: Mapping[str, bool] = {"yes": True, "reference": False}
CARD_NEEDS: Mapping[str, str] = {word: word for word in ("fp8", "int8")}
OBTAINABLE: Mapping[str, str] = {word: word for word in ("yes", "restricted", "unknown")}


def columns(text: str) -> tuple[str, ...]:
    """Names separated by blanks."""
    return tuple(text.split())


GPU_COLUMNS = columns(
    "id vendor architecture compute_capability memory_marketed_gb memory_mib memory_basis memory_bandwidth_gb_s "
    "bf16_dense_tflops fp8_dense_tflops int8_dense_tops fp4_dense_tflops supports_bf16 supports_fp8 supports_fp4 link "
    "link_gb_s_both_directions link_domain_gpus pcie_generation pcie_lanes tdp_w node_overhead_w_per_gpu form_factor "
    "release_year datacenter_licensed sibling confidence export_note source notes"
)
GPU_EXTRAS = columns(
    "host_architecture link_as_published node_overhead_basis source_date cuda_total_mib cuda_total_basis "
    "cuda_total_source"
)


def gpu(row: CsvRow) -> Gpu:
    """A row of gpus.csv."""
    return Gpu(
        id=row.required("id"),
        vendor=row.required("vendor"),
        arch=row.required("architecture"),
        compute_capability=row.number_or_none("compute_capability"),
        memory_gb=row.positive("memory_marketed_gb"),
        memory_mib=row.integer("memory_mib", 1),
        memory_is_fallback="fallback" in (row.text("memory_basis"), row.text("cuda_total_basis")),
        bandwidth_gb_s=row.positive("memory_bandwidth_gb_s"),
        bf16_tflops=row.number_or_none("bf16_dense_tflops"),
        fp8_tflops=row.number_or_none("fp8_dense_tflops"),
        int8_tops=row.number_or_none("int8_dense_tops"),
        fp4_tflops=row.number_or_none("fp4_dense_tflops"),
        supports_bf16=row.flag("supports_bf16"),
        supports_fp8=row.flag("supports_fp8"),
        supports_fp4=row.flag("supports_fp4"),
        link=row.choice("link", LINKS),
        link_gb_s=row.number("link_gb_s_both_directions"),
        link_domain_gpus=row.integer("link_domain_gpus", 1),
        pcie_gen=row.integer("pcie_generation", 1),
        pcie_lanes=row.integer("pcie_lanes", 1),
        tdp_w=row.positive("tdp_w"),
        node_overhead_w=row.number("node_overhead_w_per_gpu"),
        form_factor=row.text("form_factor"),
        release_year=row.integer_or_none("release_year", 1990, 2100),
        datacenter_licensed=row.flag("datacenter_licensed"),
        sibling=row.text("sibling") or None,
        confidence=row.choice("confidence", CONFIDENCES),
        export_note=row.text("export_note"),
        source=row.required("source"),
        notes=row.text("notes"),
        host_arch=row.text("host_architecture"),
        cuda_total_mib=row.number_or_none("cuda_total_mib") or 0.0,
    )


MODEL_COLUMNS = columns(
    "id family total_params active_params embed_params head_params routed_expert_params tied_embeddings layers "
    "hidden_size intermediate_size attention_heads kv_heads head_dim vocabulary attention sliding_window_tokens "
    "full_attention_layers sliding_layers linear_layers mla_kv_lora_rank mla_rope_head_dim mla_nope_head_dim "
    "mla_v_head_dim kv_bytes_per_token_full_16bit kv_bytes_per_token_sliding_16bit linear_state_bytes_per_sequence "
    "index_bytes_per_token experts experts_per_token shared_experts expert_intermediate_size first_dense_layers "
    "native_dtype context_limit_tokens legal_tp fp8_block_legal_tp licence_unverified source notes"
)
MODEL_EXTRAS = columns("layer_pattern source_date")


def model(row: CsvRow) -> Model:
    """A row of models.csv."""
    return Model(
        id=row.required("id"),
        family=row.required("family"),
        total_params=row.positive("total_params"),
        active_params=row.positive("active_params"),
        embed_params=row.number("embed_params"),
        head_params=row.number("head_params"),
        routed_expert_params=row.number("routed_expert_params"),
        num_layers=row.integer("layers", 1),
        hidden_size=row.integer("hidden_size", 1),
        intermediate_size=row.integer("intermediate_size"),
        num_attention_heads=row.integer("attention_heads", 1),
        num_kv_heads=row.integer("kv_heads", 1),
        head_dim=row.integer("head_dim", 1),
        vocab_size=row.integer("vocabulary", 1),
        attention=row.choice("attention", ATTENTIONS),
        sliding_window=row.integer("sliding_window_tokens"),
        full_attention_layers=row.integer("full_attention_layers"),
        sliding_layers=row.integer("sliding_layers"),
        linear_layers=row.integer("linear_layers"),
        kv_lora_rank=row.integer("mla_kv_lora_rank"),
        rope_head_dim=row.integer("mla_rope_head_dim"),
        nope_head_dim=row.integer("mla_nope_head_dim"),
        v_head_dim=row.integer("mla_v_head_dim"),
        kv_bytes_full_16bit=row.number("kv_bytes_per_token_full_16bit"),
        kv_bytes_sliding_16bit=row.number("kv_bytes_per_token_sliding_16bit"),
        linear_state_bytes=row.number("linear_state_bytes_per_sequence"),
        index_bytes_per_token=row.number("index_bytes_per_token"),
        num_experts=row.integer("experts"),
        experts_per_token=row.integer("experts_per_token"),
        shared_experts=row.integer("shared_experts"),
        expert_intermediate_size=row.integer("expert_intermediate_size"),
        first_dense_layers=row.integer("first_dense_layers"),
        native_dtype=row.choice("native_dtype", DTYPES),
        context_limit=row.integer("context_limit_tokens", 1),
        legal_tp=row.integers("legal_tp") or (1,),
        fp8_block_legal_tp=row.integers("fp8_block_legal_tp"),
        licence=row.text("licence_unverified"),
        source=row.required("source"),
        notes=row.text("notes"),
        tied_embeddings=row.flag("tied_embeddings"),
    )


PROVIDER_COLUMNS = columns("id aliases class country name")
PROVIDER_EXTRAS = columns("headquarters certificates source")


def provider(row: CsvRow) -> Provider:
    """A row of providers.csv."""
    return Provider(
        id=row.required("id"),
        aliases=row.words("aliases"),
        provider_class=row.choice("class", PROVIDER_CLASSES),
        country=row.text("country"),
        name=row.text("name") or row.text("id"),
        headquarters=row.text("headquarters"),
        certificates=tuple(part.strip() for part in row.text("certificates").split(";") if part.strip()),
        source=row.text("source"),
    )


REGION_COLUMNS = columns("provider region country source")


def region(row: CsvRow) -> Region:
    """A row of regions.csv."""
    return Region(row.required("provider"), row.required("region"), row.required("country"))


ENGINE_COLUMNS = columns(
    "id display_name vendors weight_quants kv_caches gpu_memory_utilization max_num_seqs max_num_batched_tokens "
    "profile source notes"
)
ENGINE_EXTRAS = columns(
    "large_memory_from_mib large_excludes_architectures large_max_num_seqs large_max_num_batched_tokens source_date"
)


def engine(row: CsvRow) -> Engine:
    """A row of engines.csv."""
    return Engine(
        id=row.required("id"),
        display_name=row.required("display_name"),
        vendors=row.words("vendors"),
        weight_quants=row.words("weight_quants", QUANTS),
        kv_caches=row.words("kv_caches", KV_CACHES),
        gpu_memory_utilization=row.number("gpu_memory_utilization", 0.01, 1.0),
        max_num_seqs=row.integer("max_num_seqs", 1),
        max_num_batched_tokens=row.integer("max_num_batched_tokens", 1),
        profile=row.required("profile"),
        source=row.required("source"),
        notes=row.text("notes"),
        large_memory_from_mib=row.integer_or_none("large_memory_from_mib") or 0,
        large_excludes_archs=row.words("large_excludes_architectures"),
        large_max_num_seqs=row.integer_or_none("large_max_num_seqs", 1) or row.integer("max_num_seqs", 1),
        large_max_num_batched_tokens=row.integer_or_none("large_max_num_batched_tokens", 1)
        or row.integer("max_num_batched_tokens", 1),
    )


FORMAT_COLUMNS = columns(
    "engine vendor kind format architecture allowed from_capability below_capability card_needs from_version reason "
    "source"
)
FORMAT_EXTRAS = columns("source_date")
FORMAT_KINDS: Mapping[str, tuple[str, ...]] = {"weights": QUANTS, "kv_cache": KV_CACHES}


def format_rule(row: CsvRow) -> FormatRule:
    """A row of formats.csv."""
    kind = row.choice("kind", {word: word for word in FORMAT_KINDS})
    known = FORMAT_KINDS.get(kind, QUANTS)
    return FormatRule(
        engine=row.required("engine"),
        vendor=row.required("vendor"),
        kind=kind,
        format=row.choice("format", {word: word for word in known}),
        arch=row.text("architecture"),
        allowed=row.flag("allowed"),
        from_capability=row.number_or_none("from_capability"),
        below_capability=row.number_or_none("below_capability"),
        card_needs=row.choice("card_needs", CARD_NEEDS) if row.text("card_needs") else "",
        from_version=row.text("from_version"),
        reason=row.text("reason"),
        source=row.text("source"),
    )


DEFAULT_COLUMNS = columns("engine from_version min_gib below_gib min_tp below_tp not_named option value source")
OPTIONS: Mapping[str, str] = {
    word: word for word in ("gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens", "graph_batch")
}


def engine_default(row: CsvRow) -> EngineDefault:
    """A row of engine_defaults.csv."""
    return EngineDefault(
        engine=row.required("engine"),
        from_version=row.text("from_version"),
        min_gib=row.number_or_none("min_gib") or 0.0,
        below_gib=row.number_or_none("below_gib") or 0.0,
        min_tp=row.integer_or_none("min_tp", 1) or 0,
        below_tp=row.integer_or_none("below_tp", 1) or 0,
        not_named=row.text("not_named"),
        option=row.choice("option", OPTIONS),
        value=row.positive("value"),
        source=row.required("source"),
    )


PART_COLUMNS = columns("model weight_quant part bits layers params format source")


def stored_part(row: CsvRow) -> tuple[str, str, StoredPart]:
    """A row of stored_parts.csv: the model, the format of the checkpoint, the part."""
    formats = {word: word for word in QUANTS}
    part = StoredPart(
        name=row.required("part"),
        layers=row.integer("layers", 1),
        params=row.positive("params"),
        bits=row.positive("bits"),
        format=row.choice("format", formats),
    )
    return row.required("model"), row.choice("weight_quant", formats), part


RECOVERY_COLUMNS = columns("format min_params recovery source")
RECOVERY_EXTRAS = columns("source_date notes")


def quant_fact(row: CsvRow) -> QuantFact:
    """A row of quantization.csv."""
    return QuantFact(
        format=row.choice("format", {word: word for word in (*QUANTS, "kv_fp8")}),
        min_params_b=row.number("min_params") / 1e9,
        recovery=row.number("recovery", 0.0, 1.0),
        source=row.required("source"),
    )


DRAFT_COLUMNS = columns("model method task draft acceptance low high rows source")


def draft_fact(row: CsvRow) -> DraftFact:
    """A row of speculation.csv."""
    return DraftFact(
        model=row.text("model"),
        method=row.choice("method", {word: word for word in ("mtp", "eagle3", "draft")}),
        task=row.text("task"),
        draft=row.text("draft"),
        acceptance=row.number_or_none("acceptance"),
        low=row.number_or_none("low"),
        high=row.number_or_none("high"),
        rows=row.integer("rows", 1),
        source=row.required("source"),
    )


FX_COLUMNS = columns("currency per_usd date source")
FX_EXTRAS = ("kind",)


def fx_rate(row: CsvRow) -> FxRate:
    """A row of fx.csv."""
    day = row.day("date")
    if day is None and not row.text("date"):
        row.error("date is blank: a rate needs its day", None, "date")
    kind = row.text("kind")
    source = row.required("source")
    return FxRate(
        row.required("currency"),
        row.positive("per_usd"),
        day or "",
        f"{kind}: {source}" if kind else source,
    )


CHECKPOINT_COLUMNS = columns("model weight_quant checkpoint source")
CHECKPOINT_EXTRAS = columns("size_gb quant_method engines min_version source_date")


def checkpoint(row: CsvRow) -> Checkpoint:
    """A row of checkpoints.csv."""
    return Checkpoint(
        model=row.required("model"),
        weight_quant=row.choice("weight_quant", {word: word for word in QUANTS}),
        checkpoint=row.required("checkpoint"),
        size_gb=row.number_or_none("size_gb"),
        source=row.required("source"),
        method=row.text("quant_method"),
        engines=tuple(row.text("engines").split()),
        min_version=row.text("min_version"),
    )


MARKET_COLUMNS = columns("gpu market obtainable since basis source")
MARKET_EXTRAS = ("source_date",)


def market_flag(row: CsvRow) -> MarketFlag:
    """A row of markets.csv."""
    return MarketFlag(
        gpu=row.required("gpu"),
        market=row.required("market"),
        obtainable=row.choice("obtainable", OBTAINABLE),
        since=row.text("since"),
        basis=row.text("basis"),
        source=row.required("source"),
    )


API_COLUMNS = columns("model provider sold_as input_per_million output_per_million price_date price_source")
API_EXTRAS = columns("cached_input_per_million context_limit_tokens sold_until notes")


def api_price(row: CsvRow) -> TokenPrice:
    """A row of api_prices.csv."""
    day = row.day("price_date")
    if day is None and not row.text("price_date"):
        row.error("price_date is blank", "write the day of the price, such as 2026-08-03", "price_date")
    return TokenPrice(
        model=row.required("model"),
        provider=row.required("provider"),
        sold_as=row.required("sold_as"),
        input_per_million=row.positive("input_per_million"),
        cached_input_per_million=row.number_or_none("cached_input_per_million"),
        output_per_million=row.positive("output_per_million"),
        context_limit=row.integer_or_none("context_limit_tokens", 1),
        sold_until=row.day("sold_until"),
        date=day or "1970-01-01",
        source=row.required("price_source"),
        notes=row.text("notes"),
    )


OFFER_COLUMNS = columns("offer_id provider gpu gpus_per_node link tier amount currency price_date price_source")
OFFER_EXTRAS = columns(
    "instance_type link_basis region country host_memory_gib network_gbps price_date_as_stated evidence rankable "
    "reason stock_note remarks notes tax_percent stock lead_time_weeks quote_ref valid_until"
)
OFFER_LEVEL = columns(
    "provider instance_type gpu gpus_per_node link region country host_memory_gib network_gbps tax_percent stock "
    "lead_time_weeks quote_ref valid_until notes"
)
"""Columns that every price row of one offer must repeat."""


def price(row: CsvRow) -> Price:
    """The price of a row of offers.csv. Undated prices are never ranked, whatever the file says.

    ``evidence`` says how far it may be relied on; a file that has no such column (or says ``rankable: yes`` instead)
    holds price lists.
    """
    day = row.day("price_date")
    reason = row.text("reason")
    evidence = _evidence(row, reason)
    if day is None:
        evidence, reason = Evidence.REFERENCE, reason or "undated"
    rankable = evidence is not Evidence.REFERENCE
    if rankable and reason:
        column = "evidence" if row.text("evidence") else "rankable"
        said = row.text(column)
        row.error(f"{column} is {said}, yet a reason against it is given", None, column)
    return Price(
        tier=row.choice("tier", TIERS),
        amount=row.positive("amount"),
        currency=row.required("currency"),
        date=day,
        source=row.required("price_source"),
        rankable=rankable,
        reason="" if rankable else reason or "marked as reference",
        evidence=evidence,
        stock_note=row.text("stock_note"),
        remarks=row.text("remarks"),
    )


def _evidence(row: CsvRow, reason: str) -> Evidence:
    if row.text("evidence"):
        stated = row.choice("evidence", EVIDENCES)
        if row.text("rankable") and row.choice("rankable", RANKABLE) != (stated is not Evidence.REFERENCE):
            row.error(f"rankable is {row.text('rankable')}, yet evidence is {stated}", None, "rankable")
        return stated
    rankable = row.choice("rankable", RANKABLE) if row.text("rankable") else not reason
    return Evidence.LIST if rankable else Evidence.REFERENCE


@dataclass(frozen=True, slots=True)
class Schema(Generic[T, K]):
    """How one catalog file is read: its columns, what a row becomes, what makes a row unique."""

    file: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    parse: Callable[[CsvRow], T]
    key: Callable[[T], K]


def _id(item: Gpu | Model | Engine | Provider) -> str:
    return item.id


GPUS: Schema[Gpu, str] = Schema("gpus.csv", GPU_COLUMNS, GPU_EXTRAS, gpu, _id)
MODELS: Schema[Model, str] = Schema("models.csv", MODEL_COLUMNS, MODEL_EXTRAS, model, _id)
ENGINES: Schema[Engine, str] = Schema("engines.csv", ENGINE_COLUMNS, ENGINE_EXTRAS, engine, _id)
PROVIDERS: Schema[Provider, str] = Schema("providers.csv", PROVIDER_COLUMNS, PROVIDER_EXTRAS, provider, _id)
REGIONS: Schema[Region, tuple[str, str]] = Schema(
    "regions.csv", REGION_COLUMNS, (), region, lambda item: (item.provider, item.name)
)
FX: Schema[FxRate, str] = Schema("fx.csv", FX_COLUMNS, FX_EXTRAS, fx_rate, lambda rate: rate.currency)
RECOVERIES: Schema[QuantFact, tuple[str, float]] = Schema(
    "quantization.csv", RECOVERY_COLUMNS, RECOVERY_EXTRAS, quant_fact, lambda fact: (fact.format, fact.min_params_b)
)
CHECKPOINTS: Schema[Checkpoint, tuple[str, str, str]] = Schema(
    "checkpoints.csv",
    CHECKPOINT_COLUMNS,
    CHECKPOINT_EXTRAS,
    checkpoint,
    lambda item: (item.model, item.weight_quant, item.checkpoint),
)
MARKETS: Schema[MarketFlag, tuple[str, str]] = Schema(
    "markets.csv", MARKET_COLUMNS, MARKET_EXTRAS, market_flag, lambda flag: (flag.gpu, flag.market)
)
API_PRICES: Schema[TokenPrice, tuple[str, str, str]] = Schema(
    "api_prices.csv", API_COLUMNS, API_EXTRAS, api_price, lambda item: (item.model, item.provider, item.sold_as)
)
FORMATS: Schema[FormatRule, tuple[str, str, str, str, str, float]] = Schema(
    "formats.csv",
    FORMAT_COLUMNS,
    FORMAT_EXTRAS,
    format_rule,
    lambda rule: (rule.engine, rule.vendor, rule.kind, rule.format, rule.arch, rule.from_capability or 0.0),
)
DEFAULTS: Schema[EngineDefault, tuple[str, str, float, int, int, str, str]] = Schema(
    "engine_defaults.csv",
    DEFAULT_COLUMNS,
    (),
    engine_default,
    lambda d: (d.engine, d.from_version, d.min_gib, d.min_tp, d.below_tp, d.not_named, d.option),
)
DRAFTS: Schema[DraftFact, tuple[str, str, str]] = Schema(
    "speculation.csv", DRAFT_COLUMNS, (), draft_fact, lambda fact: (fact.model, fact.method, fact.task)
)
PARTS: Schema[tuple[str, str, StoredPart], tuple[str, str, str, str]] = Schema(
    "stored_parts.csv",
    PART_COLUMNS,
    (),
    stored_part,
    lambda item: (item[0], item[1], item[2].name, f"{item[2].bits}"),
)
