"""``--lang zh`` on the terminal: whole sentences, as wide as the terminal counts, and every command that has it."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from optimizer.calibrate.scores import CUTS, HEADER, Score, load_of, text_table
from optimizer.catalog import load_catalog
from optimizer.commands import _COMMANDS, cli
from optimizer.errors import UsageError
from optimizer.handover.language import translator
from optimizer.plan.types import Outcome
from optimizer.report import render
from optimizer.report.glossary import glossary
from optimizer.report.screen import render_screen
from optimizer.report.widths import columns_of
from tests.report.english import ENGLISH, left_in_english

ROOT = Path(__file__).parents[2]
PROBLEMS = ROOT / "problems"
PRINTS = (
    "solve",
    "check",
    "explain",
    "targets",
    "budget",
    "frontier",
    "diff",
    "confirm",
    "drill",
    "memory",
    "verify",
    "glossary",
    "quotes",
    "trace",
    "predict",
    "calibrate",
    "validate",
    "new",
    "launch",
    "serve",
)


WARNED = {
    "candidates/drafts_left_out.py": {"drafts_left_out"},
    "decide/solve.py": {"_TIME_UP", "_CUT_SHORT", "_NOT_ALONE"},
    "fleet/column_generation/rank.py": {"UNSETTLED"},
    "fleet/funnel.py": {"_warnings"},
    "fleet/rank.py": {"AMOUNTS_ARE_LARGE", "_warnings"},
    "performance/drafting.py": {"refusals"},
    "performance/pooling.py": {"pair_refusal", "network_refusal"},
    "planning/pool_search.py": {"why_none", "_bounded", "_known"},
    "pricing/refused_quotes.py": {"refused_quotes", "_why"},
    "pricing/terms.py": {"unused_discounts"},
    "problem/pooling.py": {"obstacles", "pools_left_out"},
    "problem/reader.py": {
        *("warnings_of", "_workloads", "_sessions", "_objective", "_links", "_tiers", "_regions", "_dates"),
        "expired_quotes",
    },
}
"""Where the warnings of an answer, and the reasons in them, are made: functions and constants by module."""


def _said_in(name: str) -> list[str]:
    """Sentences that the functions and constants of a module make, with a name wherever a value is put."""
    tree = ast.parse((ROOT / "optimizer" / name).read_text(encoding="utf-8"))
    found: list[str] = []
    for node in ast.walk(tree):
        named = getattr(node, "name", None) or ",".join(ast.unparse(one) for one in getattr(node, "targets", ()))
        if named not in WARNED[name]:
            continue
        body = getattr(node, "body", None) or [node.value]  # type: ignore[attr-defined]
        inside = {
            id(part)
            for one in body
            for part in ast.walk(one)
            if isinstance(part, ast.JoinedStr)
            for part in part.values
        }
        for one in body[1:] if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) else body:
            for part in ast.walk(one):
                if isinstance(part, ast.JoinedStr):
                    found.append("".join(str(v.value) if isinstance(v, ast.Constant) else "X7" for v in part.values))
                elif isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in inside:
                    found.append(part.value)
    return [text for text in found if ENGLISH.search(text) and " " in text.strip()]


@pytest.mark.parametrize("module", sorted(WARNED))
def test_every_warning_has_its_chinese(module: str) -> None:
    said = _said_in(module)
    assert said
    assert left_in_english("\n".join(map(translator("zh"), said)), []) == []


def test_warnings_of_plans_left_out_are_told_in_chinese() -> None:
    for warning in (
        "after 3 rounds some plans still missed a promise when replayed and were left out",
        "when the time was up some plans missed a promise when replayed or had not been replayed and were left out",
    ):
        assert left_in_english(translator("zh")(warning), []) == []


def test_chinese_tables_are_aligned(outcomes: dict[str, Outcome]) -> None:
    for width in (60, 80, 120):
        text = render_screen(outcomes["optimal"], width=width, say=translator("zh"))
        assert max(map(columns_of, text.splitlines())) <= width
    head, row = (line for line in text.splitlines() if "硬件与供应商" in line or line.lstrip().startswith("1 "))
    before = head[: head.index("硬件与供应商")]
    assert row[columns_of(before) - 1] == " "
    assert row[columns_of(before)] != " "


def test_english_is_the_default(outcomes: dict[str, Outcome]) -> None:
    for outcome in outcomes.values():
        for style in ("screen", "text"):
            assert render(outcome, style, say=translator("en")) == render(outcome, style)


@pytest.mark.parametrize("command", PRINTS)
def test_one_option_for_every_command_that_prints_for_people(command: str) -> None:
    (option,) = (one for one in cli.get_command(None, command).params if one.name == "lang")  # type: ignore[arg-type,union-attr]
    (other,) = (one for one in cli.get_command(None, "report").params if one.name == "lang")  # type: ignore[arg-type,union-attr]
    assert (option.opts, option.help) == (other.opts, other.help)
    assert command in _COMMANDS


@pytest.mark.parametrize(
    "asked",
    [
        ("explain", "calibrated.yaml"),
        ("explain", "calibrated.yaml", "--why-not", "l40s_48"),
        ("targets", "calibrated.yaml"),
        ("budget", "calibrated.yaml", "--monthly", "60000"),
        ("frontier", "calibrated.yaml", "--over", "concurrency", "100:120:10"),
        ("confirm", "calibrated.yaml"),
        ("check", "coding_agents.yaml"),
        ("drill", "calibrated.yaml"),
    ],
    ids=" ".join,
)
def test_answers_of_the_negotiation_in_chinese(asked: tuple[str, ...], names: list[str]) -> None:
    command, file, *rest = asked
    simulate = [] if command == "check" else ["--no-simulate"]
    done = CliRunner().invoke(cli, [command, str(PROBLEMS / file), *simulate, *rest, "--lang", "zh"])
    assert done.exit_code == 0, (done.output, done.exception)
    title = re.search(r"^name: (.*)$", (PROBLEMS / file).read_text(encoding="utf-8"), re.M)
    assert title is not None
    prose = re.sub(r"\n +", " ", done.stdout.split("\n  vllm serve")[0])  # what follows are commands
    assert left_in_english(prose, names, title[1], *rest) == []


def test_what_programs_read_has_one_language(tmp_path: Path) -> None:
    for form in ("--format=json", f"-o{tmp_path / 'plan.json'}", "--format=csv"):
        done = CliRunner().invoke(cli, [str(PROBLEMS / "chatbot_100users.yaml"), "--lang", "zh", form])
        assert isinstance(done.exception, UsageError)
    assert not (tmp_path / "plan.json").exists()


def test_memory_in_chinese(names: list[str]) -> None:
    for model in ("meta-llama/Llama-3.1-70B-Instruct", "deepseek-ai/DeepSeek-V3"):
        for rest in ((), ("--gpu", "h100_sxm_80"), ("--gpu", "h200_sxm_141", "--tp", "8")):
            done = CliRunner().invoke(cli, ["memory", model, *rest, "--lang", "zh"])
            assert done.exit_code == 0
            assert left_in_english(done.stdout, [*names, *load_catalog().models[model].notes.split("\n")]) == []


def test_every_term_in_chinese() -> None:
    assert left_in_english("\n".join(glossary(say=translator("zh"))), []) == []
    assert list(glossary(["在途"], translator("zh"))) == list(glossary(["in flight"], translator("zh")))


def _template(node: ast.expr) -> str:
    """A sentence as the table has it: a gap for each value; empty where it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)  # type: ignore[misc]
    return ""


