"""The page in Chinese: every word of it is known, and sentences of answers are said by the server."""

from __future__ import annotations

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path

from optimizer.handover.language import error_translator, translator
from optimizer.service.answers import answer
from optimizer.service.questions import WordsQuestion

PAGE = Path(__file__).parents[2] / "optimizer" / "service" / "page"
NAMES = {"English", "中文"}
ENGLISH = re.compile(r"[A-Za-z]{4,}")
IDS = re.compile(r"\b(?:TTFT|TPOT|YAML|HTML|provider|gpu|gpus_per_node|price_per_hour|currency|tier|xlsx|json)\b")


class _Words(HTMLParser):
    """What the page shows and says to a screen reader."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.found += [value for name, value in attrs if name == "aria-label" and value]

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if data.strip() and self.inside != "textarea":
            self.found.append(data.strip())


def phrases() -> list[str]:
    script = (PAGE / "page.js").read_text(encoding="utf-8")
    listed = script[script.index("const PHRASES = [") : script.index("function collect")]
    return re.findall(r'"([^"]*)"', listed)


def test_every_word_of_the_page_is_known() -> None:
    shown = [one for one in _Words((PAGE / "page.html").read_text(encoding="utf-8")).found if one not in NAMES]
    assert len(shown) > 60
    say = translator("zh")
    for text in (*shown, *phrases()):
        said = say(text)
        assert not ENGLISH.search(IDS.sub("", said)), (text, said)
        assert set(re.findall(r"\{\d\}", said)) == set(re.findall(r"\{\d\}", text)), (text, said)


def test_the_script_says_nothing_that_is_not_listed() -> None:
    script = (PAGE / "page.js").read_text(encoding="utf-8")
    said = set(re.findall(r'\bsay\("([^"]+)"', script))
    for row in re.findall(r"\[([^\[\]]*)\]\.map\(\(title\) => say\(title\)\)", script):
        said |= set(re.findall(r'"([^"]+)"', row))
    assert said <= set(phrases())
    assert "best.minimality ?? []" in script  # a plan that was not replayed has none


def test_sentences_of_an_answer_are_said() -> None:
    texts = ("nothing smaller to buy", "a name of no sentence", "on demand")
    told = json.loads(answer(WordsQuestion(texts=texts)))["texts"]
    say = translator("zh")
    assert told == [say(text) for text in texts]
    assert told[2] == "按需"


def test_what_is_wrong_with_a_question_is_said() -> None:
    texts = ("1 thing to mend", "workloads.chat.tokens needs keys with values, not a list", "did you mean spot?")
    told = json.loads(answer(WordsQuestion(texts=texts, of="errors")))["texts"]
    assert told == ["1 处待改", "workloads.chat.tokens 应为带值的键，而不是列表", "是否想写 spot？"]


def test_every_refusal_of_the_server_is_known() -> None:
    """Sentences beside a status of HTTP, and those of refusals."""
    say, said = error_translator("zh"), []
    for name in ("door.py", "solver.py", "web.py"):
        for node in ast.walk(ast.parse((PAGE.parent / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple) and node.elts and isinstance(node.elts[0], ast.Constant):
                said += node.elts[1:] if isinstance(node.elts[0].value, int) else []
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "refused":
                said += node.args[1:2]
    texts = {_filled(one) for one in said if isinstance(one, ast.Constant | ast.JoinedStr)}
    texts = {text for text in texts if not text.isdigit()}
    assert len(texts) >= 12
    assert [text for text in texts if not re.search("[\u4e00-\u9fff]", say(text))] == []


def _filled(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    assert isinstance(node, ast.Constant)
    return str(node.value)
