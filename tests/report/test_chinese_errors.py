"""``--lang zh`` where something is wrong: every sentence of every error, and the command lines that cannot be read."""

from __future__ import annotations

import ast
import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimizer import check, parse_problem
from optimizer.commands import main
from optimizer.errors import ProblemError
from optimizer.handover.language import error_translator
from optimizer.problem.figures import all_figures
from optimizer.problem.findings import unit_of
from optimizer.vocabulary import KV_CACHES_REFUSED

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "optimizer/handover/templates"
CHINESE = re.compile("[\u4e00-\u9fff]")


WHOLE = (
    *("files/", "problem/", "calibrate/rows.py", "calibrate/pool_rows.py", "catalog/families.py", "catalog/remarks.py"),
    *("performance/compatibility.py", "performance/degrees.py", "calibrate/benchmark_results.py"),
)
"""Where all that is said is said of an input: defects are made from texts that wander through functions there."""

ELSEWHERE = ("problem/trace_columns.py", "problem/summary.py", "problem/session_words.py")
"""Names that columns have, and what ``check`` prints of a problem that is right."""

RAISED = frozenset(
    {"Finding", "Issue", "InputError", "ProblemError", "CatalogError", "UsageError", "OutOfTimeError", "RowError"}
    | {"_NotUnderstoodError", "_PathError"}
)
MADE = frozenset({"finding", "fail", "error", "problems.append"})
"""What makes an error, by the name of a class and of a method."""

_NOT_SAID = frozenset({"re.compile", "click.option", "click.argument", "ContextVar", "cast", "TypeVar"})
"""Calls whose texts are patterns, help pages and names."""


def sentences() -> dict[str, set[str]]:
    """By module: every text of what makes an error there, ``{}`` wherever a value is put."""
    found = {}
    for path in sorted((ROOT / "optimizer").rglob("*.py")):
        tree, name = ast.parse(path.read_text(encoding="utf-8")), str(path.relative_to(ROOT / "optimizer"))
        texts = set(_texts(tree)) if name.startswith(WHOLE) else _of_errors(tree)
        if texts and name not in ELSEWHERE:
            found[name] = texts
    return found


