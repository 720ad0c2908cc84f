"""HTTP, the Model Context Protocol and the command line say the same, figure by figure."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from optimizer.commands import cli
from optimizer.errors import InputError
from optimizer.service.answers import answer
from optimizer.service.assistant import server_of, shortened
from optimizer.service.questions import QUESTIONS, FrontierQuestion, ServedQuestion
from optimizer.service.solver import Solver, told_of

ROOT = Path(__file__).parents[2]
PROBLEMS = ROOT / "problems"
WITHOUT_FILES = sorted(
    path.name for path in PROBLEMS.glob("*.yaml") if not {"calibration:", "trace:"} & set(path.read_text().split())
)
QUICK = [
    "a10_server_qwen3_32b.yaml",
    "a800_server_concurrency.yaml",
    "batch_documents_8b.yaml",
    "one_user_70b_20tps.yaml",
    "rtx4090_tp_or_pp.yaml",
]
CHEAP = ("hardware.gpus=[h100_sxm_80]", "ranking.top=1")
QUOTES = "provider,gpu,gpus_per_node,price_per_hour,currency,tier\nacme,h100_sxm_80,8,12.5,USD,on_demand\n"
KINDS: dict[str, Any] = {kind.command: kind for kind in QUESTIONS}


@pytest.fixture(autouse=True)
def _at_the_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROBLEMS)


def at_the_prompt(*words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--format", "json"])


def over_http(command: str, name: str, sets: tuple[str, ...], **more: Any) -> str:
    text = (PROBLEMS / name).read_text(encoding="utf-8")
    return answer(KINDS[command](problem=text, name=name, set=sets, **more))


def edits(sets: tuple[str, ...]) -> list[str]:
    return [word for one in sets for word in ("--set", one)]


@pytest.mark.parametrize("name", WITHOUT_FILES)
def test_every_problem_is_understood_alike(name: str) -> None:
    assert over_http("check", name, ()) == at_the_prompt("check", name).stdout


@pytest.mark.parametrize("name", QUICK)
def test_problems_are_solved_alike(name: str) -> None:
    done = at_the_prompt("solve", name, "--no-simulate", *edits(CHEAP))
    if isinstance(done.exception, InputError):
        with pytest.raises(InputError) as caught:
            over_http("solve", name, CHEAP, simulate=False)
        assert caught.value.findings == done.exception.findings
    else:
        assert over_http("solve", name, CHEAP, simulate=False) == done.stdout


@pytest.mark.parametrize(
    ("command", "words", "fields"),
    [
        ("explain", ["--why-not", "a100_sxm_80 int4"], {"why_not": "a100_sxm_80 int4"}),
        ("budget", ["--monthly", "20000"], {"monthly": 20000}),
        ("targets", [], {}),
        ("frontier", ["--over", "concurrency", "100:140:20", "--jobs", "1"], {"over": ("concurrency", "100:140:20")}),
    ],
)
def test_every_question_is_answered_alike(command: str, words: list[str], fields: dict[str, Any]) -> None:
    sets = CHEAP if command == "explain" else ("hardware.only_owned=true", "ranking.top=1")
    name = "one_user_70b_20tps.yaml" if command == "explain" else "a800_server_concurrency.yaml"
    done = at_the_prompt(command, name, "--no-simulate", *words, *edits(sets))
    assert done.exit_code in (0, 3), done.output
    assert over_http(command, name, sets, simulate=False, **fields) == done.stdout


def test_quotes_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "quotes.csv").write_text(QUOTES)
    words = ["--no-simulate", "--quotes", str(tmp_path / "quotes.csv"), *edits(CHEAP)]
    done = json.loads(at_the_prompt("solve", "chatbot_100users.yaml", *words).stdout)
    asked = json.loads(over_http("solve", "chatbot_100users.yaml", CHEAP, simulate=False, quotes=QUOTES))
    assert asked["quotes"][0]["provider"] == "acme"
    assert asked["plans"][0]["monthly_cost"] == done["plans"][0]["monthly_cost"]
    assert asked["plans"][0]["nodes"][0]["provider"] == done["plans"][0]["nodes"][0]["provider"] == "acme"


def test_memory_and_predictions_are_alike(tmp_path: Path) -> None:
    done = at_the_prompt("memory", "Qwen/Qwen3-32B", "--gpu", "h100_sxm_80", "--users", "3", "--tp", "2")
    asked = answer(KINDS["memory"](model="Qwen/Qwen3-32B", gpu="h100_sxm_80", users=3, tp=2))
    assert asked == done.stdout
    rows = "gpu,model,input_tokens,output_tokens,load,concurrency\nh100_sxm_80,Qwen/Qwen3-8B,128,16,closed_loop,2\n"
    (tmp_path / "rows.csv").write_text(rows)
    done = at_the_prompt("predict", str(tmp_path / "rows.csv"))
    assert answer(KINDS["predict"](rows=rows)) == done.stdout
    assert json.loads(done.stdout)["failed"] == 0


def test_the_assistant_has_the_same_questions_with_the_same_fields() -> None:
    tools = {tool.name: tool for tool in asyncio.run(server_of(Solver()).list_tools())}
    assert set(tools) == set(KINDS)
    for name, kind in KINDS.items():
        schema = tools[name].input_schema
        assert set(schema["properties"]) == set(kind.model_fields)
        assert set(schema.get("required", ())) == {key for key, one in kind.model_fields.items() if one.is_required()}
        assert tools[name].description


def test_the_assistant_gives_the_same_figures_in_short() -> None:
    class Here(Solver):
        async def ask(self, question: ServedQuestion, gone: Any = None) -> Any:
            return told_of(question)

    async def called(**fields: Any) -> Any:
        content: Any = await server_of(Here()).call_tool("solve", fields)
        return json.loads(content[0].text if isinstance(content, list) else content.content[0].text)

    text = (PROBLEMS / "chatbot_100users.yaml").read_text()
    short = asyncio.run(called(problem=text, set=list(CHEAP), simulate=False))
    whole = json.loads(over_http("solve", "chatbot_100users.yaml", CHEAP, simulate=False))
    assert short["plans"][0]["monthly_cost"] == whole["plans"][0]["monthly_cost"]
    assert short["plans"][0]["nodes"] == whole["plans"][0]["nodes"]
    assert len(json.dumps(short)) < len(json.dumps(whole)) * 0.6
    wrong = asyncio.run(called(problem="workloads: 3"))
    assert wrong["findings"]


def test_a_short_answer_says_what_it_left_out() -> None:
    assert shortened({"steps": list(range(8)), "funnel": [1]}) == {"steps": [0, 1, 2, 3, 4, "... and 3 more"]}


def test_ranges_and_defaults_are_those_of_the_command_line() -> None:
    question = FrontierQuestion.model_validate({"problem": "x", "over": ["concurrency", "1:2"]})
    assert question.over == ("concurrency", "1:2")
    assert question.simulate
