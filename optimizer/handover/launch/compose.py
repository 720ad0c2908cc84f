"""Docker compose for one node: each server on cards of its own, a balancer in front of several.

Field meanings: Compose specification; GPUs as in Docker's and AMD's documentation; nginx's ``upstream`` is round robin
unless told otherwise (ngx_http_upstream_module: ``least_conn``, ``hash``), and does what the replay assumed.

A SkyPilot task per kind of node: gets the instances and starts the servers on them (SkyPilot YAML specification).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from optimizer.handover.launch.scripts import visible_devices
from optimizer.handover.safe_text import Value, bash_line, render_yaml, slug
from optimizer.vocabulary import Router, Tier

if TYPE_CHECKING:
    from optimizer.handover.launch.facts import LaunchFacts
    from optimizer.handover.launch.server import NodeLayout, Placed, Server


_NGINX = "nginx:stable"
_VENDORS = ("nvidia", "amd")
_POLICY = {
    Router.LEAST_OUTSTANDING: "  least_conn;\n",
    Router.SHORTEST_QUEUE: "  least_conn;  # nginx cannot count tokens; the replay sent to the fewest\n",
    Router.PREFIX_AFFINITY: "  hash $http_x_session_id consistent;  # clients send X-Session-Id with every turn\n",
}


def can_compose(layout: NodeLayout) -> bool:
    """Whether every server of the node has an image and a way to get its cards."""
    servers = [placed.server for placed in layout.placed]
    return bool(servers) and all(s.image and s.nodes == 1 and s.vendor in _VENDORS for s in servers)


def compose(layout: NodeLayout, origin: str, router: Router = Router.ROUND_ROBIN) -> str:
    """The compose file of one node."""
    services: dict[str, Value] = {}
    behind: dict[str, list[str]] = {}
    ports: dict[str, int] = {}
    for placed in layout.placed:
        own = behind.setdefault(placed.server.name, [])
        ports[placed.server.name] = placed.server.port
        several = sum(one.server is placed.server for one in layout.placed) > 1
        name = f"{placed.server.name}-{len(own) + 1}" if several else placed.server.name
        own.append(name)
        services[name] = _service(placed, publish=not several)
    balanced = {name: own for name, own in behind.items() if len(own) > 1}
    document: dict[str, Value] = {"services": services}
    if balanced:
        services["balancer"] = {
            "image": _NGINX,
            "restart": "unless-stopped",
            "ports": [f"{ports[name]}:{ports[name]}" for name in balanced],
            "configs": [{"source": "balancer", "target": "/etc/nginx/conf.d/default.conf"}],
            "depends_on": [name for own in balanced.values() for name in own],
        }
        document["configs"] = {"balancer": {"content": _unexpanded(_nginx(balanced, ports, router))}}
    document["volumes"] = {"models": {}}
    return render_yaml([document], f"{origin}\nNeeds docker compose 2.23.1 or newer; HF_TOKEN is read from the shell.")


def _service(placed: Placed, *, publish: bool) -> Value:
    server = placed.server
    service: dict[str, Value] = {
        "image": server.image,
        "entrypoint": [_unexpanded(word) for word in server.command(server.port)],
        "restart": "unless-stopped",
        "ipc": "host",
        "volumes": ["models:/root/.cache/huggingface"],
        "environment": {"HF_TOKEN": "${HF_TOKEN:-}", **_devices_variable(server, placed)},
        "healthcheck": {
            "test": ["CMD", "python3", "-c", _check(server.port)],
            "interval": "15s",
            "timeout": "10s",
            "retries": 5,
            "start_period": "60m",
        },
        **_devices(server, placed),
    }
    if publish:
        service["ports"] = [f"{server.port}:{server.port}"]
    return service


def _check(port: int) -> str:
    return f"import urllib.request as u; u.urlopen('http://127.0.0.1:{port}/health', timeout=5)"


def _devices(server: Server, placed: Placed) -> dict[str, Value]:
    if server.vendor == "amd":
        return {"devices": ["/dev/kfd", "/dev/dri"], "group_add": ["video", "render"]}
    cards: Value = {
        "driver": "nvidia",
        "device_ids": [str(card) for card in placed.gpus],
        "capabilities": ["gpu"],
    }
    return {"deploy": {"resources": {"reservations": {"devices": [cards]}}}}


def _devices_variable(server: Server, placed: Placed) -> dict[str, Value]:
    """AMD containers see every card; the variable narrows them. NVIDIA's runtime hands over only those reserved."""
    cards = ",".join(map(str, placed.gpus))
    return {visible_devices(server.vendor): cards} if server.vendor == "amd" else {}


def _nginx(balanced: dict[str, list[str]], ports: dict[str, int], router: Router) -> str:
    blocks = []
    for name, own in balanced.items():
        port = ports[name]
        members = "".join(f"  server {service}:{port};\n" for service in own)
        blocks.append(
            f"upstream {name} {{\n{_POLICY.get(router, '')}{members}}}\n"
            f"server {{\n  listen {port};\n  client_max_body_size 64m;\n  location / {{\n"
            f"    proxy_pass http://{name};\n    proxy_http_version 1.1;\n    proxy_buffering off;\n"
            "    proxy_read_timeout 1h;\n  }\n}\n"
        )
    return "".join(blocks)


def _unexpanded(text: str) -> str:
    """Compose expands ``$NAME``; ``$$`` stands for a plain ``$``."""
    return text.replace("$", "$$")


_PIP = {"vllm": "vllm", "sglang": "sglang[all]"}
_RENTED = (Tier.ON_DEMAND, Tier.SPOT, Tier.RESERVED_1Y, Tier.RESERVED_3Y)


def why_no_task(layout: NodeLayout, facts: LaunchFacts) -> str | None:
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


def task(layout: NodeLayout, facts: LaunchFacts, version: str | None, origin: str, name: str) -> str:
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


def document_name(layout: NodeLayout, taken: Iterable[str] = ()) -> str:
    """File name of a layout's task."""
    base = slug(layout.line.offer_id, [name.removeprefix("skypilot-").removesuffix(".yaml") for name in taken])
    return f"skypilot-{base}.yaml"


def _resources(layout: NodeLayout, facts: LaunchFacts) -> tuple[Value, str]:
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
