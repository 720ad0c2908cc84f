"""Which degrees of parallelism an engine accepts for a mixture of experts.

vLLM: ``--tensor-parallel-size t --data-parallel-size d``, experts dealt to all t x d GPUs with
``--enable-expert-parallel``, cut by all of them without. SGLang: ``--tp-size G --dp-size d --enable-dp-attention
--ep-size e``. TensorRT-LLM: ``--tp_size G --ep_size e``; attention data parallelism is on for all GPUs or off.
(vLLM documentation "Data parallel deployment" and "Expert parallel deployment"; SGLang "Expert parallelism";
TensorRT-LLM "Parallelism".)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from optimizer.performance.compatibility import DEALS_EXPERTS
from optimizer.performance.expert_ranks import SWITCHED, domain_gpus
from optimizer.performance.parameters import version_number
from optimizer.performance.types import ReplicaSpec
from optimizer.vocabulary import WIDE_GBPS

if TYPE_CHECKING:
    from optimizer.catalog.types import Engine, Gpu, Model
    from optimizer.vocabulary import Link

ALL_OR_NONE = frozenset({"vllm", "vllm-ascend"})
"""Engines that deal the experts to every GPU of a replica or to none."""

WITHOUT = frozenset({"tgi", "mlc-llm", "gpt-fast", "exllamav2", "deepspeed-mii", "optimum-habana"})
"""Engines that have neither attention data parallelism nor expert parallelism."""

OVERLAP = frozenset({"vllm", "sglang"})
"""Engines that overlap two batches: SGLang ``--enable-two-batch-overlap``, vLLM ``--enable-dbo``."""

ATTENTION_RANKS = (2, 4, 8, 16, 32, 64)
"""Attention ranks of a replica that plans consider beside one."""

WIDE_NODES = (2, 4, 8)
"""Nodes that the attention ranks of one replica may fill together."""

WIDE_SINCE = {"vllm": (0, 26), "sglang": (0, 5), "trtllm": (1, 0)}
"""First release, major and minor, whose all-to-all kernels serve prompts and decoding of one replica over nodes: vLLM
``--all2all-backend deepep_v2`` (before it one kernel for prompts or one for decoding had to do for both, which the step
model does not describe), SGLang ``--moe-a2a-backend deepep`` (``--deepep-mode auto`` takes a kernel for each phase),
TensorRT-LLM's wide expert parallelism."""

WIDE_VENDORS = ("nvidia",)
"""Cards whose all-to-all kernels over nodes were timed."""


class Shape(NamedTuple):
    """How the GPUs of a replica share the work."""

    tensor_parallel: int  # GPUs of an attention rank and pipeline stage
    pipeline_parallel: int
    attention_dp: int = 1
    expert_parallel: int = 1

    @property
    def gpus(self) -> int:
        """GPUs of a replica."""
        return self.tensor_parallel * self.pipeline_parallel * self.attention_dp


def shapes_of(
    model: Model, engine: Engine, tensor: Collection[int], pipeline: Collection[int], ranks: Collection[int] = ()
) -> tuple[Shape, ...]:
    """Shapes that plans consider of a model on an engine, whatever the card.

    Every model: tensor x pipeline parallel. Mixtures on engines of ``DEALS_EXPERTS`` also, on one stage: tensor
    parallel with the experts dealt ("TEP"), and attention ranks, behind which the experts always lie dealt to every GPU
    ("DEP": no measurement is known of ranks that share cut experts). Experts divide evenly: engines ask for redundant
    ones otherwise.
    """
    plain = tuple(Shape(t, p) for t, p in product(sorted(tensor), sorted(pipeline)))
    if not model.is_moe or engine.profile not in DEALS_EXPERTS:
        return plain
    degrees = sorted({1, *ATTENTION_RANKS, *ranks})
    dealt = (Shape(t, 1, d, t * d) for d, t in product(degrees, sorted({1, *tensor})) if t * d > 1)
    return plain + tuple(shape for shape in dealt if _is_dealt_evenly(shape, model, engine))


def _is_dealt_evenly(shape: Shape, model: Model, engine: Engine) -> bool:
    whole_ranks = engine.profile != "trtllm" or shape.tensor_parallel == 1 or shape.attention_dp == 1
    return whole_ranks and shape.gpus <= max(ATTENTION_RANKS) and model.num_experts % shape.expert_parallel == 0


