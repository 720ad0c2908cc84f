"""README.md beside the launch files: what to do in which order, every setting, what is missing and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from optimizer.handover.launch.kubernetes import GFD_LABEL, OWN_LABEL, node_selector, takes_key
from optimizer.handover.safe_text import code, table, text
from optimizer.report.confirm import acceptance, brackets, offer_sentence
from optimizer.report.drafts import drafting_of
from optimizer.report.words import gpu_name, money, plural, tier_name
from optimizer.units import SHARE_UNITS
from optimizer.vocabulary import Evidence, Link, Role

if TYPE_CHECKING:
    from optimizer.handover.launch.server import NodeLayout, Server
    from optimizer.plan.types import Group, NodeLine, Outcome, Plan


_FORMS = {"kserve.yaml": "KServe", "dynamo.yaml": "NVIDIA Dynamo"}
"""Files that stand in place of the manifests, and what runs them."""


def notes(
    outcome: Outcome,
    plan: Plan,
    servers: Sequence[Server],
    nodes: Sequence[NodeLayout],
    files: Sequence[tuple[str, str]],
    missing: Sequence[str],
    doubts: Sequence[str],
) -> str:
    """The page."""
    kind = " (indicative price)" if plan.price_evidence is Evidence.INDICATIVE else ""
    parts = [
        f"# Launch files: {text(outcome.problem_name)}, plan #{plan.rank}",
        f"{money(plan.monthly_cents, plan.currency)} a month{kind}, grade {plan.grade}. Problem "
        f"{code(outcome.problem_path)}, sha256 {code(outcome.problem_sha256[:12])}. The settings below are the ones "
        "the prediction assumed: change one and its figures no longer hold.",
        "## Order of work",
        "\n".join(f"{number}. {step}" for number, step in enumerate(_steps(plan, servers, files), start=1)),
        "## Files",
        table(("file", "purpose"), [(code(name), text(purpose)) for name, purpose in files]),
        *([*_missing(missing)] if missing else []),
        "## Nodes",
        table(("nodes", "what", "from", "servers on each"), [_node(layout) for layout in nodes]),
        *(_through_the_day(plan, servers) if plan.periods else ()),
        "## Settings of each server",
        *(_settings(server) for server in servers),
        "## Thresholds of the benchmark",
        *(
            "\n".join([f"**{text(server.name)}**: {text(offer_sentence(server.experiment))}", "", *_judged(server)])
            for server in servers
            if server.group.role is not Role.PREFILL  # both pools are tested at once
        ),
        "## Worth knowing",
        "\n".join(f"- {line}" for line in [*map(text, doubts), *_remarks(servers)]),
    ]
    return "\n\n".join(parts) + "\n"


def _judged(server: Server) -> Iterator[str]:
    """What accepts a run, the promise itself, and where it is expected."""
    accepted = ", ".join(f"{name} {condition}" for name, condition in acceptance(server.experiment))
    yield f"- Accepted if: {text(accepted)}"
    yield from (f"- {text(line)}" for line in brackets(server.experiment))


def _steps(plan: Plan, servers: Sequence[Server], files: Sequence[tuple[str, str]]) -> Iterator[str]:
    written = {name.rpartition("-")[2] for name, _ in files}
    forms = [f"{code(f'...-{name}')} on {tool}" for name, tool in _FORMS.items() if name in written]
    if plan.has_pools:
        yield (
            "Get the nodes, start **all** workers of both pools (`...-serve.sh`), then the router (`...-router.sh`), "
            "run the benchmark against it, compare with the thresholds: neither pool answers a request alone. On "
            "Kubernetes the `...-kubernetes.yaml` of both pools and of the router do the same."
        )
    else:
        yield "Get **one** node, start **one** server (`...-serve.sh`), run its benchmark, compare with the thresholds."
    if any(server.experiment.test.predictable for server in servers):
        row = "Complete the row in `...-measurement.csv`"
        yield f"{row}: it has the columns of `optimize predict`, which adds our figures."
    if not plan.has_pools:
        yield "If it passes, get the rest and roll out with the manifests, the compose files or the SkyPilot tasks."
    if forms:
        yield f"The manifests have other forms: {', '.join(forms)}. Apply one form of a workload, not two."
    if "autoscaling.yaml" in written:
        yield "Apply `...-autoscaling.yaml` last, and only beside `...-kubernetes.yaml`, whose servers it counts."
    if any(node.spare for node in plan.nodes):
        yield "Nodes in reserve stay empty. If a node fails, start its servers there; Kubernetes does so itself."


def _through_the_day(plan: Plan, servers: Sequence[Server]) -> Iterator[str]:
    """How many servers and nodes run in each period, and what sets them."""
    yield "## Through the day"
    rows = [
        (
            text(period.name),
            f"{period.hours_per_month:,.4g}",
            *(str(number) for number in period.replicas),
            text(", ".join(f"{n}x {_paid(line)}" for line, n in zip(plan.nodes, period.nodes, strict=True))),
        )
        for period in plan.periods
    ]
    yield table(("period", "hours a month", *(f"servers of {text(one.name)}" for one in servers), "nodes"), rows)
    scale = "; ".join(code(f"kubectl scale deployment {one.name} --replicas=N") for one in servers if one.nodes == 1)
    before = "Start nodes and servers before a period begins that needs more of them: weights take minutes to load."
    yield f"{before} With Kubernetes: {scale}." if scale else before


def _paid(line: NodeLine) -> str:
    return f"{line.provider} {tier_name(line.tier, line.commitment_months)}".strip()


def _missing(missing: Sequence[str]) -> Iterator[str]:
    yield "Left out, and why:"
    yield "\n".join(f"- {text(line)}" for line in missing)


def _node(layout: NodeLayout) -> tuple[str, str, str, str]:
    line = layout.line
    where = " ".join(part for part in (line.provider, line.region, line.instance_type) if part)
    cards = [f"{one.server.name} on cards {','.join(map(str, one.gpus))}" for one in layout.placed]
    return (
        str(layout.count),
        f"{line.gpus_per_node} x {gpu_name(line.gpu)}",
        text(f"{where}, {tier_name(line.tier, line.commitment_months)}"),
        text("; ".join(cards) or "none: in reserve"),
    )


def _shared_experts(group: Group) -> list[tuple[str, str]]:
    """How a mixture's GPUs share requests and experts, where they do."""
    if group.attention_dp == group.expert_parallel == 1:
        return []
    ranks = f"{group.attention_dp} to a server, each with its own requests and cache"
    return [
        ("attention ranks (data parallel)", ranks if group.attention_dp > 1 else "1"),
        ("expert parallel", str(group.expert_parallel)),
    ]


