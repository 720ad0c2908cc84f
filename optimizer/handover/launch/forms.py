"""What a plan is written for beside Kubernetes' own kinds: KEDA, KServe, Dynamo, each with why not where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.handover.launch.autoscaling import autoscaling, scaled_object, why_not_scaled
from optimizer.handover.launch.dynamo import dynamo, dynamo_document, dynamo_engine, why_no_dynamo
from optimizer.handover.launch.kserve import kserve, kserve_adds, kserve_document, kserve_name, why_no_kserve
from optimizer.handover.launch.kubernetes import can_span_nodes
from optimizer.handover.launch.pools import behind_a_router
from optimizer.handover.safe_text import Value, plain

if TYPE_CHECKING:
    from optimizer.handover.launch.facts import LaunchFacts
    from optimizer.handover.launch.server import Server
    from optimizer.plan.types import Plan
    from optimizer.vocabulary import Router

NO_SCALED_POOLS = (
    "no autoscaling of the pools: their router is told its workers when it starts, and how many of one pool go with "
    "fewer of the other was not replayed"
)


@dataclass(frozen=True, slots=True)
class Form:
    """A file with the document in it, and commands of the engine that it comes to beyond those of the scripts."""

    name: str
    purpose: str
    text: str
    document: Value
    commands: tuple[tuple[list[str], str], ...] = ()  # words, and the engine's version


@dataclass(frozen=True)
class Forms:
    """The files, what is missing and why, and what is uncertain about them."""

    written: tuple[Form, ...]
    missing: tuple[str, ...]
    doubts: tuple[str, ...]


def forms_of(plan: Plan, servers: Sequence[Server], facts: LaunchFacts, origin: str, router: Router) -> Forms:
    """Every form of a plan; a server without a command or an image has none, which is said elsewhere."""
    whole = all(one.serve is not None and one.image is not None for one in servers)
    if plan.has_pools:
        found = [*_of_pools(servers, facts, origin, router)] if whole else []
    else:
        found = [*_of_servers(plan, servers, origin, router)]
    written = tuple(one for one in found if isinstance(one, Form))
    doubts = [f"{form.name}: {doubt}" for form in written for doubt in _doubts(form, facts)]
    return Forms(written, tuple(one for one in found if isinstance(one, str)), tuple(doubts))


def _of_servers(plan: Plan, servers: Sequence[Server], origin: str, router: Router) -> Iterator[Form | str]:
    for position, server in enumerate(servers):
        if server.serve is None or server.image is None:
            continue
        of = f"workload {plain(server.group.workload)}"
        if can_span_nodes(server):  # what is scaled is the Deployment or LeaderWorkerSet
            yield why_not_scaled(server, plan, position) or Form(
                f"{server.name}-autoscaling.yaml",
                f"KEDA: as many servers of {of} as the hour needs",
                autoscaling(server, plan, position, origin),
                scaled_object(server, plan, position),
            )
        yield from _for_kserve([server], of, origin, router)


def _of_pools(servers: Sequence[Server], facts: LaunchFacts, origin: str, router: Router) -> Iterator[Form | str]:
    yield NO_SCALED_POOLS
    of = f"both pools of workload {plain(servers[0].group.workload)}"
    yield from _for_kserve(servers, of, origin, router)
    if why := why_no_dynamo(servers, facts):
        yield why
        return
    name = f"{behind_a_router(servers).name}-dynamo.yaml"
    commands = tuple(dynamo_engine(one, facts) for one in servers)
    text = dynamo(servers, facts, origin)
    yield Form(name, f"Dynamo: {of}, and their frontend", text, dynamo_document(servers, facts), commands)


def _for_kserve(servers: Sequence[Server], of: str, origin: str, router: Router) -> Iterator[Form | str]:
    if why := why_no_kserve(servers):
        yield why
        return
    commands = tuple((kserve_adds(one), one.group.engine_version) for one in servers)
    document, text = kserve_document(servers, router), kserve(servers, router, origin)
    yield Form(f"{kserve_name(servers)}-kserve.yaml", f"KServe: LLMInferenceService of {of}", text, document, commands)


def _doubts(form: Form, facts: LaunchFacts) -> Iterator[str]:
    """Fields that the kind does not have, options that the engine's release does not have."""
    yield from facts.fields.doubts(form.document)
    for words, version in form.commands:
        yield from (doubt for doubt in facts.options.doubts(words, version) if "does not know" in doubt)
