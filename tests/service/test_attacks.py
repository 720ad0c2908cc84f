"""What strangers may try on ``optimize serve`` (after the OWASP lists for web and API), each refused."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from optimizer.errors import UsageError
from optimizer.handover.language import translator
from optimizer.service import answers, solver
from optimizer.service.door import HEADERS, MAX_BODY, Door, Rules
from optimizer.service.listen import rules_of
from optimizer.service.questions import OVER_HTTP, CheckQuestion, SolveQuestion
from optimizer.service.solver import Ending, Solver, Told, told_of
from optimizer.service.web import app_of

ROOT = Path(__file__).parents[2]
PROBLEM = (ROOT / "problems" / "chatbot_100users.yaml").read_text()
HERE = "http://127.0.0.1:8765"
TOKEN = "a-token-that-nobody-guesses"


class InThisProcess(Solver):
    """Answers without a process of its own: what is tested here is the way to it."""

    asked: int = 0

    def start(self) -> None:
        """Nothing to start."""

    async def _answer(self, question: Any, gone: Any) -> Told:
        self.asked += 1
        return told_of(question)


@pytest.fixture(scope="module")
def browser() -> Iterator[TestClient]:
    with TestClient(app_of(InThisProcess(), Rules()), base_url=HERE, raise_server_exceptions=False) as client:
        yield client


def check(client: TestClient, problem: str = PROBLEM, **fields: Any) -> Any:
    return client.post("/v1/check", json={"problem": problem, **fields})


def test_an_honest_question_is_answered(browser: TestClient) -> None:
    assert check(browser).status_code == 200
    assert check(browser, problem="workloads: []").status_code == 422
    assert browser.get("/").status_code == 200
    described = browser.get("/openapi.json").json()
    assert set(described["paths"]) == {f"/v1/{kind.command}" for kind in OVER_HTTP}
    own = browser.post(
        "/v1/check", json={"problem": PROBLEM}, headers={"Origin": HERE, "Sec-Fetch-Site": "same-origin"}
    )
    assert own.status_code == 200


@pytest.mark.parametrize(
    ("what", "headers", "status"),
    [
        ("DNS rebinding", {"Host": "evil.example"}, 421),
        ("DNS rebinding with our port", {"Host": "evil.example:8765"}, 421),
        ("a name that only begins like ours", {"Host": "127.0.0.1.evil.example"}, 421),
        ("credentials in Host", {"Host": "127.0.0.1@evil.example"}, 421),
        ("no name", {"Host": ""}, 421),
        ("another origin", {"Origin": "https://evil.example"}, 403),
        ("another port of this machine", {"Origin": "http://127.0.0.1:9999"}, 403),
        ("a sandboxed page", {"Origin": "null"}, 403),
        ("a browser that says so", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("a neighbour of the site", {"Sec-Fetch-Site": "same-site"}, 403),
        ("a form", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("a request without preflight", {"Content-Type": "text/plain"}, 415),
        ("a compressed bomb", {"Content-Encoding": "gzip"}, 415),
        ("a length that is none", {"Content-Length": "-1"}, 413),
    ],
)
def test_a_forged_request_is_refused(browser: TestClient, what: str, headers: dict[str, str], status: int) -> None:
    body = json.dumps({"problem": PROBLEM}).encode()
    sent = {"Content-Type": "application/json", **headers}
    answer = browser.post("/v1/check", content=body, headers=sent)
    assert answer.status_code == status, what
    assert answer.json()["error"]
    assert "evil" not in answer.text


def test_no_other_site_may_read_answers(browser: TestClient) -> None:
    ask = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (browser.options("/v1/check", headers=ask), browser.options("/v1/check"), check(browser)):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE", "HEAD"])
def test_other_methods_are_refused(browser: TestClient, method: str) -> None:
    assert browser.request(method, "/v1/check").status_code == 405


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/page.css/../../web.py", "/web.py", "/..%5c..%5cweb.py",
     "//etc/passwd", "/page.js%00.py", "/.git/config", "/docs", "/redoc", "/v1/", "/v1/trace", "/v1/calibrate"],
)  # fmt: skip
def test_nothing_else_is_sent_from_disk(browser: TestClient, path: str) -> None:
    assert browser.get(path).status_code == 404


@pytest.mark.parametrize(
    "edit",
    ["workloads.chat.model=/etc/passwd", "workloads.chat.model=../../etc", "workloads.chat.model=~/config.json",
     "workloads.chat.model=./problems/x.json", "workloads.chat.model=\\\\evil.example\\share\\config.json",
     "workloads.chat.traffic.trace=/etc/passwd", "workloads.chat.traffic.trace=~/.ssh/id_rsa",
     "engine.calibration=/etc/passwd", "engine.calibration=problems/calibration/own.csv",
     "workloads.chat.tokens.histogram=/etc/passwd"],
)  # fmt: skip
def test_no_file_that_a_problem_names_is_opened(browser: TestClient, edit: str) -> None:
    answer = check(browser, set=[edit])
    assert answer.status_code == 422
    assert "root:" not in answer.text
    assert str(Path.home()) not in answer.text.replace(str(ROOT), "")
    sentences = [one["message"] for one in answer.json()["findings"]]
    assert any(re.search("is not opened|unknown model|unknown key", one) for one in sentences), sentences


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/proc/self/environ", "~/config.json", "../README.md", "/etc", str(ROOT / "README.md")]
)
def test_no_model_is_read_from_a_path(browser: TestClient, path: str) -> None:
    answer = browser.post("/v1/memory", json={"model": path})
    assert answer.status_code == 422
    assert answer.json()["findings"][0]["message"].startswith("unknown model")


@pytest.mark.parametrize(
    "fields",
    [{"catalogs": "/etc"}, {"calibration": "/etc/passwd"}, {"output": "/tmp/x"}, {"engine": "dask://evil.example"},
     {"file": "/etc/passwd"}, {"name": "../../etc/passwd"}, {"name": "/etc/passwd"}, {"name": "a\nb"},
     {"set": ["a=1"] * 1000}, {"set": "a=1"}, {"set": ["x" * 30_000]}, {"quotes": 3}, {"time_limit": 1e9},
     {"time_limit": -1}, {"time_limit": 0}, {"simulate": "perhaps"}, {"problem": None}, {"problem": ["a"]},
     {"problem": "x" * (1 << 21)}],
)  # fmt: skip
def test_fields_that_are_none_are_refused(browser: TestClient, fields: dict[str, Any]) -> None:
    answer = browser.post("/v1/check", json={"problem": PROBLEM, **fields})
    assert answer.status_code == 422
    assert answer.json()["findings"]
    assert len(answer.content) < 2000


def test_a_frontier_asks_no_cluster_and_starts_no_processes(browser: TestClient) -> None:
    for more in ({"engine": "dask://evil.example:1"}, {"jobs": 64}, {"chart": "/tmp/x.svg"}, {"points": 10**6}):
        fields = {"problem": PROBLEM, "over": ["concurrency", "1:2"], **more}
        assert browser.post("/v1/frontier", json=fields).status_code == 422


def bombs() -> dict[str, str]:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    return {
        "aliases that grow": f"a0: &a0 [x]\n{levels}",
        "an object": "!!python/object/apply:os.system ['id']",
        "an include": "workloads: !include /etc/passwd",
        "an include by key": "include: /etc/passwd\nextends: ../../etc/passwd\n$ref: file:///etc/passwd\n",
        "a merge": "base: &base {model: /etc/passwd}\nworkloads: [{<<: *base}]",
        "nesting": "[" * 20_000,
        "nested keys": "".join(" " * n + "a:\n" for n in range(600)),
        "digits": "workloads: " + "9" * 100_000,
        "an exponent": "workloads: 1e999999999",
        "a NUL": "a: \0",
        "half a character": "a: \ud800",
    }


@pytest.mark.parametrize("what", sorted(bombs()))
def test_a_bomb_of_a_problem_is_refused_at_once(browser: TestClient, what: str) -> None:
    begin = time.monotonic()
    answer = browser.post(
        "/v1/check", content=json.dumps({"problem": bombs()[what]}), headers={"Content-Type": "application/json"}
    )
    assert 400 <= answer.status_code < 500
    assert "root:" not in answer.text
    assert time.monotonic() - begin < 5.0
    assert len(answer.content) < 100_000


@pytest.mark.parametrize("body", ["[" * 100_000, '{"problem": 1e999}', "{", "", "null", '{"a":' * 50_000, '"\xff"'])
def test_a_body_that_is_no_question_is_refused(browser: TestClient, body: str) -> None:
    head = {"Content-Type": "application/json"}
    assert browser.post("/v1/check", content=body.encode("latin-1"), headers=head).status_code in (400, 422)


def test_figures_that_are_none_are_refused(browser: TestClient) -> None:
    for text in ("NaN", "Infinity", "-1", '"1; DROP TABLE"'):
        body = json.dumps({"problem": PROBLEM})[:-1] + f', "monthly": {text}}}'
        answer = browser.post("/v1/budget", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, text


def test_a_body_has_an_end(browser: TestClient) -> None:
    head = {"Content-Type": "application/json"}
    assert browser.post("/v1/check", content=b" " * (MAX_BODY + 1), headers=head).status_code == 413
    assert browser.post("/v1/check", content=(b" " * (1 << 20) for _ in range(9)), headers=head).status_code == 413


def test_a_body_that_drips_is_refused() -> None:
    async def never() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    async def asked() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def app(*_: Any) -> None:
            raise AssertionError("let in")

        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/check", "headers": headers}
        await Door(app, Rules(), body_seconds=0.05)(scope, never, send)
        return sent

    assert asyncio.run(asked())[0]["status"] == 408


def test_web_sockets_are_let_in_nowhere() -> None:
    async def app(*_: Any) -> None:
        raise AssertionError("let in")

    async def nothing(*_: Any) -> Any:
        raise AssertionError("spoken to")

    asyncio.run(Door(app, Rules())({"type": "websocket", "headers": []}, nothing, nothing))


def test_every_answer_tells_browsers_to_run_and_keep_nothing(browser: TestClient) -> None:
    wanted = {name.decode(): value.decode() for name, value in HEADERS}
    refused = browser.get("/", headers={"Host": "evil.example"})
    for answer in (browser.get("/"), check(browser), check(browser, problem="x"), browser.get("/none"), refused):
        assert wanted.items() <= dict(answer.headers).items()
        assert "server" not in answer.headers
    assert "unsafe" not in wanted["content-security-policy"]
    script = check(browser, problem=PROBLEM.replace("name: Chatbot", "name: <script>alert(1)</script>"))
    assert script.headers["content-type"] == "application/json"


def test_the_page_holds_no_script_and_asks_nobody_else(browser: TestClient) -> None:
    page, script = browser.get("/").text, browser.get("/page.js").text
    style = browser.get("/page.css").text
    assert not re.search(r"<script(?! src=\"/page\.js\")|\son\w+=|\sstyle=|javascript:", page)
    assert not re.search(r"https?://(?!www\.w3\.org)|@import|url\(", page + script + style)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)


def test_a_failure_of_ours_tells_nothing(browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> str:
        raise RuntimeError("the password is swordfish, in /root/x.py")

    monkeypatch.setattr(answers, "answer", broken)
    answer = check(browser, name="fails.yaml")
    assert answer.status_code == 500
    assert "swordfish" not in answer.text
    assert "/root" not in answer.text


def test_beyond_this_machine_a_token_is_needed() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "gpu-planner.example"):
        with pytest.raises(UsageError, match="needs a token"):
            rules_of(host, (), None)
        for weak in ("short", "with a line\nbreak in it", "ein Schlüssel mit Umlaut"):
            with pytest.raises(UsageError):
                rules_of(host, (), weak)
    assert rules_of("localhost", (), None).token is None
    assert not rules_of("127.0.0.1", (), None).knows("192.168.1.5")
    everywhere = rules_of("0.0.0.0", ("Plan.example",), TOKEN)
    assert everywhere.knows("192.168.1.5:8765")
    assert everywhere.knows("plan.example")
    assert not everywhere.knows("evil.example")


def test_questions_carry_the_token_and_only_the_page_is_open() -> None:
    app = app_of(InThisProcess(), Rules(token=TOKEN))
    with TestClient(app, base_url=HERE) as client:
        assert client.get("/").status_code == 200
        assert client.get("/openapi.json").status_code == 401
        assert check(client).status_code == 401
        for wrong in ("Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Basic {TOKEN}"):
            sent = client.post("/v1/check", json={"problem": PROBLEM}, headers={"Authorization": wrong})
            assert sent.status_code == 401
            assert TOKEN not in sent.text
        right = client.post("/v1/check", json={"problem": PROBLEM}, headers={"Authorization": f"Bearer {TOKEN}"})
        assert right.status_code == 200


def test_the_command_refuses_to_be_open_and_says_how() -> None:
    words = [sys.executable, "cli.py", "serve", "--listen", "0.0.0.0"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "OPTIMIZE_SERVE_TOKEN" in done.stderr


@pytest.mark.parametrize(("command", "gone"), [("serve", "uvicorn"), ("mcp", "mcp.server")])
def test_a_missing_extra_is_a_sentence(command: str, gone: str) -> None:
    program = (
        f"import sys; sys.modules[{gone!r}] = None; sys.argv = ['optimize', {command!r}]\n"
        "from optimizer.commands import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"llm-deployment-optimizer[{command}]" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_at_a_time_and_so_many_in_line() -> None:
    class Slow(InThisProcess):
        now = most = 0

        async def _answer(self, question: Any, gone: Any) -> Told:
            Slow.now += 1
            Slow.most = max(Slow.most, Slow.now)
            await asyncio.sleep(0.01)
            Slow.now -= 1
            return Told(Ending.ANSWERED, question.name)

    async def crowd() -> list[Told]:
        line = Slow(most_waiting=5)
        return await asyncio.gather(*(line.ask(CheckQuestion(problem="x", name=f"{n}.yaml")) for n in range(8)))

    told = asyncio.run(crowd())
    assert Slow.most == 1
    assert [one.text for one in told[:5]] == [f"{n}.yaml" for n in range(5)]
    assert [one.ending for one in told[5:]] == [Ending.FULL] * 3


def test_words_are_bounded(browser: TestClient) -> None:
    """The page's words: so many, so long, of languages that there are; a text made to match slowly ends soon."""
    ask = {"texts": ["nothing"]}
    assert browser.post("/v1/words", json=ask).json() == {"texts": [translator("zh")("nothing")]}
    unknown = ({**ask, "lang": "../en"}, {**ask, "of": "files"})
    for wrong in ({"texts": ["x"] * 501}, {"texts": ["x" * 1001]}, {"texts": "x"}, *unknown, {}):
        assert browser.post("/v1/words", json=wrong).status_code == 422
    slow = [
        "; ".join(["of a in b on c"] * 66)[:1000],
        "(" * 1000,
        ", " * 500,
        "a: " * 333,
        "measured under load: " * 47,
    ]
    slow += ["is " * 330, "'" * 1000, "the key is in " * 70, "a.b needs a number of " * 45, "valid until " * 80]
    for of in ("answers", "errors"):
        begin = time.monotonic()
        answer = browser.post("/v1/words", json={"texts": slow, "of": of})
        assert answer.status_code == 200
        assert time.monotonic() - begin < 20.0