def _drafts(group: Group) -> list[tuple[str, str]]:
    """How a server drafts, where it does; drafts of made-up prompts are accepted otherwise than those of real ones."""
    if group.drafts is None:
        return []
    prompts = "the benchmark's random tokens say nothing of it: to measure it, send prompts of your own"
    return [("drafts (speculative decoding)", text(f"{drafting_of(group)}; {prompts}"))]


def _settings(server: Server) -> str:
    group = server.group
    weights = server.checkpoint or (
        "made while loading" if group.weight_quant == "fp8" else "no published checkpoint is known: make one"
    )
    of_rank = " of each rank" if group.attention_dp > 1 else ""
    rows = [
        ("workload", text(group.workload)),
        *([] if group.role is Role.SERVE else [("pool", str(group.role))]),
        ("model", code(group.model)),
        ("weights", f"{group.weight_quant}: {code(server.checkpoint) if server.checkpoint else weights}"),
        ("KV cache", "16 bit" if group.kv_cache == "auto" else group.kv_cache),
        ("tensor parallel", str(group.tensor_parallel)),
        ("pipeline parallel", str(group.pipeline_parallel)),
        *_shared_experts(group),
        *_drafts(group),
        ("servers", str(group.replicas)),
        ("longest request (max-model-len)", str(group.max_model_len)),
        (f"requests at once{of_rank} (max-num-seqs)", str(group.max_num_seqs)),
        (f"tokens per step{of_rank} (max-num-batched-tokens)", str(group.max_num_batched_tokens)),
        ("GPU memory used", f"{group.gpu_memory_utilization:g}"),
        ("engine, image", f"{text(group.engine)}, {code(server.image) if server.image else 'none known'}"),
        ("expected per server" + (", all its ranks" if of_rank else ""), f"{_per_server(server)}"),
    ]
    return f"### {text(server.name)}\n\n" + table(("setting", "value"), rows)