def _said(files: Iterable[Path], *calls: str, returned: bool = False) -> set[str]:
    """Every text given to one of these calls, or returned."""
    found: set[str] = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in calls:
                found |= {_template(one) for one in node.args}
            elif returned and isinstance(node, ast.Return) and node.value is not None:
                found.add(_template(node.value))
    return {one for one in found if re.search("[a-z]{3}", one) and " " in one}


def _unknown(sentences: set[str]) -> list[str]:
    say = translator("zh")
    filled = {one: one.replace("{}", "X7") for one in sentences}
    told = {one: re.sub(r"`[^`]*`|--\S+", "", say(text)) for one, text in filled.items()}
    return sorted(one for one, text in told.items() if ENGLISH.search(text) or not re.search("[\u4e00-\u9fff]", text))


def test_every_step_of_progress_is_known() -> None:
    """Whatever a command says while it works, wherever in the line it is said."""
    rooms = ("planning", "whatif", "negotiate", "decide")
    files = [path for room in rooms for path in (ROOT / "optimizer" / room).rglob("*.py")]
    steps = _said(files, "say", "progress", "Notice")
    assert len(steps) >= 30
    assert _unknown(steps) == []


def test_every_note_and_refusal_of_a_quote_is_known() -> None:
    room = ROOT / "optimizer" / "catalog" / "importers"
    rows = [room / f"{name}.py" for name in ("quote_rows", "quote_money", "quotes", "names", "days")]
    said = _said(rows, "self.problems.append", "self.notes.append", "problems.append", "notes.append", "Unmapped")
    said |= _said([room / "days.py"], returned=True) - {"{} {}"}
    assert len(said) >= 40
    assert _unknown(said) == []


