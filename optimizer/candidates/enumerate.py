"""Every replica configuration that is physically and legally possible, with its operating points.

Enumerated are node types x weight formats x KV types x shapes (tensor and pipeline parallel; of mixtures also attention
ranks and dealt experts) for each workload. Removed here, and nowhere else: a card the engine does not run on, a format
the card or model has no way to serve, a tensor-parallel degree that does not divide the model, a replica that neither
fits a node nor fills whole nodes joined by a stated fabric, attention ranks without a domain of switched links or, over
nodes, without the fabric and kernels that takes, and one whose memory cannot hold the weights and one request of
``context_max``.

One replica as it would be set up on a node type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.candidates.types import Candidate
from optimizer.demand import Lengths, Load, Slo
from optimizer.performance.drafting import choices, format_refusal, offered
from optimizer.performance.host_tier import tier_refusal
from optimizer.performance.startup import default_share
from optimizer.performance.types import OperatingPoint, ReplicaSpec
from optimizer.plan.deployment import Drafting
from optimizer.pricing.types import NodeType
from optimizer.units import floor_guarded
from optimizer.vocabulary import KvTiers, Speculative

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog, Engine, Gpu, Model
    from optimizer.performance import Parameters
    from optimizer.performance.degrees import Shape
    from optimizer.performance.drafting import PublishedDraft
    from optimizer.performance.operating_points import Memo
    from optimizer.performance.speculation import Speculation
    from optimizer.problem import Part, Problem


EXCHANGE = "attention ranks have a domain of switched links"
"""A physical rule of mixtures alone."""

SPECULATION = "a published draft (engine.speculative)"
"""What plain replicas lack where drafts are required."""
WIDE = "fabric and kernels for attention ranks over nodes"
"""The same, of replicas that fill several nodes: 400 Gb/s for each GPU, on cards and engines that have the kernels."""
HOST_MEMORY = "host memory for KV cache"
"""What ``kv_tiers: host`` asks of a node and a replica."""

_TENSOR_PARALLEL = (1, 2, 4, 8)
_PIPELINE_PARALLEL = (1, 2, 4)


_NEAR_SLOTS = 5e-9
"""Relative distance below a whole number at which the slots of a replica are full."""


Content = tuple[str | int | bool, ...]
"""What tells the replicas of one workload apart: card, link, formats, sizes, whether it crosses nodes."""


@dataclass(frozen=True, slots=True)
class PartAsked:
    """What is asked of one part: promises whose latencies operating points must state, and the load."""

    slo: Slo
    load: Load


class CandidateBuilder:
    """Builds the candidates of each workload and counts what is impossible."""

    def __init__(
        self, problem: Problem, catalog: Catalog, params: Parameters, ladder: bool, memo: Memo | None = None
    ) -> None:
        from optimizer.problem import parts_of

        self._memo = memo
        self._problem, self._catalog, self._params, self._ladder = problem, catalog, params, ladder
        self._parts = parts_of(problem)
        self.enumerated = 0
        self.removed: Counter[str] = Counter()

    @property
    def parts(self) -> Sequence[Part]:
        """Workloads, each followed by the length classes it may be split into."""
        return self._parts

    def candidates(self, index: int, node_types: Sequence[NodeType], asked: PartAsked) -> Iterator[Candidate]:
        """Candidates of one part that can run at all. Performance is computed once per replica, not per node."""
        from optimizer.performance import memory_bills, recovery
        from optimizer.performance.accuracy import grades_of
        from optimizer.performance.starting import refusal_at_start, settled

        setting = self._setting(self._parts[index])
        places = list(self._places(setting, node_types))
        specs = {content: spec for _, spec, content in places}
        heads = {offer.method: offer for offer in setting.drafts}
        if setting.max_num_seqs is None:
            specs = dict(zip(specs, settled(list(specs.values())), strict=True))
        bills = dict(zip(specs, memory_bills(list(specs.values()), self._lengths(index)), strict=True))
        confidence = self._problem.margins.confidence
        points = dict(zip(specs, self.points(list(specs.values()), index, asked, confidence), strict=True))
        if setting.max_num_seqs is not None or setting.utilization is not None:
            points = {content: () if refusal_at_start(specs[content]) else points[content] for content in specs}
        able = [content for content in specs if points[content]]
        grades = dict(
            zip(able, grades_of([specs[content] for content in able], self._params, self._lengths(index)), strict=True)
        )
        kept: dict[tuple[str, str], float] = {}
        for node_type, spec, content in places:
            if not points[content]:
                self.removed["memory"] += 1
                continue
            formats = (spec.weight_quant, spec.kv_cache)
            if formats not in kept:
                kept[formats] = recovery(self._catalog, setting.model, *formats)
            yield Candidate(
                workload=index,
                node_type=node_type,
                spec=specs[content],
                bill=bills[content],
                points=points[content],
                grade=grades[content],
                recovery=kept[formats],
                drafts=_drafting(spec, heads),
            )

    def replicas(self, index: int, node_types: Sequence[NodeType]) -> list[ReplicaSpec]:
        """The different replicas of one part, each once, whether or not they hold their own weights."""
        from optimizer.performance.starting import settled

        setting = self._setting(self._parts[index])
        specs = list({content: spec for _, spec, content in self._places(setting, node_types)}.values())
        return settled(specs) if setting.max_num_seqs is None else specs

    def points(
        self, specs: Sequence[ReplicaSpec], index: int, asked: PartAsked, confidence: float
    ) -> list[tuple[OperatingPoint, ...]]:
        """Operating points of each replica of a workload; none where it cannot run."""
        from optimizer.performance.operating_points import operating_points

        lengths, load = self._lengths(index), asked.load
        ladder, memo = self._ladder, self._memo
        points = operating_points(specs, lengths, asked.slo, load, confidence, self._params, ladder=ladder, memo=memo)
        if load.inflight == 0:
            return points
        return [_whole_requests(of_spec, spec.attention_dp) for of_spec, spec in zip(points, specs, strict=True)]

    def _places(
        self, setting: Setting, node_types: Sequence[NodeType]
    ) -> Iterator[tuple[NodeType, ReplicaSpec, Content]]:
        """Node types and replicas that pass every gate but memory; one specification for all nodes it is alike on."""
        from optimizer.performance import engine_refusal, kv_caches, tp_refusal, weight_quants
        from optimizer.performance.degrees import shapes_of, wide_refusal

        engine, model = self._problem.engine, setting.model
        tensor = sorted({*_TENSOR_PARALLEL, *engine.tensor_parallel})
        pipeline = sorted({*_PIPELINE_PARALLEL, *engine.pipeline_parallel})
        shapes = shapes_of(model, setting.engine, tensor, pipeline, engine.attention_dp or ())
        sizes = len(shapes)
        legal = {
            quant: [s for s in shapes if not tp_refusal(model, quant, s[0], experts_dealt=s.expert_parallel > 1)]
            for quant in setting.engine.weight_quants
        }
        formats = len(setting.engine.weight_quants) * len(setting.engine.kv_caches)
        known: dict[Content, ReplicaSpec] = {}
        defaults = DefaultsOnCards(setting)
        for node_type in node_types:
            self.enumerated += formats * sizes
            gpu, size = node_type.gpu, node_type.gpus_per_node
            wide = bool(wide_refusal(gpu, size, node_type.fabric_gbps, setting.engine, setting.version))
            if engine_refusal(gpu, setting.engine):
                self.removed["engine runs on the card"] += formats * sizes
                continue
            quants = weight_quants(gpu, model, setting.engine, setting.version)
            caches = kv_caches(gpu, setting.engine, setting.version)
            self.removed["precision"] += (formats - len(quants) * len(caches)) * sizes
            for quant in quants:
                self.removed["tensor parallel divides the model"] += (sizes - len(legal[quant])) * len(caches)
                for shape in legal[quant]:
                    if rule := _forbids(node_type, shape, model.num_layers, only_inside=wide):
                        self.removed[rule] += len(caches)
                    else:
                        for cache in caches:
                            crosses = shape.gpus > size
                            content = (gpu.id, str(node_type.link), quant, cache, *shape, crosses)
                            spec = known.get(content)
                            if spec is None:
                                spec = known[content] = replica_on(defaults, node_type, (quant, cache), shape)
                            for of_tier in self._in_tiers(setting, node_type, spec):
                                host = of_tier.host_kv_gib
                                about = content if host == 0.0 else (*content, str(host))
                                known.setdefault(about, of_tier)
                                yield from self._ways(setting, node_type, known, about)

    def _ways(
        self, setting: Setting, node_type: NodeType, known: dict[Content, ReplicaSpec], content: Content
    ) -> Iterator[tuple[NodeType, ReplicaSpec, Content]]:
        """A replica as it is, unless it has to draft, and with every way to draft."""
        spec = known[content]
        if setting.must_draft:
            self.removed[SPECULATION] += 1
        else:
            yield node_type, spec, content
        for way in setting.ways_to_draft:
            if not format_refusal(way.method, spec.model, spec.weight_quant, spec.pipeline_parallel):
                self.enumerated += 1
                more = (*content, way.method, way.tokens)
                if more not in known:
                    known[more] = replace(spec, speculation=way)
                yield node_type, known[more], more

    def _in_tiers(self, setting: Setting, node_type: NodeType, spec: ReplicaSpec) -> Iterator[ReplicaSpec]:
        """A replica without KV cache in the memory of the host, and with it, as far as ``engine.kv_tiers`` allows."""
        if setting.kv_tiers is not KvTiers.HOST:
            yield spec
        if setting.kv_tiers is KvTiers.NONE:
            return
        gib = node_type.host_gib * spec.gpus
        if gib > 0.0 and not tier_refusal(spec):
            self.enumerated += setting.kv_tiers is KvTiers.ANY
            yield replace(spec, host_kv_gib=gib)
        elif setting.kv_tiers is KvTiers.HOST:
            self.removed[HOST_MEMORY] += 1

    def _lengths(self, index: int) -> Lengths:
        return self._parts[index].lengths

    def _setting(self, part: Part) -> Setting:
        from optimizer.problem import may_draft

        stated = self._problem.engine
        engine = self._catalog.engines[stated.name]
        model, version = self._catalog.models[part.workload.model], stated.version or ""
        offers: list[PublishedDraft] = []
        if may_draft(self._problem, part.workload):
            offers = offered(model, engine, version, str(part.workload.task or ""), self._catalog.drafts)
        return Setting(
            model=model,
            engine=engine,
            utilization=stated.gpu_memory_utilization,
            max_num_seqs=stated.max_num_seqs,
            max_num_batched_tokens=stated.max_num_batched_tokens,
            max_model_len=part.lengths.context_max,
            version=version,
            drafts=tuple(offers),
            ways_to_draft=tuple(way for _, way in choices(model, offers)),
            must_draft=stated.speculative is Speculative.REQUIRED,
            kv_tiers=stated.kv_tiers if part.lengths.earns_hits else KvTiers.NONE,
        )


def _drafting(spec: ReplicaSpec, heads: Mapping[str, PublishedDraft]) -> Drafting | None:
    """How a replica drafts, with what is published of it."""
    if spec.speculation is None:
        return None
    offer = heads[spec.method]
    return Drafting(spec.method, spec.drafted, offer.acceptance, offer.head, offer.source)


def _whole_requests(points: tuple[OperatingPoint, ...], ranks: int) -> tuple[OperatingPoint, ...]:
    """Points that hold whole requests in flight on each of their attention ranks: N over R replicas puts ceil(N / R) on
    one of them, and the fullest of its d ranks gets ceil(N / (R d)).

    Slots are counted in full, from which the search for a point keeps a billionth away.
    """
    return tuple(
        OperatingPoint(point.kind, point.requests_per_second, held, point.latencies_s, point.users)
        for point in points
        if (held := float(ranks * floor_guarded(point.inflight / ranks * (1.0 + _NEAR_SLOTS)))) >= 1.0
    )


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all candidates of one workload."""

    model: Model
    engine: Engine
    utilization: float | None  # as stated; None: the default of the engine's version on the card
    max_num_seqs: int | None  # as stated; None: the engine's default on the card
    max_num_batched_tokens: int | None
    max_model_len: int
    version: str  # of the engine; empty: not stated
    drafts: tuple[PublishedDraft, ...] = ()
    ways_to_draft: tuple[Speculation, ...] = ()
    must_draft: bool = False
    kv_tiers: KvTiers = KvTiers.NONE  # that matter to the workload