def exchange_refusal(gpu: Gpu, link: Link, gpus_per_node: int, shape: Shape) -> str:
    """Why the GPUs of a node do not exchange tokens between attention ranks; empty where they do, or need not."""
    if shape.attention_dp == 1:
        return ""
    domain = min(gpus_per_node, gpu.link_domain_gpus)
    if link not in SWITCHED or shape.gpus > domain:
        return (
            f"attention_dp {shape.attention_dp} exchanges tokens between {shape.gpus} GPUs: they lie in one domain of "
            f"switched links, which {gpu.id} on {link} has {domain if link in SWITCHED else 'none'} of in a node"
        )
    return ""


def fills_domains(gpu: Gpu, link: Link, gpus_per_node: int, shape: Shape) -> bool:
    """Whether the attention ranks of a replica fill 2, 4 or 8 nodes, each a whole domain of switched links, no rank
    across two of them."""
    nodes, rest = divmod(shape.gpus, gpus_per_node)
    whole = link in SWITCHED and gpus_per_node == gpu.link_domain_gpus
    return whole and not rest and nodes in WIDE_NODES and gpus_per_node % shape.tensor_parallel == 0


def wide_refusal(gpu: Gpu, gpus_per_node: int, fabric_gbps: float, engine: Engine, version: str) -> str:
    """Why attention ranks do not exchange tokens between nodes; empty where they do. ``fabric_gbps`` is of a node."""
    each = fabric_gbps / gpus_per_node
    if each < WIDE_GBPS:
        stated = f"{each:,.0f} Gb/s for each GPU" if fabric_gbps else "no network between nodes"
        return f"attention ranks over several nodes need {WIDE_GBPS:.0f} Gb/s for each GPU; the offer states {stated}"
    if gpu.vendor not in WIDE_VENDORS or not gpu.datacenter_licensed:
        return f"all-to-all kernels over several nodes were timed on NVIDIA's data-centre cards, not on {gpu.id}"
    first, stated_version = WIDE_SINCE.get(engine.profile), version_number(version)
    if first is None or (stated_version is not None and stated_version < first):
        since = f" before {first[0]}.{first[1]}" if first else ""
        return f"{engine.display_name}{since} has no all-to-all kernels for prompts and decoding over several nodes"
    return ""


def degree_refusals(spec: ReplicaSpec) -> Iterator[tuple[str, str]]:
    """The degree, and why model, engine or fabric do not accept it."""
    d, e, gpus, name = spec.attention_dp, spec.expert_parallel, spec.expert_gpus, spec.engine.display_name
    if not spec.model.is_moe:
        for column, degree in (("attention_dp", d), ("expert_parallel", e)):
            if degree > 1:
                yield column, f"{column} {degree}: {spec.model.id} has no routed experts; copies of it are replicas"
        return
    if gpus % e:
        yield "expert_parallel", f"expert_parallel {e} does not divide tp {spec.tensor_parallel} x attention_dp {d}"
    elif e > spec.model.num_experts:
        yield "expert_parallel", f"expert_parallel {e}: {spec.model.id} has {spec.model.num_experts} experts"
    yield from _of_engine(spec, name)
    if spec.overlap and (spec.engine.profile not in OVERLAP or d == 1 or e != gpus):
        yield "overlap", "two-batch overlap needs vLLM or SGLang, attention_dp and experts dealt to every GPU"
    if d > 1 and gpus > domain_gpus(spec) and (spec.link not in SWITCHED or not spec.gpu.datacenter_licensed):
        yield (
            "attention_dp",
            f"attention_dp {d} on {gpus} GPUs leaves the node, which {spec.gpu.id} on {spec.link.value} cannot: its "
            "exchange needs a fabric inside the node and an RDMA adapter for each GPU",
        )


def _of_engine(spec: ReplicaSpec, name: str) -> Iterator[tuple[str, str]]:
    d, e, gpus = spec.attention_dp, spec.expert_parallel, spec.expert_gpus
    profile = spec.engine.profile
    if profile in WITHOUT and (d > 1 or e > 1):
        column, degree = ("attention_dp", d) if d > 1 else ("expert_parallel", e)
        yield column, f"{column} {degree}: {name} has no such option"
    if profile in ALL_OR_NONE and e not in (1, gpus):
        yield (
            "expert_parallel",
            f"expert_parallel {e}: {name} deals the experts to all {gpus} GPUs (tp x attention_dp) or to none (1)",
        )
    if profile == "trtllm" and d > 1 and spec.tensor_parallel > 1:
        yield (
            "attention_dp",
            f"attention_dp {d} with tp {spec.tensor_parallel}: {name} has attention data parallelism on every GPU "
            "(tp 1) or on none",
        )
