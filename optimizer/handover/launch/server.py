"""One kind of server of a plan: what to start, how often, on which cards, with every setting the prediction assumed.

Which server stands on which GPUs of which node: largest first, which always packs powers of two.

The row to complete after the benchmark: the settings, in the columns that ``optimize predict`` reads.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from optimizer.catalog.checkpoints import checkpoint_for
from optimizer.handover.launch.facts import Accelerator, Image
from optimizer.handover.launch.pool_row import pool_columns
from optimizer.handover.safe_text import plain, slug
from optimizer.plan.experiment import Offered
from optimizer.report.confirm import bench_words, client_of, experiments_in
from optimizer.report.csv_report import safe_cell
from optimizer.report.serve_commands import engine_family, serve_words, why_not_served
from optimizer.vocabulary import Role, split_version

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.handover.launch.facts import LaunchFacts
    from optimizer.plan.experiment import Experiment
    from optimizer.plan.types import Asked, Group, NodeLine, Outcome, Plan, Prediction, StandsAt


PORT = 8000
"""Port of the first server, or of the balancer in front of several."""

_PORTS_PER_GROUP = 100
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}", re.ASCII)
_TRTLLM_OPTIONS = "/tmp/llm-api-options.yaml"
_NEW_LINE = r"\n"  # as printf reads it


@dataclass(frozen=True, slots=True)
class Server:
    """Identical servers of one group."""

    name: str  # safe as file name, service name and Kubernetes name
    group: Group
    asked: Asked
    prediction: Prediction
    vendor: str
    serve: tuple[str, ...] | None  # None: the engine's command line is not known; host and port are left out
    bench: tuple[str, ...]  # where to find the server, seed and result are left out
    client: str  # whose benchmark client it is: vllm, sglang, trtllm
    experiment: Experiment
    why_not: str  # why there is no command of an engine that is known
    checkpoint: str | None  # published weights in the planned format; None: make them, or the model's own
    image: str | None  # with its tag; None: no public image is known
    pinned: bool  # whether the tag names a version
    resource: str  # of the Kubernetes device plugin
    accelerator: Accelerator
    port: int
    before: Group | None = None  # the prefill pool, of the decode pool as it is tested behind the router

    @property
    def gpus(self) -> int:
        """GPUs of one server."""
        return self.group.gpus

    @property
    def nodes(self) -> int:
        """Nodes of one server."""
        return self.gpus // self.group.gpus_per_node if self.group.crosses_nodes else 1

    def command(self, port: int | None, host: str = "0.0.0.0") -> list[str]:
        """The command with where to listen; without a port, one may be appended.

        TensorRT-LLM takes its KV type, attention ranks and role in a pool from a file, so a shell writes that first.
        """
        assert self.serve is not None
        words = [*self.serve, "--host", host]
        lines = ["kv_cache_config:", "  dtype: fp8"] if self.group.kv_cache == "fp8" else []
        lines += ["enable_attention_dp: true"] if self.group.attention_dp > 1 else []
        if self.group.role is not Role.SERVE:
            lines += ["cache_transceiver_config:", "  backend: DEFAULT"]
            lines += [f"  max_tokens_in_buffer: {self.group.max_model_len}"]
        lines += ["disable_overlap_scheduler: true"] if self.group.role is Role.PREFILL else []
        if self.group.engine == "trtllm" and lines:
            options = f"printf '{_NEW_LINE.join(lines)}{_NEW_LINE}' > {_TRTLLM_OPTIONS}"
            words = ["bash", "-c", f'{options} && exec "$@"', "serve", *words]
            words += ["--extra_llm_api_options", _TRTLLM_OPTIONS]
        return words if port is None else [*words, "--port", str(port)]


def servers_of(outcome: Outcome, plan: Plan, catalog: Catalog, facts: LaunchFacts, version: str | None) -> list[Server]:
    """The servers of a plan, named after their workloads; ``version`` is the engine's, as the problem states it."""
    asked = {one.workload: one for one in outcome.asked}
    predicted = {one.workload: one for one in plan.predicted}
    found: list[Server] = []
    for position, (planned, experiment) in enumerate(experiments_in(plan, outcome.asked)):
        group = replace(planned, engine_version=planned.engine_version or version or "")
        called = group.workload if group.role is Role.SERVE else f"{group.workload} {group.role}"
        name = slug(called, [server.name for server in found], fallback="workload")
        vendor = catalog.gpus[group.gpu].vendor
        checkpoint = checkpoint_of(group, catalog)
        image = facts.images.get((group.engine, vendor))
        serve = serve_words(group, checkpoint)
        bench = bench_words(group, experiment, checkpoint, requests_file(name))
        question, prediction = asked[group.workload], predicted[group.workload]
        tag = version or _pin(group.engine, serve, facts)
        pinned = tag is not None and _TAG.fullmatch(tag) is not None
        found.append(
            Server(
                name=name,
                group=group,
                asked=question,
                prediction=prediction,
                vendor=vendor,
                serve=tuple(serve) if serve else None,
                bench=tuple(bench),
                client=client_of(group, experiment),
                experiment=experiment,
                why_not=why_not_served(group, checkpoint),
                checkpoint=checkpoint,
                image=_image(image, tag if pinned else None) if serve else None,
                pinned=pinned,
                resource=image.kubernetes_resource if image else "",
                accelerator=facts.accelerators.get(group.gpu, Accelerator()),
                port=PORT + position * _PORTS_PER_GROUP,
            )
        )
    return found