def _in_chinese(*words: str) -> str:
    done = CliRunner().invoke(cli, [*words, "--lang", "zh"])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_new_and_launch_in_chinese(tmp_path: Path) -> None:
    file, folder = tmp_path / "p.yaml", tmp_path / "out"
    assert f"{file}: 请修改标有 <- 的数值，然后运行： optimize {file}" in _in_chinese("new", "chatbot", "-o", str(file))
    said = _in_chinese("launch", str(PROBLEMS / "calibrated.yaml"), "--no-simulate", "-o", str(folder))
    assert re.search(r"^\S+: \d+ 个文件；请从此开始： \S+README.md$", said, re.M)
    assert left_in_english(said, []) == []


def test_quotes_refused_and_no_plan_in_chinese(tmp_path: Path) -> None:
    quotes = tmp_path / "q.csv"
    head = "provider,gpu,gpus_per_node,price_per_hour,currency,tier"
    quotes.write_text(f"{head}\nacme,h100_sxm_80,8,12.5,USD,on_demand\nacme,H100,8,12.5,USD,\n", encoding="utf-8")
    words = ["check", str(PROBLEMS / "chatbot_100users.yaml"), "--quotes", str(quotes), "--lang", "zh"]
    done = CliRunner().invoke(cli, words)
    assert f"{quotes}:3: 报价被拒绝：" in done.stderr
    assert left_in_english(done.stderr, []) == []
    drill = ["drill", str(PROBLEMS / "infeasible_budget.yaml"), "--no-simulate", "--lang", "zh"]
    done = CliRunner().invoke(cli, drill)
    assert (done.exit_code, done.stderr[:3]) == (3, "不可行")
    assert "没有可交付的方案" in done.stderr


def test_traces_in_chinese(tmp_path: Path) -> None:
    blocks = tmp_path / "t.csv"
    rows = [f"{n},{n % 3},{600 + n},5,{n % 3} {n + 9}" for n in range(40)]
    blocks.write_text("\n".join(["time_s,session,input_tokens,output_tokens,blocks", *rows]), encoding="utf-8")
    plain = str(PROBLEMS / "traces/bursty.csv")
    written = tmp_path / "problem.yaml"
    for words in (
        (plain, "-o", str(written)),
        (str(blocks),),
        (str(blocks), "--capacity-tokens", "4000", "--host-tokens", "9000", "--replicas", "2"),
    ):
        said = _in_chinese("trace", *words)
        assert left_in_english(said, []) == []
        assert "输入" in said and "命中" in said
    assert written.read_text(encoding="utf-8").startswith("# Made from")  # the file itself has one language


CATALOG = (
    ("gpus", "--vendor", "nvidia"),
    ("models", "--search", "Qwen3-8B"),
    ("offers", "--gpu", "l40s_48"),
    ("offers", "--search", "-no-such-offer-"),
)


@pytest.mark.parametrize("words", CATALOG, ids=" ".join)
def test_catalogs_in_chinese(words: tuple[str, ...], names: list[str]) -> None:
    """Titles and notes; what a row of a price list says is somebody else's."""
    lines = _in_chinese("catalog", *words).splitlines()
    assert left_in_english("\n".join([lines[0], *lines[-2:]]), names) == []
    assert re.search("[\u4e00-\u9fff]", lines[0]) and lines[-1].endswith("。")