def _per_server(server: Server) -> str:
    planned = server.prediction
    share = server.group.share / SHARE_UNITS / server.group.replicas
    return (
        f"{planned.requests_per_second * share:.3g} requests/s, {planned.concurrency * share:.3g} in flight, "
        f"{planned.output_tokens_per_second * share:.3g} output tokens/s"
    )


def _remarks(servers: Sequence[Server]) -> Iterator[str]:
    if any(server.group.role is not Role.SERVE for server in servers):
        yield (
            "Caches are handed over by RDMA: GPUDirect on every node, and one fabric between all of them. Over plain "
            "TCP the figures do not hold. On Kubernetes that takes the cluster's RDMA device plugin, whose resource "
            "names differ: add yours to the limits of both pools."
        )
        yield from _of_nodes(servers)
        return
    if any(server.group.ranks_over_nodes for server in servers):
        yield (
            "Attention ranks over nodes exchange tokens by RDMA in every layer: DeepEP in the image, GPUDirect, an "
            "adapter of 400 Gb/s or more for each GPU, all nodes of a server on one fabric. In Kubernetes add the "
            "cluster's own RDMA device to the limits of the pods, and start all pods of a server or none."
        )
    yield (
        "The prediction splits requests evenly. A Kubernetes Service spreads connections, not requests: keep-alive "
        "clients need a gateway in front that balances requests."
    )
    yield "Several nodes without Kubernetes need a balancer in front: the compose file's serves its own node only."
    apart = [server for server in servers if server.group.length_class]
    if apart:
        names = ", ".join(f"{code(one.name)} gets class {text(one.group.length_class)}" for one in apart)
        yield (
            f"Length classes are served apart: {names}. The router has to tell them by the length of the input or by "
            "the application that a request comes from."
        )
    yield from _of_nodes(servers)
    if any(server.group.link is Link.NVLINK_PAIR for server in servers):
        yield "Bridged pairs: a server on two cards must sit on the two that share a bridge (`nvidia-smi topo -m`)."
    if any(server.image and not server.pinned for server in servers):
        yield "Image tags float until `engine.version` states one; pin what you measured."
    elif any(server.image and not server.group.engine_version for server in servers):
        yield "`engine.version` is not stated: images are pinned to the newest release whose options were read."
    if any(server.image and not takes_key(server) for server in servers):
        yield "Where no API key is checked (TensorRT-LLM, SGLang over several nodes): put a gateway in front that does."
    count = sum(server.group.replicas for server in servers)
    yield f"{plural(count, 'server')} in all. Weights are downloaded by each; a shared volume saves time and traffic."


def _of_nodes(servers: Sequence[Server]) -> Iterator[str]:
    """Labels by which Kubernetes finds the cards."""
    if any(OWN_LABEL in node_selector(server) for server in servers):
        labels = sorted({server.group.gpu for server in servers if OWN_LABEL in node_selector(server)})
        yield "Label the nodes: " + "; ".join(code(f"kubectl label node NAME {OWN_LABEL}={gpu}") for gpu in labels)
    if any(GFD_LABEL in node_selector(server) for server in servers):
        yield f"Check the label that your driver gives the card: {code(f'kubectl get nodes -L {GFD_LABEL}')}"