def _pin(engine: str, serve: Sequence[str] | None, facts: LaunchFacts) -> str | None:
    """The newest release of an engine whose options were read; None where that is not known as an image's tag."""
    newest = facts.options.newest(serve) if serve and engine in _PINNED else ""
    return newest if split_version(newest) else None


_PINNED = ("vllm", "sglang")
"""Engines whose images are tagged like the releases whose options were read."""


def doubts_of(server: Server, facts: LaunchFacts) -> list[str]:
    """What is wrong or uncertain about the commands of a server for the stated release of its engine."""
    group, found = server.group, list[str]()
    if server.serve is not None:
        found += facts.options.doubts(server.serve, group.engine_version)
    own = server.client == engine_family(group.engine) and server.experiment.test.plain
    found += facts.options.doubts(server.bench, group.engine_version if own else "")
    if not own and server.client == "vllm":
        found.append(f"{server.name}: the client is vLLM {_CLIENT} or newer, whatever release serves")
    engine, _, least = group.needs_engine.partition(" ")
    stated = split_version(group.engine_version)
    if least and stated and engine == engine_family(group.engine) and stated < split_version(least):
        found.append(f"{group.published_as} needs {group.needs_engine} or newer; {group.engine_version} is stated")
    elif least and engine == engine_family(group.engine):
        found.append(f"{group.published_as} needs {group.needs_engine} or newer")
    return found


_CLIENT = "0.19.0"
"""The first release read whose client takes requests with lengths of their own, in their order."""


def checkpoint_of(group: Group, catalog: Catalog) -> str | None:
    """A published checkpoint in the planned format that the engine loads; None where the catalog knows none."""
    if group.published_as:
        return group.published_as
    engine, vendor = catalog.engines.get(group.engine), catalog.gpus[group.gpu].vendor
    found = checkpoint_for(catalog, group.model, group.weight_quant, engine.profile if engine else group.engine, vendor)
    return found.checkpoint if found else None


def requests_file(name: str) -> str:
    """The file that a benchmark script writes the requests of a run to."""
    return f"{name}-requests.jsonl"


def _image(image: Image | None, version: str | None) -> str | None:
    if image is None:
        return None
    return f"{image.name}:{image.version_prefix}{version.removeprefix('v')}" if version else f"{image.name}:latest"


@dataclass(frozen=True, slots=True)
class Placed:
    """A server (or its part ``part`` of several nodes) on some GPUs of a node."""

    server: Server
    gpus: tuple[int, ...]
    part: int = 0


@dataclass(frozen=True, slots=True)
class NodeLayout:
    """``count`` nodes of one offer that look the same. No servers: kept in reserve."""

    line: NodeLine
    placed: tuple[Placed, ...]
    count: int

    @property
    def crosses_nodes(self) -> bool:
        """Whether a server here needs further nodes."""
        return any(placed.server.nodes > 1 for placed in self.placed)


@dataclass(slots=True)
class _PlacedNode:
    line: NodeLine
    placed: list[Placed] = field(default_factory=list)

    @property
    def used(self) -> int:
        return sum(len(placed.gpus) for placed in self.placed)


def layouts(
    nodes: Sequence[NodeLine],
    servers: Sequence[Server],
    running: Sequence[int] | None = None,
    places: Sequence[Sequence[StandsAt]] | None = None,
) -> tuple[NodeLayout, ...]:
    """Distinct nodes with how many of each; first the nodes at work, then those in reserve.

    ``running`` says how many of each server there are, where that is not all of them; ``places`` where those of each
    stand, where the plan decides that.
    """
    every = [_PlacedNode(line) for line in nodes for _ in range(line.count)]
    counts = running or [server.group.replicas for server in servers]
    counted = zip(servers, counts, places or [()] * len(servers), strict=True)
    for server, number, stands in sorted(counted, key=lambda row: (-row[0].gpus, row[0].name)):
        own = [node for node in every if _fits(node.line, server)]
        for one in stands:
            there = [node for node in own if node.line.place == (one.provider, one.region)]
            for _ in range(one.replicas):
                _put(server, there)
        for _ in range(0 if stands else number):
            _put(server, own)
    return _counted(every)


def busiest_layouts(plan: Plan, servers: Sequence[Server]) -> tuple[NodeLayout, ...]:
    """The nodes of a plan; with a day profile in its busiest period, as two workloads may take turns on a node."""
    if not plan.periods:
        told = {row.workload: row.places for row in plan.remainder if row.places}
        alone = len({group.workload for group in plan.groups}) == len(plan.groups)
        places = [told.get(server.group.workload, ()) if alone else () for server in servers]
        return layouts(plan.nodes, servers, places=places)
    busiest = max(plan.periods, key=lambda period: period.gpus)
    nodes = [replace(line, count=count) for line, count in zip(plan.nodes, busiest.nodes, strict=True)]
    return layouts(nodes, servers, busiest.replicas)


