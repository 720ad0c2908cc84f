"""What a run reads is never written over: every command that writes, every kind of input, every kind of link."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from optimizer.commands import cli, main
from optimizer.commands.options import OutputFile

ROOT = Path(__file__).parents[2]
CONFIG = """{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
"num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
"max_position_embeddings": 131072, "torch_dtype": "bfloat16", "tie_word_embeddings": false}"""
PROBLEM = """
workloads:
  - name: api
    model: ./model/config.json
    traffic: {trace: trace.csv, requests_per_second: 2}
    tokens: {input: 420, output: 50, context_max: 8192}
    slo: {ttft_ms: 4000, tpot_ms: 80, percentile: 95}
engine: {calibration: fit.csv}
hardware: {gpus: [h100_sxm_80]}
ranking: {top: 1}
"""
ROWS = "gpu,model,input_tokens,output_tokens,concurrency\nh100_sxm_80,meta-llama/Llama-3.1-8B-Instruct,512,64,4\n"
QUOTES = "provider,gpu,gpus_per_node,price,currency,unit\nx,H100 SXM,8,14,USD,hour\n"
RESULT = ROWS.replace("concurrency\n", "concurrency,tpot_ms_p50\n").replace(",4\n", ",4,9\n")

PROBLEM_COMMANDS: dict[str, tuple[str, ...]] = {
    "solve": ("solve", "FILE", "-o"),
    "solve model": ("solve", "FILE", "--save-model"),
    "budget": ("budget", "FILE", "--monthly", "100000", "-o"),
    "targets": ("targets", "FILE", "-o"),
    "confirm": ("confirm", "FILE", "-o"),
    "explain": ("explain", "FILE", "-o"),
    "explain why not": ("explain", "FILE", "--why-not", "a100_sxm_80", "-o"),
    "diff": ("diff", "FILE", "FILE", "-o"),
    "frontier": ("frontier", "FILE", "--over", "tpot_ms", "50:80", "-o"),
    "frontier chart": ("frontier", "FILE", "--over", "tpot_ms", "50:80", "--chart"),
    "report": ("report", "FILE", "-o"),
    "shortlist": ("shortlist", "FILE", "-o"),
}
OTHERS = {
    "predict": ("predict", "rows.csv", "-o"),
    "calibrate": ("calibrate", "results.csv", "-o"),
    "trace": ("trace", "trace.csv", "-o"),
    "quotes": ("quotes", "quotes.csv", "-o"),
}
READ_NOTHING = {"new", "schema", "catalog template"}
FOLDERS = {"launch", "catalog update"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "p.csv").write_text(PROBLEM, encoding="utf-8")  # a name that every command takes as an output
    arrivals = "".join(f"{second},{400 + second},{50}\n" for second in range(40))
    (tmp_path / "trace.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{arrivals}", encoding="utf-8")
    shutil.copy(next((ROOT / "problems" / "calibration").glob("*.csv")), tmp_path / "fit.csv")
    (tmp_path / "quotes.csv").write_text(QUOTES, encoding="utf-8")
    (tmp_path / "rows.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "results.csv").write_text(RESULT, encoding="utf-8")
    (tmp_path / "cat").mkdir()
    shutil.copy(ROOT / "catalogs" / "providers.csv", tmp_path / "cat" / "providers.csv")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["optimize", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> None:
    before = contents(folder)
    code = run(monkeypatch, *arguments)
    err = capsys.readouterr().err
    assert code == 2, err
    assert "cannot be the output: this run reads it" in err
    assert contents(folder) == before


def as_it_is(source: Path, folder: Path) -> Path:
    return source


def other_spelling(source: Path, folder: Path) -> Path:
    return folder / "model" / ".." / source.relative_to(folder)


def symbolic_link(source: Path, folder: Path) -> Path:
    link = folder / "link.csv"
    link.symlink_to(source)
    return link


def hard_link(source: Path, folder: Path) -> Path:
    link = folder / "link.csv"
    os.link(source, link)
    return link


@pytest.mark.parametrize("how", [as_it_is, symbolic_link, hard_link, other_spelling])
@pytest.mark.parametrize("name", sorted(PROBLEM_COMMANDS))
def test_no_command_writes_over_its_problem(
    name: str,
    how: Callable[[Path, Path], Path],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = folder / "p.csv"
    words = [str(file) if word == "FILE" else word for word in PROBLEM_COMMANDS[name]]
    refused(monkeypatch, capsys, folder, *words, str(how(file, folder)))


@pytest.mark.parametrize("included", ["trace.csv", "fit.csv", "model/config.json", "cat/providers.csv"])
@pytest.mark.parametrize("name", ["solve", "solve model", "explain", "report"])
def test_no_command_writes_over_what_its_problem_includes(
    name: str, included: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(folder / "p.csv") if word == "FILE" else word for word in PROBLEM_COMMANDS[name]]
    words[2:2] = ["--catalogs", str(folder / "cat")]
    refused(monkeypatch, capsys, folder, *words, str(folder / included))


@pytest.mark.parametrize("how", [as_it_is, symbolic_link, hard_link])
@pytest.mark.parametrize("name", sorted(OTHERS))
def test_no_command_writes_over_its_rows(
    name: str,
    how: Callable[[Path, Path], Path],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command, file, option = OTHERS[name]
    refused(monkeypatch, capsys, folder, command, str(folder / file), option, str(how(folder / file, folder)))


def test_predict_does_not_write_over_its_calibration_or_catalogs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(folder / "rows.csv"), "--calibration", str(folder / "fit.csv")]
    words += ["--catalogs", str(folder / "cat"), "-o"]
    refused(monkeypatch, capsys, folder, *words, str(folder / "fit.csv"))
    refused(monkeypatch, capsys, folder, *words, str(folder / "cat" / "providers.csv"))


def test_a_calibration_given_on_the_command_line_is_an_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["solve", str(folder / "p.csv"), "--calibration", str(folder / "fit.csv"), "-o", str(folder / "fit.csv")]
    refused(monkeypatch, capsys, folder, *words)


@pytest.mark.parametrize("how", [as_it_is, symbolic_link, hard_link])
@pytest.mark.parametrize("name", sorted(PROBLEM_COMMANDS.keys() - {"diff"}))
def test_a_list_of_quotes_is_an_input_of_every_command_that_takes_it(
    name: str,
    how: Callable[[Path, Path], Path],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [str(folder / "p.csv") if word == "FILE" else word for word in PROBLEM_COMMANDS[name]]
    words[2:2] = ["--quotes", str(folder / "quotes.csv")]
    refused(monkeypatch, capsys, folder, *words, str(how(folder / "quotes.csv", folder)))


def test_quotes_does_not_write_over_the_names_it_reads(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["quotes", str(folder / "quotes.csv"), "--catalogs", str(folder / "cat"), "-o"]
    refused(monkeypatch, capsys, folder, *words, str(folder / "cat" / "providers.csv"))


def test_launch_does_not_write_over_a_problem_called_as_one_of_its_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "p.csv").rename(folder / "README.md")
    refused(monkeypatch, capsys, folder, "launch", str(folder / "README.md"), "--no-simulate", "-o", str(folder))


def test_an_output_is_brought_up_to_date_by_the_same_run_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["quotes", str(folder / "quotes.csv"), "-o", str(folder / "offers.yaml")]
    for _ in range(2):  # the second time over what the first has written
        assert run(monkeypatch, *words) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("solve", "p.csv", "-o", "x.txt", "--save-model", "./x.txt"),
        ("frontier", "p.csv", "--over", "tpot_ms", "50:80", "-o", "x.svg", "--chart", "x.svg"),
        ("new", "chatbot", "-o", "problem.schema.json"),
    ],
)
def test_two_outputs_are_two_files(
    words: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    before = contents(folder)
    assert run(monkeypatch, *words) == 2
    assert "is named for two outputs" in capsys.readouterr().err
    assert contents(folder) == before


def commands(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for inner in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), inner)
            assert found is not None
            yield from commands(found, f"{name} {inner}".strip())
    else:
        yield name, command


def test_the_tables_above_hold_every_command_that_writes() -> None:
    """An output is an ``OutputFile``, which the rule knows; folders are checked where they are filled."""
    files, folders = set(), set()
    for name, command in commands(cli):
        for parameter in command.params:
            if isinstance(parameter.type, OutputFile):
                files.add(name if parameter.name in ("output",) else f"{name} {parameter.name}")
            elif parameter.name in ("output", "out", "folder") or "-o" in parameter.opts:
                folders.add(name)
    tested = {*PROBLEM_COMMANDS, *OTHERS, *READ_NOTHING} - {"explain why not", "solve model", "frontier chart"}
    assert files == tested | {"solve save_model", "frontier chart"}
    assert folders == FOLDERS
