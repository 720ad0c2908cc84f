"""One kind of server of a plan: what to start, how often, on which cards, with every setting the prediction assumed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.handover.launch.facts import Accelerator, Image
from optimizer.handover.names import slug
from optimizer.report.confirm import bench_commands, serve_words

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.handover.launch.facts import LaunchFacts
    from optimizer.plan.types import Asked, Group, Outcome, Plan, Prediction

PORT = 8000
"""Port of the first server, or of the balancer in front of several."""

_PORTS_PER_GROUP = 100
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}", re.ASCII)
_TRTLLM_OPTIONS = "/tmp/llm-api-options.yaml"


@dataclass(frozen=True, slots=True)
class Server:
    """Identical servers of one group."""

    name: str  # safe as file name, service name and Kubernetes name
    group: Group
    asked: Asked
    prediction: Prediction
    vendor: str
    serve: tuple[str, ...] | None  # None: the engine's command line is not known; host and port are left out
    bench: tuple[tuple[str, ...], ...]
    checkpoint: str | None  # published weights in the planned format; None: make them, or the model's own
    image: str | None  # with its tag; None: no public image is known
    pinned: bool  # whether the tag names a version
    resource: str  # of the Kubernetes device plugin
    accelerator: Accelerator
    port: int

    @property
    def gpus(self) -> int:
        """GPUs of one server."""
        return self.group.tensor_parallel * self.group.pipeline_parallel

    @property
    def nodes(self) -> int:
        """Nodes of one server."""
        return self.gpus // self.group.gpus_per_node if self.group.crosses_nodes else 1

    def command(self, port: int | None, host: str = "0.0.0.0") -> list[str]:
        """The command with where to listen; without a port, one may be appended.

        TensorRT-LLM takes its KV type from a file, so a shell writes that first.
        """
        assert self.serve is not None
        words = [*self.serve, "--host", host]
        if self.group.engine == "trtllm" and self.group.kv_cache == "fp8":
            options = f"printf 'kv_cache_config:\\n  dtype: fp8\\n' > {_TRTLLM_OPTIONS}"
            words = ["bash", "-c", f'{options} && exec "$@"', "serve", *words]
            words += ["--extra_llm_api_options", _TRTLLM_OPTIONS]
        return words if port is None else [*words, "--port", str(port)]


def servers_of(outcome: Outcome, plan: Plan, catalog: Catalog, facts: LaunchFacts, version: str | None) -> list[Server]:
    """The servers of a plan, named after their workloads; ``version`` is the engine's, as the problem states it."""
    asked = {one.workload: one for one in outcome.asked}
    predicted = {one.workload: one for one in plan.predicted}
    found: list[Server] = []
    for position, group in enumerate(plan.groups):
        name = slug(group.workload, [server.name for server in found], fallback="workload")
        vendor = catalog.gpus[group.gpu].vendor
        checkpoint = checkpoint_of(group, catalog)
        image = facts.images.get((group.engine, vendor))
        serve = serve_words(group, checkpoint)
        question, prediction = asked[group.workload], predicted[group.workload]
        pinned = version is not None and _TAG.fullmatch(version) is not None
        found.append(
            Server(
                name=name,
                group=group,
                asked=question,
                prediction=prediction,
                vendor=vendor,
                serve=tuple(serve) if serve else None,
                bench=tuple(tuple(one) for one in bench_commands(group, question, prediction, checkpoint)),
                checkpoint=checkpoint,
                image=_image(image, version if pinned else None) if serve else None,
                pinned=pinned,
                resource=image.kubernetes_resource if image else "",
                accelerator=facts.accelerators.get(group.gpu, Accelerator()),
                port=PORT + position * _PORTS_PER_GROUP,
            )
        )
    return found


def checkpoint_of(group: Group, catalog: Catalog) -> str | None:
    """A published checkpoint in the planned format; None where the catalog knows none."""
    known: Sequence[str] = [row.checkpoint for row in catalog.checkpoints.get((group.model, group.weight_quant), ())]
    return known[0] if known else None


def _image(image: Image | None, version: str | None) -> str | None:
    if image is None:
        return None
    return f"{image.name}:{image.version_prefix}{version.removeprefix('v')}" if version else f"{image.name}:latest"