def test_calibration_in_chinese(tmp_path: Path) -> None:
    results = str(PROBLEMS / "calibration/bench_serve.jsonl")
    output = str(tmp_path / "own.csv")
    said = _in_chinese("calibrate", results, "--gpu", "h100_sxm_80", "--tp", "4", "-o", output)
    assert left_in_english(said, []) == []
    assert "理解为：" in said and "已写出" in said


def test_what_a_fit_leaves_outside_its_band_is_known() -> None:
    say = translator("zh")
    for load in (", 16 in flight", ", 4 requests/s, at most 9 in flight", " (burst)", ", 4 requests/s", ""):
        for figure in ("TPOT", "TTFT p95", "throughput"):
            line = f"512 + 128 tokens{load}: {figure} measured 9 ms, the fit says 7 (-20%); its band ends at 6 and 8"
            assert left_in_english(say(line), []) == []
    assert left_in_english(say("Still outside the 90 % band of the model after the fit, 3 of 9 figures:"), []) == []
    setup = "h100_sxm_80 | meta-llama/Llama-3.1-70B-Instruct | fp8 | vllm"
    spread = "TPOT 0.85 to 1.24 times the prediction, nine times in ten"
    for told in (
        f"{setup}: 2 different loads; from 20 on its plans carry a narrower band ({spread})",
        f"{setup}: 25 different loads; its plans carry the band of own measurements ({spread})",
    ):
        assert left_in_english(say(told), []) == []


def test_scores_are_told_in_chinese() -> None:
    say = translator("zh")
    said = [*HEADER, *(name for name, _ in CUTS), *_said([ROOT / "optimizer/calibrate/scores.py"], "say")]
    said += [load_of(SimpleNamespace(load="closed_loop", concurrency=n)) for n in (8, 32, 128, 129)]  # type: ignore[arg-type]
    said += [f"{kind}, {where}" for kind in ("MoE", "dense") for where in ("data-centre NVIDIA", "other cards")]
    said += ["none of those with 30 rows in 3 groups", "l4_24 tpot: -9.1 % (44 rows, 5 groups)", "Ranking"]
    for text in said:
        told = say(text.replace("{}", "7"))
        assert left_in_english(told, []) == [], text
        assert text in ("", "GPU") or re.search("[\u4e00-\u9fff]", told), text


def test_aligned_scores_are_aligned_in_chinese() -> None:
    scores = [Score(key, "tpot", 9, 3, 5.0, 6.0, -1.0, 90.0) for key in ("closed loop, up to 8 in flight", "open_loop")]
    lines = text_table(scores, translator("zh"), columns_of)
    assert len({columns_of(line) for line in lines}) == 1


def test_quotes_in_chinese(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(
        "provider,gpu,gpus_per_node,price_per_hour,currency,tier,tax\n"
        "acme,h100_sxm_80,8,12.5,USD,on_demand,\nacme,H100,8,12.5,USD,on_demand,\nacme,h100_sxm_80,8,,USD,,\n"
        "acme,h100_sxm_80,8,12.5,,on_demand,\n,l40s_48,8,9,USD,spot,19%\n",
        encoding="utf-8",
    )
    done = CliRunner().invoke(cli, ["quotes", str(tmp_path / "q.csv"), "--lang", "zh"])
    assert done.exit_code == 0
    assert "读入" in done.stdout and "拒绝" in done.stdout
    assert left_in_english(done.stdout, []) == []
    assert "refused" not in done.stdout


@pytest.mark.parametrize("name", ["zh_sentences", "zh_errors"])
def test_every_sentence_can_be_filled(name: str) -> None:
    """Each translation takes the values of its sentence and no others; the table loses none."""
    table = json.loads((ROOT / f"optimizer/handover/templates/{name}.json").read_text(encoding="utf-8"))
    for sentence, told in table.items():
        gaps = sentence.count("{}")
        count = itertools.count(1)  # a place without a number is the next one
        places = {int(one or next(count)) for one in re.findall(r"\{(\d*)\}", told)}
        assert places == set(range(1, gaps + 1)), sentence
