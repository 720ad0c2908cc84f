"""Launch files of one ranked plan: scripts, Kubernetes and what extends it, compose, SkyPilot, benchmark, notes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.handover.launch.benchmark import benchmark_script
from optimizer.handover.launch.compose import can_compose, compose, document_name, task, why_no_task
from optimizer.handover.launch.forms import forms_of
from optimizer.handover.launch.kubernetes import can_span_nodes, manifest
from optimizer.handover.launch.notes import notes
from optimizer.handover.launch.operations import operations
from optimizer.handover.launch.pool_manifests import pool_manifest, router_manifest, router_name, why_no_manifests
from optimizer.handover.launch.pools import (
    NO_NODE_FILES,
    behind_a_router,
    pool_doubts,
    router_script,
    router_words,
)
from optimizer.handover.launch.scripts import serve_script
from optimizer.handover.launch.server import (
    NodeLayout,
    Server,
    busiest_layouts,
    doubts_of,
    measurement_csv,
    servers_of,
)
from optimizer.handover.safe_text import plain
from optimizer.vocabulary import Router

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.handover.launch.facts import LaunchFacts
    from optimizer.plan.types import Outcome, Plan

__all__ = ["LaunchFile", "launch_files"]


@dataclass(frozen=True, slots=True)
class LaunchFile:
    """A file to write: its name under the output folder, what it is for, its text."""

    name: str
    purpose: str
    text: str
    executable: bool = False


def launch_files(
    outcome: Outcome, plan: Plan, catalog: Catalog, facts: LaunchFacts, version: str | None = None
) -> tuple[LaunchFile, ...]:
    """Every file of a plan; ``version`` is the engine's, as the problem states it."""
    servers = servers_of(outcome, plan, catalog, facts, version)
    nodes = busiest_layouts(plan, servers)
    origin = f"Plan #{plan.rank} of {plain(outcome.problem_name)} ({outcome.problem_sha256[:12]})"
    if plan.has_pools:
        files = [*_of_pools(servers), *_pools_on_kubernetes(servers, origin)]
        missing = [*_without_command(servers), *filter(None, [why_no_manifests(servers)]), NO_NODE_FILES]
    else:
        files = [*_per_server(servers, origin), *_per_node(nodes, facts, version, origin, _router(plan))]
        missing = [*_without_command(servers), *_without_image(servers), *_without_task(nodes, facts)]
    doubts = list(dict.fromkeys(doubt for server in servers for doubt in doubts_of(server, facts)))
    doubts += pool_doubts(servers) if plan.has_pools else []
    forms = forms_of(plan, servers, facts, origin, _router(plan))
    files += [LaunchFile(form.name, form.purpose, form.text) for form in forms.written]
    missing += forms.missing
    doubts += forms.doubts
    listed = [(file.name, file.purpose) for file in files]
    page = notes(outcome, plan, servers, nodes, listed, missing, doubts)
    return (LaunchFile("README.md", "read this first", page), *files)


def _per_server(servers: list[Server], origin: str) -> Iterator[LaunchFile]:
    for server in servers:
        of = f"workload {plain(server.group.workload)}"
        if server.serve is not None:
            yield LaunchFile(f"{server.name}-serve.sh", f"starts one server of {of}", serve_script(server), True)
        yield LaunchFile(
            f"{server.name}-benchmark.sh", f"loads one server of {of} and measures", benchmark_script(server), True
        )
        if server.experiment.test.predictable:
            yield LaunchFile(
                f"{server.name}-measurement.csv",
                "what was set, to complete with what was measured",
                measurement_csv(server),
            )
        if server.image and server.serve is not None and can_span_nodes(server):
            kind = "LeaderWorkerSet" if server.nodes > 1 else "Deployment"
            yield LaunchFile(f"{server.name}-kubernetes.yaml", f"{kind} and Service of {of}", manifest(server, origin))
            about = "alert rules at the edge of what was proven, disruption budget"
            yield LaunchFile(f"{server.name}-operations.yaml", f"{about} of {of}", operations(server, origin))