def _fits(line: NodeLine, server: Server) -> bool:
    group = server.group
    return (line.gpu, line.gpus_per_node, line.link) == (group.gpu, group.gpus_per_node, group.link)


def _put(server: Server, nodes: Sequence[_PlacedNode]) -> None:
    if server.nodes > 1:
        empty = [node for node in nodes if not node.placed][: server.nodes]
        for part, node in enumerate(empty):
            node.placed.append(Placed(server, tuple(range(node.line.gpus_per_node)), part))
        return
    node = next(node for node in nodes if node.used + server.gpus <= node.line.gpus_per_node)
    node.placed.append(Placed(server, tuple(range(node.used, node.used + server.gpus))))


def _counted(nodes: Sequence[_PlacedNode]) -> tuple[NodeLayout, ...]:
    found: dict[tuple[object, ...], NodeLayout] = {}
    for node in sorted(nodes, key=lambda one: not one.placed):
        key = (node.line.offer_id, node.line.tier, *((p.server.name, p.gpus, p.part) for p in node.placed))
        before = found.get(key)
        found[key] = NodeLayout(node.line, tuple(node.placed), before.count + 1 if before else 1)
    return tuple(found.values())


_LATENCIES = tuple(f"{name}_ms_{figure}" for name in ("ttft", "tpot") for figure in ("mean", "p50", "p95", "p99"))
_MEASURED = ("output_tokens_per_s", *_LATENCIES)
"""Blank: to be filled in from the benchmark's result."""


def settings_of(server: Server) -> dict[str, str]:
    """What was set, in the columns that ``optimize predict`` and ``optimize calibrate`` read: engine, card, formats."""
    group, test = server.group, server.experiment.test
    if server.before is not None:
        return pool_columns(server.before, group)
    return {
        "gpu": group.gpu,
        "gpu_count": str(server.gpus * test.replicas),
        "interconnect": group.interconnect,
        "nodes": str(server.nodes),
        "engine": group.engine,
        "engine_version": group.engine_version,
        "weight_quant": group.weight_quant,
        "kv_cache": group.kv_cache,
        "tp": str(group.tensor_parallel),
        "pp": str(group.pipeline_parallel),
        **_expert_degrees(group),
        **_drafts(group),
        "replicas": str(test.replicas),
        "gpu_memory_utilization": f"{group.gpu_memory_utilization:g}",
        "max_num_seqs": str(group.max_num_seqs),
        "max_num_batched_tokens": str(group.max_num_batched_tokens),
    }


def _expert_degrees(group: Group) -> dict[str, str]:
    """Attention ranks and expert groups, of mixtures that have them."""
    if group.attention_dp == group.expert_parallel == 1:
        return {}
    return {"attention_dp": str(group.attention_dp), "expert_parallel": str(group.expert_parallel)}


def _drafts(group: Group) -> dict[str, str]:
    """How it drafts, where it does."""
    drafts = group.drafts
    if drafts is None:
        return {}
    return {
        "speculative": drafts.method,
        "speculative_tokens": str(drafts.tokens),
        "acceptance": f"{drafts.acceptance:g}",
    }


def load_words(server: Server) -> dict[str, str]:
    """How the load was offered, in the words of a measured row."""
    offered = server.experiment.offered
    if offered is Offered.ARRIVING:
        return {"load": "open_loop", "start": "steady"}
    return {"load": "closed_loop" if offered is Offered.HELD else "offline", "start": _START[offered]}


_START = {Offered.HELD: "steady", Offered.AT_ONCE: "burst"}


def lengths_of(server: Server) -> dict[str, str]:
    """How lengths spread and prefixes are shared, and how replicas are chosen: what makes a row one of a test. Of pools
    nothing: they are predicted for requests of one length."""
    test = server.experiment.test
    if server.before is not None:
        return {}
    lengths = test.lengths
    return {
        "input_p95": _cell(lengths.input_p95),
        "output_p95": _cell(lengths.output_p95),
        "context_max": str(server.group.max_model_len),
        "shared_prefix": _cell(lengths.shared_prefix or None),
        "requests_per_prefix": _cell(lengths.requests_per_prefix),
        "router": str(test.router),
    }


def measurement_csv(server: Server) -> str:
    """One row: the test as it is sent. A mix of length classes is no such row."""
    test = server.experiment.test
    lengths = test.lengths
    row = {
        **settings_of(server),
        "model": server.group.model,
        "input_tokens": f"{lengths.input_mean:g}",
        "output_tokens": f"{lengths.output_mean:g}",
        **lengths_of(server),
        **load_words(server),
        "requests": str(test.requests),
        "length_low": "1",
        "concurrency": _cell(test.cap),
        "request_rate": _cell(test.rate),
        **dict.fromkeys(_MEASURED, ""),
    }
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(row)
    writer.writerow([safe_cell(plain(cell)) for cell in row.values()])
    return stream.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
