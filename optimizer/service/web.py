"""Questions over HTTP: ``POST /v1/COMMAND``, described at ``/openapi.json``, and the page at ``/``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from optimizer import __version__
from optimizer.service.door import App, Door, Rules
from optimizer.service.questions import OVER_HTTP, ServedQuestion
from optimizer.service.solver import Ending, Solver, Told, refused

STATUS = MappingProxyType(
    {
        Ending.ANSWERED: 200,
        Ending.REFUSED: 422,
        Ending.OUT_OF_TIME: 504,
        Ending.FULL: 503,
        Ending.LEFT: 499,
        Ending.FAILED: 500,
    }
)
"""Of HTTP, by how a question ended."""

PAGE = MappingProxyType(
    {
        "/": ("page.html", "text/html; charset=utf-8"),
        "/icon.svg": ("icon.svg", "image/svg+xml"),
        "/page.css": ("page.css", "text/css; charset=utf-8"),
        "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    }
)
"""Files of the page and their kinds, by path. Nothing else is ever sent from disk."""

_FOLDER = Path(__file__).parent / "page"


class WrongThere(BaseModel):
    """One thing that is wrong: where, and how to mend it."""

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    hint: str | None = None


class Refusal(BaseModel):
    """Why there is no answer."""

    error: str
    findings: list[WrongThere]


def app_of(solver: Solver, rules: Rules) -> App:
    """The server, behind its door."""

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        solver.start()
        yield
        solver.stop()

    app = FastAPI(
        title="LLM deployment optimizer",
        version=__version__,
        docs_url=None,  # its pages load scripts from the network
        redoc_url=None,
        lifespan=running,
    )
    for kind in OVER_HTTP:
        app.post(
            f"/v1/{kind.command}",
            summary=kind.__doc__,
            operation_id=kind.command,
            response_description="The JSON of the command.",
            responses={code: {"model": Refusal} for code in (422, 503, 504)},
        )(_endpoint(kind, solver))
    for path in PAGE:
        app.get(path, include_in_schema=False)(_file(path))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _other)
    return Door(app, Rules(rules.hosts, rules.any_address, rules.token, frozenset(PAGE)))


def _endpoint(kind: type[ServedQuestion], solver: Solver) -> Callable[..., Awaitable[Response]]:
    async def endpoint(question: ServedQuestion, request: Request) -> Response:
        return _response(await solver.ask(question, request.is_disconnected))

    endpoint.__annotations__ = {"question": kind, "request": Request, "return": Response}
    return endpoint


def _file(path: str) -> Callable[[], Awaitable[Response]]:
    name, kind = PAGE[path]
    content = (_FOLDER / name).read_bytes()

    async def send() -> Response:
        return Response(content, media_type=kind)

    send.__annotations__ = {"return": Response}
    return send


def _response(told: Told) -> Response:
    headers = {"Retry-After": "60"} if told.ending is Ending.FULL else None
    return Response(told.text, STATUS[told.ending], headers, "application/json")


async def _invalid(_: Request, error: Exception) -> Response:
    """A question that is none: every field that is wrong, without what it held."""
    assert isinstance(error, RequestValidationError)
    findings: list[dict[str, object]] = []
    for one in error.errors():
        place = ".".join(str(step) for step in one["loc"] if step != "body")
        message = f"{place}: {one['msg']}" if place else str(one["msg"])
        findings.append(WrongThere(message=message[:500]).model_dump())
    count = "1 thing to mend" if len(findings) == 1 else f"{len(findings)} things to mend"
    return _response(refused(Ending.REFUSED, count, findings))


async def _other(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Response(refused(Ending.REFUSED, str(error.detail)).text, error.status_code, None, "application/json")