def _forbids(node_type: NodeType, shape: Shape, layers: int, *, only_inside: bool) -> str:
    """The rule that keeps a shape off a kind of node, whose attention ranks may have to stay inside; empty: none."""
    from optimizer.performance.degrees import exchange_refusal

    if shape.pipeline_parallel > layers or not fits_nodes(node_type, shape):
        return "fits a node or fills nodes"
    size = node_type.gpus_per_node
    if shape.attention_dp > 1 and shape.gpus > size:
        return WIDE if only_inside else ""
    return EXCHANGE if exchange_refusal(node_type.gpu, node_type.link, size, shape) else ""


def fits_nodes(node_type: NodeType, shape: Shape) -> bool:
    """A replica sits inside one node; or it fills whole nodes: with stages inside one each, over a stated fabric, or
    with attention ranks that fill the domain of each."""
    from optimizer.performance.degrees import fills_domains

    gpus, per_node = shape.gpus, node_type.gpus_per_node
    if gpus <= per_node:
        return True
    if shape.attention_dp > 1:
        return fills_domains(node_type.gpu, node_type.link, per_node, shape)
    return node_type.fabric_gbps > 0 and gpus % per_node == 0 and per_node % shape.tensor_parallel == 0


class DefaultsOnCards:
    """Share of memory, sequences and token budget of a replica, stated or the engine's default; each card once."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._known: dict[tuple[str, int, int], tuple[float, int, int]] = {}

    def on(self, gpu: Gpu, gpus_per_stage: int, pipeline_parallel: int) -> tuple[float, int, int]:
        """On a card, for a replica of a size."""
        key, stated, engine = (gpu.id, gpus_per_stage, pipeline_parallel), self.setting, self.setting.engine
        if key not in self._known:
            version = stated.version
            self._known[key] = (
                stated.utilization or default_share(engine, gpu, version, gpus_per_stage, pipeline_parallel),
                stated.max_num_seqs or engine.max_num_seqs_on(gpu, version),
                stated.max_num_batched_tokens or engine.max_num_batched_tokens_on(gpu, version),
            )
        return self._known[key]


def replica_on(defaults: DefaultsOnCards, node_type: NodeType, formats: tuple[str, str], shape: Shape) -> ReplicaSpec:
    (quant, cache), (tp, pp, ranks, experts) = formats, shape
    setting, gpu = defaults.setting, node_type.gpu
    share, sequences, budget = defaults.on(gpu, tp * ranks, pp)
    return ReplicaSpec(
        gpu=gpu,
        model=setting.model,
        engine=setting.engine,
        weight_quant=quant,
        kv_cache=cache,
        tensor_parallel=tp,
        pipeline_parallel=pp,
        link=node_type.link,
        gpu_memory_utilization=share,
        max_num_seqs=sequences,
        max_num_batched_tokens=budget,
        max_model_len=setting.max_model_len,
        attention_dp=ranks,
        expert_parallel=experts,
        engine_version=setting.version,
        crosses_nodes=shape.gpus > node_type.gpus_per_node,
    )
