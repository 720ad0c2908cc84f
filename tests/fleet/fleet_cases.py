"""Small synthetic problems for the fleet model: random, but the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import date

from optimizer.candidates.types import Candidate
from optimizer.catalog.types import Attention, Engine, Gpu, Model, Offer, Price
from optimizer.demand import Load, Metric, Promise, Slo
from optimizer.fleet.candidate_set import CandidateSet
from optimizer.fleet.requirements import CardQuota, PlanLimits, UserRules, WorkloadRules
from optimizer.performance.types import Grade, MemoryBill, OperatingPoint, PointKind, ReplicaSpec
from optimizer.plan.costs import CostLine
from optimizer.pricing.rules import OptionRules
from optimizer.pricing.types import NodeOption, NodeType, Origin
from optimizer.vocabulary import Link, ProviderClass, Tier

BILL = MemoryBill(1.0, 1.0, 1.0, 10.0, 7.0, 1.0, 100)
ENGINE = Engine("vllm", "vLLM", ("nvidia",), ("bf16", "fp8"), ("auto", "fp8"), 0.9, 256, 8192, "vllm", "", "")


def make_gpu(name: str, **changes: object) -> Gpu:
    base = Gpu(
        id=name, vendor="nvidia", arch="hopper", compute_capability=9.0, memory_gb=80, memory_mib=81559,
        memory_is_fallback=False, bandwidth_gb_s=3350, bf16_tflops=989, fp8_tflops=1979, int8_tops=1979,
        fp4_tflops=None, supports_bf16=True, supports_fp8=True, supports_fp4=False, link=Link.NVSWITCH,
        link_gb_s=900, link_domain_gpus=8, pcie_gen=5, pcie_lanes=16, tdp_w=700, node_overhead_w=300,
        form_factor="sxm", release_year=2022, datacenter_licensed=True, sibling=None, confidence="high",
        export_note="", source="", notes="",
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def make_model(name: str = "m") -> Model:
    return Model(
        id=name, family="llama", total_params=7e10, active_params=7e10, embed_params=1e9, head_params=1e9,
        routed_expert_params=0, num_layers=80, hidden_size=8192, intermediate_size=28672, num_attention_heads=64,
        num_kv_heads=8, head_dim=128, vocab_size=128256, attention=Attention.GQA, sliding_window=0,
        full_attention_layers=80, sliding_layers=0, linear_layers=0, kv_lora_rank=0, rope_head_dim=0,
        nope_head_dim=0, v_head_dim=0, kv_bytes_full_16bit=327680, kv_bytes_sliding_16bit=0, linear_state_bytes=0,
        index_bytes_per_token=0, num_experts=0, experts_per_token=0, shared_experts=0,
        expert_intermediate_size=0, first_dense_layers=0, native_dtype="bf16", context_limit=131072,
        legal_tp=(1, 2, 4, 8), fp8_block_legal_tp=(), licence="", source="", notes="",
    )  # fmt: skip


MODEL = make_model()
MIXTURE = replace(
    make_model("mixture"), routed_expert_params=6e10, num_experts=64, experts_per_token=8, expert_intermediate_size=2048
)


def make_type(gpu: Gpu, gpus: int, link: Link = Link.NVSWITCH, fabric: float = 0.0) -> NodeType:
    return NodeType(gpu, gpus, link, fabric)


@dataclass(frozen=True)
class OptionSpec:
    name: str
    cents: int
    provider: str = "aws"
    tier: Tier = Tier.ON_DEMAND
    stock: int | None = None
    origin: Origin = Origin.CATALOG
    region: str = "eu"
    provider_class: ProviderClass = ProviderClass.HYPERSCALER
    rankable: bool = True


def make_option(node_type: NodeType, spec: OptionSpec) -> NodeOption:
    price = Price(spec.tier, spec.cents / 73000, "USD", "2026-08-01", "s", spec.rankable, "")
    offer = Offer(
        id=spec.name, provider=spec.provider, provider_class=spec.provider_class, country="", instance_type="i",
        gpu=node_type.gpu.id, gpus_per_node=node_type.gpus_per_node, link=node_type.link, region=spec.region,
        prices=(price,), network_gbps=node_type.fabric_gbps or None, stock=spec.stock,
    )  # fmt: skip
    months = {Tier.RESERVED_1Y: 12, Tier.RESERVED_3Y: 36}.get(spec.tier, 0)
    return NodeOption(
        node_type=node_type, offer=offer, price=None if spec.origin is Origin.OWNED else price, tier=spec.tier,
        commitment_months=months, lines=(CostLine("rent", 1, "month", spec.cents / 100, spec.cents),),
        monthly_cents=spec.cents, power_kw=node_type.gpus_per_node * 1.0, max_nodes=spec.stock, origin=spec.origin,
    )  # fmt: skip


@dataclass(frozen=True)
class CandidateSpec:
    quant: str = "bf16"
    kv: str = "auto"
    tp: int = 1
    pp: int = 1
    rate: float = 1.0
    inflight: float = 10.0
    ttft: float = 0.5
    tpot: float = 0.03
    recovery: float = 1.0
    workload: int = 0
    extra: tuple[OperatingPoint, ...] = ()
    dp: int = 1
    ep: int = 1
    model: Model = MODEL


def make_candidate(node_type: NodeType, spec: CandidateSpec) -> Candidate:
    replica = ReplicaSpec(
        gpu=node_type.gpu, model=spec.model, engine=ENGINE, weight_quant=spec.quant, kv_cache=spec.kv,
        tensor_parallel=spec.tp, pipeline_parallel=spec.pp, link=node_type.link, gpu_memory_utilization=0.9,
        max_num_seqs=256, max_num_batched_tokens=8192, max_model_len=8192,
        crosses_nodes=spec.tp * spec.pp * spec.dp > node_type.gpus_per_node, attention_dp=spec.dp,
        expert_parallel=spec.ep,
    )  # fmt: skip
    point = OperatingPoint(PointKind.ALL, spec.rate, spec.inflight, (spec.ttft, spec.tpot))
    points = (point, *spec.extra)
    return Candidate(spec.workload, node_type, replica, BILL, points, Grade.B, spec.recovery)


def any_options(**changes: object) -> OptionRules:
    base = OptionRules(
        providers=None, excluded_providers=(), classes=tuple(ProviderClass), regions=None, tiers=tuple(Tier),
        max_commitment_months=None, only_owned=False, gpus=None, excluded_gpus=(), licensed_only=True,
        nvlink_forbidden=False, as_of=date(2026, 8, 3),
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def make_workload(name: str = "w0", rate: float = 4.0, inflight: float = 40.0, **changes: object) -> WorkloadRules:
    slo = Slo((
        Promise(Metric.TTFT, 95, 1.0, f"workloads.{name}.slo.ttft_ms"),
        Promise(Metric.TPOT, 95, 0.05, f"workloads.{name}.slo.tpot_ms"),
    ))  # fmt: skip
    base = WorkloadRules(name, Load(rate, inflight, f"workloads.{name}.traffic.requests_per_second"), slo, None, 0.9)
    return replace(base, **changes)  # type: ignore[arg-type]


def make_rules(**changes: object) -> UserRules:
    base = UserRules(
        workloads=(make_workload(),), options=any_options(), nvlink="any", kv_caches=frozenset({"auto", "fp8"}),
        tensor_parallel=frozenset({1, 2, 4, 8}), pipeline_parallel=frozenset({1, 2, 4}), limits=PlanLimits(),
        fixed_cents=0, spare_nodes=0, named_gpus=frozenset(), objective="minimize_cost",
        distinct_by=("configuration",), top=3,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def make_set(candidates: list[Candidate], rules: UserRules) -> CandidateSet:
    found = tuple(sorted(candidates, key=lambda candidate: candidate.key))
    return CandidateSet(found, rules, len(found), len(found), ())


@dataclass(frozen=True)
class Case:
    candidates: tuple[Candidate, ...]
    options: tuple[NodeOption, ...]
    rules: UserRules
    name: str = ""

    @property
    def candidate_set(self) -> CandidateSet:
        return make_set(list(self.candidates), self.rules)

    def loads(self) -> list[Load]:
        return [workload.load for workload in self.rules.workloads]


def workload_count(family: str) -> int:
    return 2 if family == "two workloads" else 1


@dataclass
class Maker:
    """Draws one random case of a family."""

    family: str
    seed: int
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.family}/{self.seed}")

    def case(self) -> Case:
        workloads = workload_count(self.family)
        types = self._types()
        options = tuple(option for node_type in types for option in self._options(node_type))
        candidates = [c for w in range(workloads) for node_type in types for c in self._candidates(node_type, w)]
        rules = self._rules(workloads, list(options))
        unique = {candidate.key: candidate for candidate in candidates}
        return Case(tuple(unique.values()), options, rules, f"{self.family}/{self.seed}")

    def _types(self) -> list[NodeType]:
        rng, found = self.rng, {}
        for _ in range(rng.randint(1, 3)):
            gpu = make_gpu(rng.choice(["a100", "h100", "l40s"]))
            link = rng.choice([Link.NVSWITCH, Link.PCIE, Link.NVLINK_PAIR])
            node_type = make_type(gpu, rng.choice([1, 2, 4, 8]), link)
            found[node_type.key] = node_type
        return list(found.values())

    def _options(self, node_type: NodeType) -> list[NodeOption]:
        rng, family = self.rng, self.family
        options = []
        for number in range(rng.randint(1, 2 if workload_count(self.family) == 2 else 3)):
            name = f"{node_type.gpu.id}-{node_type.gpus_per_node}-{node_type.link}-{number}"
            stock = rng.choice([None, 1, 2, 4]) if family in ("limits", "maximize") else None
            spec = OptionSpec(
                name, rng.randint(1, 40) * 10000 * node_type.gpus_per_node, rng.choice(["aws", "gcp"]),
                rng.choice([Tier.ON_DEMAND, Tier.RESERVED_1Y]), stock,
            )  # fmt: skip
            if family == "owned" and number == 0:
                cents = rng.choice([0, 50000])
                spec = replace(spec, cents=cents, tier=Tier.OWNED, stock=rng.randint(1, 3), origin=Origin.OWNED)
            options.append(make_option(node_type, spec))
        return options

    def _candidates(self, node_type: NodeType, workload: int) -> list[Candidate]:
        rng, family = self.rng, self.family
        made = []
        for _ in range(rng.randint(1, 3 if workload_count(self.family) == 2 else 5)):
            size = rng.choice([s for s in (1, 2, 4, 8) if s <= node_type.gpus_per_node])
            pp = rng.choice([p for p in (1, 2) if size % p == 0])
            quant, kv = rng.choice(["bf16", "fp8"]), rng.choice(["auto", "fp8"])
            extra = OperatingPoint(PointKind.TTFT, 9.0, 90.0, (0.9, rng.choice([0.04, 0.09])))
            spec = CandidateSpec(
                quant=quant, kv=kv, tp=size // pp, pp=pp,
                rate=size * rng.uniform(0.3, 1.7), inflight=size * rng.uniform(4, 17), ttft=rng.choice([0.4, 0.8, 1.3]),
                recovery=self._recovery(quant, kv), workload=workload,
                extra=(extra,) if rng.random() < 0.3 else (),
            )  # fmt: skip
            made.append(make_candidate(node_type, self._shaped(spec, size) if family == "mixtures" else spec))
        return made

    def _shaped(self, spec: CandidateSpec, size: int) -> CandidateSpec:
        """The same GPUs as a mixture shares them: experts cut or dealt, attention on some or all of them."""
        rng = self.rng
        dp = rng.choice([d for d in (1, 2, 4, 8) if size % d == 0])
        ep = size if dp > 1 or (size > 1 and rng.random() < 0.4) else 1
        pp = spec.pp if ep == 1 else 1
        return replace(spec, tp=size // dp // pp, pp=pp, dp=dp, ep=ep, model=MIXTURE)

    def _recovery(self, quant: str, kv: str) -> float:
        floor = 0.85 if self.seed % 3 == 0 else 0.95
        return (1.0 if quant == "bf16" else floor) * (1.0 if kv == "auto" else 0.99)

    def _rules(self, workloads: int, options: list[NodeOption]) -> UserRules:
        rng, family = self.rng, self.family
        asked = tuple(
            make_workload(f"w{w}", rng.choice([0.0, 2.0, 6.0]), rng.choice([20.0, 45.0, 60.0]))
            for w in range(workloads)
        )
        rules = make_rules(workloads=asked, top=rng.choice([1, 3]), distinct_by=self._distinct())
        if rng.random() < 0.25:
            rules = replace(rules, nvlink=rng.choice(["required", "forbidden"]))
        if rng.random() < 0.25:
            rules = replace(rules, options=replace(rules.options, tiers=(Tier.RESERVED_1Y,)))
        if family in ("limits", "maximize"):
            rules = replace(rules, limits=self._limits(options, family))
        if family == "maximize":
            rules = replace(rules, objective="maximize_load")
        if family == "spare":
            limits = PlanLimits(nodes=rng.choice([2, 4, 6, 12]))
            rules = replace(rules, spare_nodes=rng.choice([1, 2]), limits=limits)
        if family == "owned":
            options_rules = replace(rules.options, only_owned=rng.random() < 0.4)
            rules = replace(rules, options=options_rules, limits=PlanLimits(gpus=rng.choice([None, 6, 16])))
        if family in ("one workload", "two workloads"):
            rules = replace(rules, limits=PlanLimits(budget_cents=rng.choice([None, 600_000, 1_200_000])))
        if family in ("one workload", "two workloads", "limits") and rng.random() < 0.2:
            rules = replace(rules, objective=rng.choice(["minimize_gpus", "minimize_ttft", "minimize_tpot"]))
        if family == "mixtures":
            ranks = rng.choice([None, frozenset({1}), frozenset({1, 2}), frozenset({2, 4}), frozenset({8})])
            rules = replace(rules, attention_dp=ranks, expert_parallel=rng.choice(["any", "off", "required"]))
        return rules

    def _distinct(self) -> tuple[str, ...]:
        choices = [("configuration",), ("gpu", "weight_quant"), ("weight_quant",), ("provider",), ("gpu", "node")]
        return self.rng.choice(choices)

    def _limits(self, options: list[NodeOption], family: str) -> PlanLimits:
        rng = self.rng
        quota = CardQuota(rng.choice(["aws", "gcp"]), options[0].node_type.gpu.id, rng.choice([4, 8, 16]))
        small = family == "maximize"
        return PlanLimits(
            gpus=rng.choice([2, 4, 12] if small else [None, 8, 24]),
            nodes=rng.choice([None, 2, 3, 6]),
            power_w=rng.choice([None, 7000, 20000]),
            gpu_kinds=rng.choice([None, 1]),
            budget_cents=rng.choice([None, 2_000_000, 6_000_000]),
            quotas=(quota,) if rng.random() < 0.5 else (),
        )
