"""A SkyPilot task per kind of node: gets the instances and starts the servers on them (SkyPilot YAML specification)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from optimizer.handover.launch.scripts import visible_devices
from optimizer.handover.names import bash_line, slug
from optimizer.handover.yaml_text import Value, render_yaml
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.handover.launch.facts import LaunchFacts
    from optimizer.handover.launch.placement import Layout, Placed

_PIP = {"vllm": "vllm", "sglang": "sglang[all]"}
_RENTED = (Tier.ON_DEMAND, Tier.SPOT, Tier.RESERVED_1Y, Tier.RESERVED_3Y)


def why_no_task(layout: Layout, facts: LaunchFacts) -> str | None:
    """Why there is no task for a node; None where there is one."""
    cloud = facts.clouds.get(layout.line.provider)
    servers = [placed.server for placed in layout.placed]
    named = (cloud is not None and cloud.real_instance_types) or all(one.accelerator.skypilot for one in servers)
    reasons = (
        (not servers, "kept in reserve"),
        (layout.line.tier not in _RENTED, "bought or owned: nothing to launch"),
        (layout.crosses_nodes, "a server spans several nodes: use the Kubernetes manifests"),
        (any(one.serve is None for one in servers), "the engine's command line is not known"),
        (
            any(one.vendor != "nvidia" or one.group.engine not in _PIP for one in servers),
            "the task installs vLLM or SGLang for NVIDIA cards by pip: use the container files",
        ),
        (not named, "SkyPilot's name of the card is not established"),
    )
    return next((reason for holds, reason in reasons if holds), None)


def task(layout: Layout, facts: LaunchFacts, version: str | None, origin: str, name: str) -> str:
    """The task of all nodes of one layout."""
    engine = layout.placed[0].server.group.engine
    package = _PIP[engine] + (f"=={version}" if version else "")
    resources, remark = _resources(layout, facts)
    document: Value = {
        "name": slug(layout.placed[0].server.name),
        "num_nodes": layout.count,
        "resources": resources,
        "secrets": {"HF_TOKEN": None},
        "setup": f"set -e\npip install {bash_line([package])}\n",
        "run": _run(layout.placed),
    }
    pin = "" if version else "\nThe engine's version floats: pin the one that you confirmed with the benchmark."
    return render_yaml([document], f"{origin}\n{remark}\nsky launch --secret HF_TOKEN {name}{pin}")


def document_name(layout: Layout, taken: Iterable[str] = ()) -> str:
    """File name of a layout's task."""
    base = slug(layout.line.offer_id, [name.removeprefix("skypilot-").removesuffix(".yaml") for name in taken])
    return f"skypilot-{base}.yaml"


def _resources(layout: Layout, facts: LaunchFacts) -> tuple[Value, str]:
    line = layout.line
    cloud = facts.clouds.get(line.provider)
    ports: Value = sorted({str(port) for port, _ in _ports(layout.placed)})
    common: dict[str, Value] = {"use_spot": line.tier is Tier.SPOT, "disk_size": 512, "ports": ports}
    if cloud and cloud.real_instance_types:
        infra = f"{cloud.name}/{line.region}" if line.region else cloud.name
        return {"infra": infra, "instance_type": line.instance_type, **common}, "The instance type that was priced."
    name = layout.placed[0].server.accelerator.skypilot
    wanted: dict[str, Value] = {"accelerators": f"{name}:{line.gpus_per_node}", **common}
    if cloud:
        return {"infra": cloud.name, **wanted}, "The priced provider by card: check the instance SkyPilot picks."
    return wanted, "SkyPilot does not know the priced provider: it picks any cloud with this card, at another price."


def _ports(placed: tuple[Placed, ...]) -> list[tuple[int, Placed]]:
    """A port for every server of the node."""
    found: list[tuple[int, Placed]] = []
    for one in placed:
        before = sum(other.server is one.server for _, other in found)
        found.append((one.server.port + before, one))
    return found


def _run(placed: tuple[Placed, ...]) -> str:
    lines = ["set -euo pipefail"]
    for port, one in _ports(placed):
        cards = ",".join(map(str, one.gpus))
        lines.append(f"{visible_devices(one.server.vendor)}={cards} {bash_line(one.server.command(port))} &")
    lines.append("wait -n")
    return "\n".join(lines) + "\n"
