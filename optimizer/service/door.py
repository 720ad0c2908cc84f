"""Who may ask: Host, Origin, token, kind, size and pace of every request, before anything reads it.

Against a page of another site that a browser has open (DNS rebinding, forged requests), strangers on the network,
and bodies without end. Every answer carries headers that keep browsers from running or keeping what it holds.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

MAX_BODY = 4 << 20
"""Bytes of a request."""

BODY_SECONDS = 15.0
"""In which a whole body must have come."""

LEAST_TOKEN = 16
"""Characters of a token."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

HEADERS = (
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     b"img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)  # fmt: skip

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Rules:
    """Names that the server answers to, and the token that questions must carry; None: it needs none."""

    hosts: frozenset[str] = LOOPBACK
    any_address: bool = False  # also any IP address: listening on all of them
    token: str | None = None
    open_paths: frozenset[str] = frozenset({"/"})  # the page itself, which holds nothing

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = _name(host)
        return name in self.hosts or (self.any_address and _is_address(name))


class Door:
    """Middleware that lets in only what the rules allow."""

    def __init__(self, app: App, rules: Rules, body_seconds: float = BODY_SECONDS) -> None:
        self._app, self._rules, self._seconds = app, rules, body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None and scope["method"] == "POST":
            body = await self._body(receive)
            if isinstance(body, bytes):
                await self._app(scope, _replayed(body, receive), guarded)
                return
            refusal = body
        if refusal is None:
            await self._app(scope, receive, guarded)
            return
        status, sentence = refusal
        text = json.dumps({"error": sentence, "findings": []}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await guarded({"type": "http.response.start", "status": status, "headers": headers})
        await guarded({"type": "http.response.body", "body": text})

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence of what is refused by its head alone."""
        found: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = found.get("host", [])
        if len(hosts) != 1 or not self._rules.knows(hosts[0]):
            return 421, "this server does not go by that name"
        origins = found.get("origin", [])
        if any(origin not in (f"http://{hosts[0]}", f"https://{hosts[0]}") for origin in origins):
            return 403, "pages of other sites may not ask"
        if any(site not in ("same-origin", "none") for site in found.get("sec-fetch-site", [])):
            return 403, "pages of other sites may not ask"
        token = self._rules.token
        if token is not None and scope["path"] not in self._rules.open_paths:
            stated = " ".join(found.get("authorization", []))
            if not hmac.compare_digest(stated.encode(), f"Bearer {token}".encode()):
                return 401, "a token is needed: Authorization: Bearer TOKEN"
        if scope["method"] == "POST":
            return _kind_or_length(found)
        return None

    async def _body(self, receive: Receive) -> bytes | tuple[int, str]:
        """The whole body; else why it is refused."""
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return 400, "the request ended early"
                    parts.append(message.get("body", b""))
                    if sum(map(len, parts)) > MAX_BODY:
                        return 413, f"a request has at most {MAX_BODY >> 20} MiB"
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            return 408, f"a request must have come within {self._seconds:g} s"


def _kind_or_length(found: dict[str, list[str]]) -> tuple[int, str] | None:
    kind = (found.get("content-type") or [""])[0].partition(";")[0].strip().lower()
    if kind != "application/json":
        return 415, "questions are JSON: Content-Type: application/json"
    if found.get("content-encoding", ["identity"]) != ["identity"]:
        return 415, "questions are not compressed"
    length = (found.get("content-length") or ["0"])[0]
    if not length.isascii() or not length.isdigit() or len(length) > 9 or int(length) > MAX_BODY:
        return 413, f"a request has at most {MAX_BODY >> 20} MiB"
    return None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A body that was read, then whatever comes after it."""
    whole = [body]

    async def again() -> Message:
        if whole:
            return {"type": "http.request", "body": whole.pop(), "more_body": False}
        return await receive()

    return again


def _name(host: str) -> str:
    """The name in a Host header, without port and brackets; empty where it is none."""
    if host.startswith("["):
        name, closed, port = host[1:].partition("]")
        return name.lower() if closed and (not port or port[1:].isdigit()) else ""
    name, colon, port = host.partition(":")
    return name.lower() if not colon or port.isdigit() else ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