def _of_errors(tree: ast.Module) -> set[str]:
    """Of the functions that make an error, and of the constants that they name."""
    constants = {
        target.id: node
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    found: set[str] = set()
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        if any(isinstance(node, ast.Call) and _makes(node.func) for node in ast.walk(function)):
            found.update(_texts(function))
            named = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            found.update(text for name in named & set(constants) for text in _texts(constants[name]))
    return found


def _makes(called: ast.expr) -> bool:
    said = ast.unparse(called)
    return said in RAISED or any(said.endswith(f".{name}") for name in MADE)


def _texts(tree: ast.AST) -> Iterator[str]:
    """Texts with a blank in them, but for docstrings, and what is no sentence by the call that it is given to."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values if isinstance(part, ast.Constant))
            forms = [part.format_spec for part in node.values if isinstance(part, ast.FormattedValue)]
            skipped.update(id(part) for form in forms if form for part in ast.walk(form))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in _NOT_SAID:
            skipped.update(id(part) for part in ast.walk(node))
    for node in ast.walk(tree):
        if (
            id(node) not in skipped
            and (text := _template(node))
            and re.search(r"[a-z]{2}.*\S \S|\S \S.*[a-z]{2}", text)
        ):
            yield text


def _template(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"\{[a-z_]+\}", "{}", node.value)  # pydantic fills some
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return ""


NOT_SAID = {
    *("Granite MoE", "Hunyuan MoE", "LFM2 MoE", "Pangu Pro", "Skywork MoE", "openPangu Ultra"),
    *("4 float", "8 float", "8 int", '{"rope_type": "yarn", "factor": {}.0, "original_max_position_embeddings": {}}'),
    *("Path | str | Problem | PlanFile", "Tokens | LengthClass", "_SchemaNode | None"),
    *("{} ({})", "{}; {} is {}", "{}: {}", "{}: {} optimize {}", "NVLink {}", "{} ms", "Load of {}"),
}
"""Names, types and joints, and what a starting file is called."""

STARTING = ("handover/starters.py", "handover/trace_problem.py", "service/assistant.py")
"""Text of files that are written and of what an assistant reads: in one language."""


def _table(*parts: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in parts:
        found.update(json.loads((TEMPLATES / f"zh{part}.json").read_text(encoding="utf-8")))
    return found


@pytest.fixture(scope="module")
def table() -> dict[str, str]:
    return _table("", "_sentences", "_errors")


def test_every_sentence_of_every_error_has_its_chinese(table: dict[str, str]) -> None:
    said = sentences()
    assert sum(map(len, said.values())) > 800
    missing = {
        module: unknown
        for module, texts in said.items()
        if (unknown := sorted(text for text in texts - NOT_SAID - set(table) if not _of_a_file(module, text)))
    }
    assert missing == {}


def _of_a_file(module: str, text: str) -> bool:
    return module in STARTING and text.endswith(".")


def test_a_sentence_keeps_its_english_only_where_it_is_typed_or_a_name() -> None:
    same = {one for one, told in _table("_errors").items() if not CHINESE.search(told)}
    prose = re.compile(r"(?<![-\w./:=])[a-z]{2,} [a-z]{2,}(?![\w./=:])")
    typed = re.compile(r"`[^`]*`|--\S+ \S+|pip install \S+|\$\(.*|optimize serve.*")
    assert {one for one in same if prose.search(typed.sub("", one))} == set()


def test_reasons_of_the_catalogs_have_their_chinese(table: dict[str, str]) -> None:
    with (ROOT / "catalogs/formats.csv").open(encoding="utf-8", newline="") as file:
        reasons = {row["reason"] for row in csv.DictReader(file) if row["reason"]}
    assert len(reasons) > 15
    assert reasons | {why for _, why in KV_CACHES_REFUSED} <= set(table)


def test_every_unit_has_its_chinese() -> None:
    say = error_translator("zh")
    units = {unit_of(tuple(figure.path.split("."))) for figure in all_figures()} - {""}
    assert len(units) > 30
    kept = re.compile(r"\b(?:token|kWh|TFLOPS|TOPS|GPUs?|MiB|GiB)\b")
    for unit in units:
        for told in (say(f"a.b is 3 {unit}: it has to be above 5"), say(f"a.b needs a number of {unit}, not 'x'")):
            assert not re.search("[A-Za-z]{3,}", kept.sub("", told)), told


ENGLISH = re.compile(r"\b[a-z]{2,}(?: [a-z]{2,})+\b|\b(?:the|of|and|is|are|with|for|not|from|more|than|has|needs)\b")
MANY = """\
name: x
objective: maximize_load
workloads:
  - name: chat
    model: Qwen/Qwen3-32
    tokens: {input: {mean: 500, p95: 400}, output: 300, context_max: 700, prefix_gap_s: 4}
    traffic: {concurrency: 50, batch: {requests: 10, within_hours: 900}}
    slo: {ttft_ms: {p50: 900, p95: 100}, tpot_ms: {p95: 0.00001}}
  - name: chat
    model: Qwen/Qwen3-32B
    tokens: {input: 500, output: 300, context_max: 900000}
    traffic: {users: {active: 4}}
engine: {name: vllm, weight_quant: [fp8], attention_dp: [3], speculative: required, kv_cache: [fp9], remote_kv_gib: 3}
hardware: {only_owned: yes, nvlink: forbidden, limits: {max_gpus: 1}, gpus: [h100_sxm]}
margins: {confidence: 95, load_headroom: '3'}
payment: {currency: XXX, max_commitment_months: 5, tiers: [reserved_1y], extras_monthly: 900, as_of: soon}
budget: {monthly: 100}
offers:
  - {id: q, provider: me, gpu: h100_sxm_80, gpus_per_node: 8, tier: on_demand, price_per_hour: 3, purchase_price: 4}
  - {id: q, provider: me, gpu: h100_sxm_80, gpus_per_node: 8.5, tier: on_demand}
"""


def test_sentences_stay_whole_with_the_values_in_them() -> None:
    say = error_translator("zh")
    with pytest.raises(ProblemError) as wrong:
        check(parse_problem(MANY))
    assert len(wrong.value.findings) >= 20
    for finding in wrong.value.findings:
        for text in (say(finding.message), say(finding.hint or "")):
            assert not ENGLISH.search(re.sub(r"'[^']*'|`[^`]*`|\S*[._/]\S*", "*", text)), (finding, text)
            assert CHINESE.search(text) or not text, finding


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "workloads.chat.slo.ttft_ms needs a number of milliseconds, not the text '1 s, or more; not less'",
            "workloads.chat.slo.ttft_ms 应为数（毫秒），而不是文本 '1 s, or more; not less'",
        ),
        ("unknown key 'the load' in workloads.0.traffic", "workloads.0.traffic 中有未知的键 'the load'"),
        ("did you mean spot or purchase?", "是否想写 spot 或 purchase？"),
        ("needs text, not 3", "应为文本，而不是 3"),
        ('put it in quotes: "3 of the"', '请加引号："3 of the"'),
        ("spot was never heard of there", "spot was never heard of there"),  # what has no Chinese stays whole
        (
            "is not valid YAML: could not find expected ':' while scanning a simple key",
            "不是有效的 YAML：没有找到应有的“:”（解析简单键时）",
        ),
        (
            "max_commitment_months is 5, which none of the tiers (reserved_1y, reserved_3y) keeps",
            "max_commitment_months 为 5，所列付费方式（reserved_1y, reserved_3y）都不满足",
        ),
        ("gpu: blank; known: yes, no", "gpu：为空；已知：yes, no"),
        ("", ""),
    ],
)
def test_what_an_input_says_is_not_translated(said: str, told: str) -> None:
    assert error_translator("zh")(said) == told
    assert error_translator("en")(said) == said


def _run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["optimize", *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    return capsys.readouterr().err


def test_several_defects_at_their_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "objective: cheapest\nworkloads:\n  - name: chat\n    model: Qwen/Qwen3-32B\n"
        "    tokens: {input: 1s, output: 300, context_max: 8192}\n    traffic: {concurrency: 50, rps: 2}\n",
        encoding="utf-8",
    )
    for command in ("check", "solve", "targets"):
        said = _run(capsys, monkeypatch, command, str(file), "--lang", "zh")
        assert said.splitlines()[0] == "错误：3 处待改"
        assert f"{file}:1:12: objective 为文本 'cheapest'：应为 minimize_cost" in said
        assert f"{file}:5:21: workloads.0.tokens.input 应为数（token），而不是文本 '1s'\n    请只写数" in said
        assert f"{file}:6:32: workloads.0.traffic 中有未知的键 'rps'\n    此处的键：concurrency, " in said
    assert "3 things to mend" in _run(capsys, monkeypatch, "check", str(file))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("check", "--foo", "x.yaml", "--lang", "zh"), "错误：没有选项 '--foo'"),
        (("check", "--lang=zh"), "错误：缺少参数 'FILE'。"),
        (
            ("budget", "x.yaml", "--monthly", "much", "--lang", "zh"),
            "错误：'--monthly' 的值无效：'much' 不是有效的数。",
        ),
        (("check", "nowhere.yaml", "--lang", "zh"), "nowhere.yaml: 没有这个文件\n    请检查问题文件的名称与文件夹"),
        (("check", "nowhere.yaml", "--lang", "zh", "--format", "json"), "--lang zh 用于供人阅读的内容"),
        (("check", "nowhere.yaml", "--lang", "zh", "--lang", "en"), "no such file"),
        (("check", "--lang", "fr", "x.yaml"), "Invalid value for '--lang'"),
        (("--", "--lang", "zh"), "Error: "),
    ],
)
def test_errors_of_a_command_line_in_its_language(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told in _run(capsys, monkeypatch, *words)
