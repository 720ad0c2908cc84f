"""``optimize serve``: where it listens, whom it answers, and its end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address

from optimizer import Finding, UsageError
from optimizer.service.door import LEAST_TOKEN, LOOPBACK, Rules

TOKEN = "OPTIMIZE_SERVE_TOKEN"
"""Environment variable that holds the token: an argument would show in the list of processes."""

_MOST_CONNECTIONS = 256
_HEAD_BYTES = 16 << 10
_IDLE_S = 5


def rules_of(host: str, names: tuple[str, ...], token: str | None) -> Rules:
    """The rules of a server that listens on ``host``. Raises ``UsageError`` where it would be open to strangers."""
    if token is not None and (len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable()):
        message = f"{TOKEN} has fewer than {LEAST_TOKEN} characters, or some that a header cannot hold"
        raise UsageError([Finding(message, hint=f"{TOKEN}=$(openssl rand -hex 24) optimize serve ...")])
    if not _is_loopback(host) and token is None:
        message = f"--listen {host} is open to others, and needs a token in the environment variable {TOKEN}"
        raise UsageError([Finding(message, hint=f"{TOKEN}=$(openssl rand -hex 24) optimize serve --listen {host}")])
    known = {name.strip().strip("[]").lower() for name in names}
    if _is_loopback(host):
        return Rules(LOOPBACK | known, token=token)
    return Rules(LOOPBACK | known | {host.lower()}, any_address=_is_everywhere(host), token=token)


def serve(host: str, port: int, rules: Rules, say: Callable[[str], None]) -> None:
    """Answer until interrupted; ``say`` takes the address. Raises ``UsageError`` without the extra ``serve``."""
    try:
        import uvicorn

        from optimizer.service.solver import Solver
        from optimizer.service.web import app_of
    except ImportError as error:
        message, hint = "optimize serve needs FastAPI and uvicorn", "pip install 'llm-deployment-optimizer[serve]'"
        raise UsageError([Finding(f"{message}, which are not installed", hint=hint)]) from error
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        message = f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}"
        raise UsageError([Finding(message, hint="another --port?")]) from error
    with listening:
        config = uvicorn.Config(
            app_of(Solver(), rules),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            http="h11",
            timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=1,
            limit_concurrency=_MOST_CONNECTIONS,
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )
        name = f"[{host}]" if ":" in host else host
        say(f"http://{name}:{listening.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[listening])


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_everywhere(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return not host