def test_fifty_browsers_each_get_their_own_answer() -> None:
    def named(number: int) -> str:
        return PROBLEM.replace("Chatbot", f"Number {number}")

    async def crowd() -> list[Any]:
        app: Any = app_of(InThisProcess(), Rules())
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=HERE, timeout=120) as client:
            asked = (
                client.post(
                    "/v1/check", json={"problem": PROBLEM.replace("Chatbot", f"Number {n}"), "name": f"{n}.yaml"}
                )
                for n in range(50)
            )
            return await asyncio.gather(*asked)

    for number, answer in enumerate(asyncio.run(crowd())):
        assert answer.status_code == 200
        assert answer.json()["problem"]["path"] == f"{number}.yaml"
        assert answer.json()["understood"]["name"].startswith(f"Number {number}")


def test_an_answer_is_kept_and_a_failure_is_not() -> None:
    async def twice() -> tuple[int, int]:
        here = InThisProcess()
        question = CheckQuestion(problem=PROBLEM)
        first, again = await here.ask(question), await here.ask(question.model_copy(update={"time_limit": 7.0}))
        assert first == again
        return here.asked, len(first.text)

    assert asyncio.run(twice())[0] == 1


def test_what_takes_too_long_or_is_waited_for_by_nobody_is_ended() -> None:
    async def ended() -> tuple[Told, Told, Told]:
        real = Solver(grace_s=0.0)
        hasty = SolveQuestion(problem=PROBLEM, time_limit=0.001)

        async def leaves() -> bool:
            return real._process is not None

        try:
            late = await real.ask(hasty)
            left = await real.ask(SolveQuestion(problem=PROBLEM), leaves)
            after = await real.ask(CheckQuestion(problem=PROBLEM, time_limit=60.0))
        finally:
            real.stop()
        return late, left, after

    late, left, after = asyncio.run(ended())
    assert late.ending is Ending.OUT_OF_TIME
    assert left.ending is Ending.LEFT
    assert after.ending is Ending.ANSWERED
    assert json.loads(after.text)["problem"]["name"]


def test_a_solver_that_dies_is_started_again() -> None:
    async def asked() -> tuple[Told, Told]:
        real = Solver()
        try:
            real.start()
            assert real._process is not None
            real._process.kill()
            real._process.join()
            first = await real.ask(CheckQuestion(problem=PROBLEM))
            return first, await real.ask(CheckQuestion(problem="x"))
        finally:
            real.stop()

    first, second = asyncio.run(asked())
    assert first.ending is Ending.ANSWERED
    assert second.ending is Ending.REFUSED
    assert solver.MOST_WAITING >= 50  # as many browsers as one server is meant for