def _of_pools(servers: list[Server]) -> Iterator[LaunchFile]:
    """A script for the workers of each pool, one for the router, and the test of both."""
    for server in servers:
        if server.serve is not None:
            purpose = f"starts one {server.group.role} worker of workload {plain(server.group.workload)}"
            yield LaunchFile(f"{server.name}-serve.sh", purpose, serve_script(server), True)
    whole = behind_a_router(servers)
    of = f"workload {plain(whole.group.workload)}"
    if router_words(servers) is not None:
        yield LaunchFile(f"{whole.name}-router.sh", f"starts the router of {of}", router_script(servers), True)
    yield LaunchFile(
        f"{whole.name}-benchmark.sh", f"loads both pools of {of} and measures", benchmark_script(whole), True
    )
    purpose = "what was set, to complete with what was measured"
    yield LaunchFile(f"{whole.name}-measurement.csv", purpose, measurement_csv(whole))


def _pools_on_kubernetes(servers: list[Server], origin: str) -> Iterator[LaunchFile]:
    """The workers of each pool with what keeps them, and the router in front."""
    if why_no_manifests(servers) or router_words(servers) is None:
        return
    for server in servers:
        of = f"the {server.group.role} pool of workload {plain(server.group.workload)}"
        purpose = f"StatefulSet and Service of {of}"
        yield LaunchFile(f"{server.name}-kubernetes.yaml", purpose, pool_manifest(server, origin))
        about = "alert rules, disruption budget"
        yield LaunchFile(f"{server.name}-operations.yaml", f"{about} of {of}", operations(server, origin))
    purpose = f"router and Service of workload {plain(servers[0].group.workload)}: what clients talk to"
    yield LaunchFile(f"{router_name(servers)}-kubernetes.yaml", purpose, router_manifest(servers, origin))


def _router(plan: Plan) -> Router:
    """How requests found a replica when the plan was replayed."""
    return Router(plan.simulated[0].router) if plan.simulated else Router.ROUND_ROBIN


def _per_node(
    nodes: tuple[NodeLayout, ...], facts: LaunchFacts, version: str | None, origin: str, router: Router
) -> Iterator[LaunchFile]:
    composed = [layout for layout in nodes if can_compose(layout)]
    for number, layout in enumerate(composed, start=1):
        name = "compose.yaml" if len(composed) == 1 else f"compose-{number}.yaml"
        yield LaunchFile(name, f"docker compose: the same on {layout.count} node(s)", compose(layout, origin, router))
    taken: set[str] = set()
    for layout in nodes:
        if why_no_task(layout, facts) is None:
            name = document_name(layout, taken)
            taken.add(name)
            text = task(layout, facts, version, origin, name)
            yield LaunchFile(name, f"SkyPilot task: {layout.count} node(s) of {plain(layout.line.provider)}", text)


def _without_command(servers: list[Server]) -> Iterator[str]:
    for server in servers:
        if server.why_not:
            yield f"{server.name}: {server.why_not}"
        elif server.serve is None:
            yield (
                f"{server.name}: no server command, as the options of {server.group.engine} are not known here; set "
                "what the table lists by its own documentation"
            )


def _without_image(servers: list[Server]) -> Iterator[str]:
    for server in servers:
        if server.image is None:
            yield (
                f"{server.name}: no container files, as no public image of {server.group.engine} for {server.vendor} "
                "cards is in catalogs/launch/images.csv"
            )
        elif not can_span_nodes(server):
            yield f"{server.name}: no Kubernetes manifest, as a {server.group.engine} server here spans several nodes"


def _without_task(nodes: tuple[NodeLayout, ...], facts: LaunchFacts) -> Iterator[str]:
    reasons = {
        f"{plain(n.line.provider) or 'own'}: {why}" for n in nodes if (why := why_no_task(n, facts)) and n.placed
    }
    yield from (f"no SkyPilot task for {reason}" for reason in sorted(reasons))
