"""Strict YAML: values, places, refusals, speed."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.errors import Finding
from optimizer.files.nodes import MappingNode, ScalarNode, SequenceNode, child, plain, refused_paths, without
from optimizer.files.text_file import decode, read_bytes
from optimizer.files.yaml_file import parse_value, parse_yaml


def read(text: str) -> object:
    root, findings = parse_yaml(text, "f.yaml")
    assert not findings and root is not None
    return plain(root)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("nUll", "nUll"),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),  # YAML 1.2: text
        ("off", "off"),
        ("7", 7),
        ("-7", -7),
        ("010", 10),  # YAML 1.2: decimal
        ("0o10", 8),
        ("0x1F", 31),
        ("7.5", 7.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-08-03", "2026-08-03"),
        ("'7'", "7"),
        ('"a\\tb"', "a\tb"),
        ("a b  # comment", "a b"),
        ("a#b", "a#b"),
        ("[1, [2, a]]", (1, (2, "a"))),
        ("{a: 1, 'b c': {}}", {"a": 1, "b c": {}}),
    ],
)
def test_values(raw: str, value: object) -> None:
    found = read(f"k: {raw}\n")
    assert found == {"k": value}
    assert isinstance(found, dict) and type(found["k"]) is type(value)


def test_every_value_has_its_place() -> None:
    root, _ = parse_yaml("# c\na:\n  - x\n  - {b: 5}\nd: |\n  t\n", "f.yaml")
    assert isinstance(root, MappingNode)
    items = child(root, "a")
    assert isinstance(items, SequenceNode) and (items.place.line, items.place.column) == (3, 3)
    inner = child(items, 1)
    assert isinstance(inner, MappingNode)
    entry = inner.get("b")
    assert entry is not None and (entry.place.line, entry.place.column) == (4, 6)
    assert isinstance(entry.value, ScalarNode) and (entry.value.place.line, entry.value.place.column) == (4, 9)


def test_columns_count_characters() -> None:
    _, findings = parse_yaml("模型: .nan\n", "f.yaml")
    assert (findings[0].line, findings[0].column) == (1, 5)


def test_anchors_are_read_where_they_do_not_multiply() -> None:
    assert read("a: &x [1, 2]\nb: *x\nc: &y 5\nd: *y\n") == {"a": (1, 2), "b": (1, 2), "c": 5, "d": 5}


def test_refused_values_are_collected_and_left_out() -> None:
    root, findings = parse_yaml("a: .inf\nb: [1, .nan]\na: 2\n3: x\n", "f.yaml")
    assert [finding.line for finding in findings] == [1, 2, 3, 4]
    assert root is not None
    assert list(refused_paths(root)) == [("a",), ("b", 1)]
    assert plain(root) == {"b": (1, None)}


def test_without_takes_values_out() -> None:
    root, _ = parse_yaml("a: 1\nb: [x, y, {c: 1, d: 2}]\n", "f.yaml")
    assert root is not None
    assert plain(without(root, frozenset({("a",), ("b", 0), ("b", 2, "c")}))) == {"b": ("y", {"d": 2})}


def test_child_of_a_scalar_is_nothing() -> None:
    root, _ = parse_yaml("a: 1\n", "f.yaml")
    assert root is not None
    assert child(root, 0) is None and child(root, "b") is None


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 'b\nc: d\n", 1, 4, "not valid YAML"),
        ("a: [1, 2\nb: 3\n", 1, 4, "the bracket [ that opens here is not closed"),
        ("a: {b: {c: 1}\nd: 5\n", 1, 4, "the bracket { that opens here is not closed"),
        ("w:\n  - {b: 1\n  - {b: 2}\n", 2, 5, "the bracket { that opens here is not closed"),
        ("h:\n  a: [b, #, c]\n  d:\n    - {e: 1}\n", 2, 6, "the bracket [ that opens here is not closed"),
        ("a: [\n  {b: 1}\n  {c: 2}\n]\n", 3, 3, "expected ',' or ']'"),  # a comma is missing, no bracket
        ('a: "x\nb: "y"\nc: 5\n', 1, 4, "the quote that opens here ends only in line 2"),
        ("a\n  b: 5\n", 1, 1, "'a' has no colon"),
        ("a: 1\nb\nc: 2\n", 2, 1, "could not find expected ':'"),
        ("h:\n  gpus:[a, b]\n  c: 1\n", 2, 7, "the colon of 'gpus' has no space after it"),
        ("a:1\nb: 2\n", 1, 2, "the colon of 'a' has no space after it"),
        ("name: x\n  foo: 5\n", 2, 6, "mapping values are not allowed"),  # the indentation is wrong, no colon missing
        ("a: {b: [1\n", 1, 8, "the bracket [ that opens here is not closed"),
        ("a:\n  b: 1\n c: 2\n", 3, 2, "not valid YAML"),
        ("a: 1\n\tb: 2\n", 2, 1, "tab"),
        ("a\t: 1\n", 1, 2, "not valid YAML"),
        ("a: %b\n", 1, 4, "not valid YAML"),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", 2, 1, "%TAG"),
        ("a: 1\n...\nb: 2\n", 3, 1, "second document"),
        ('a: "\\q"\n', 1, 6, "not valid YAML"),
        ('x: 1\na: "\\UFFFFFFFF"\n', 2, 5, "UFFFFFFFF is no character"),
        ("a：1\n", None, None, ""),  # a lone text: the schema speaks
        ("a: 1\nb：2\nc: 3\n", 2, 2, "full-width"),
        ("a: “x: y”\n", 1, 4, "full-width"),
        ("# （comment）\na: '：'\nb: c: d\n", 3, 5, "not valid YAML"),  # those are harmless
    ],
)
def test_syntax_errors_stand_where_they_are(text: str, line: int | None, column: int | None, message: str) -> None:
    _, findings = parse_yaml(text, "f.yaml")
    if line is None:
        assert not findings
        return
    assert message in findings[0].message
    assert (findings[0].line, findings[0].column) == (line, column), findings[0]


def test_command_line_values_have_no_line() -> None:
    root, findings = parse_value("{a: [1, yes]}", "--set x")
    assert not findings and root is not None
    assert plain(root) == {"a": (1, "yes")}
    assert root.place.line is None
    empty, _ = parse_value("", "--set x")
    assert empty is not None and plain(empty) is None


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"a: 1\n")
    assert read_bytes(file) == b"a: 1\n"
    assert decode("a: ü\n".encode(), "a.yaml") == "a: ü\n"
    missing = read_bytes(tmp_path / "b.yaml")
    assert isinstance(missing, Finding) and missing.file == str(tmp_path / "b.yaml") and missing.line is None


def test_the_time_of_parsing_grows_with_the_file(grows_with) -> None:
    lines = (Path(__file__).parents[1] / "problem" / "full.yaml").read_text().splitlines(keepends=True)
    one = "- \n" + "".join(f"  {line}" for line in lines if line.strip() and not line.startswith("%"))
    grows_with(lambda: read(one * 2), lambda: read(one * 20), 10)


def test_the_hint_for_full_width_punctuation_is_yaml_again() -> None:
    _, findings = parse_yaml("a: 1\nb：{c：1，d：2}\nc: 3\n", "f.yaml")
    assert (findings[0].hint or "").endswith("write: b: {c: 1, d: 2}")


@pytest.mark.parametrize("text", ['"\\e[31m"', '"\\uD800"', '"x\\a"', '"\\0"'])
def test_a_value_holds_no_control_characters(text: str) -> None:
    for document, column in ((f"a: 1\nb: {text}\n", 4), (f"a: 1\n? {text}\n: 5\n", 3)):
        _, findings = parse_yaml(document, "f.yaml")
        assert [(finding.line, finding.column) for finding in findings] == [(2, column)]
        assert "holds" in findings[0].message


@pytest.mark.parametrize("text", ['"x\\ny"', '"x\\ty"', '"\\u202Ex"', "|\n  x\n  y"])
def test_line_breaks_and_marks_of_direction_are_read(text: str) -> None:
    """Every way out of the program shows them harmlessly (``tests/handover``)."""
    root, findings = parse_yaml(f"a: {text}\n", "f.yaml")
    assert root is not None
    assert not findings


def test_folded_text_of_one_line_is_that_line() -> None:
    root, findings = parse_yaml("a: >\n  one\n  line\nb: |\n  other\n", "f.yaml")
    assert root is not None
    assert not findings
    assert plain(root) == {"a": "one line", "b": "other"}


def test_ten_thousand_keys_are_read_at_once() -> None:
    _, findings = parse_yaml("".join(f"k{number}: 1\n" for number in range(12_000)), "f.yaml")
    assert [finding.message for finding in findings] == ["brings the file to more than 20,000 values"]
