"""The command line: one module per command, imported only when it is asked for."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from optimizer.commands import failures
from optimizer.commands.progress import give_up_on_stdout, let_any_text_through, open_missing_streams
from optimizer.errors import Finding, InputError, OptimizerError, OutOfTimeError, UsageError
from optimizer.files.guard import watched
from optimizer.version import VERSION

EXIT_OUR_FAILURE = 1
EXIT_INVALID_INPUT = 2
EXIT_OUT_OF_TIME = 4
EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_READER_LEFT = 141  # 128 + SIGPIPE, as of any program of a pipeline

_COMMANDS = {
    "solve": "Rank the cheapest deployments for a problem file (the default: `optimize FILE`).",
    "new": "Write a commented problem file to start from: chatbot, rag, batch or agents.",
    "budget": "Say what a monthly budget buys: the most load, the best latencies.",
    "targets": "Solve for the price per GPU-hour below which each other card and provider would win.",
    "diff": "Say what changed between two results or two problem files, and which input caused it.",
    "explain": "Say why the best plan is the best, what each promise costs, and why not another plan.",
    "confirm": "Say which benchmark to run before you sign, and what it is worth.",
    "frontier": "Draw the exact cost staircase over a number of the problem, with its break points.",
    "check": "Read a problem file and say what was understood, or everything that is wrong with it.",
    "memory": "Print the memory bill of a model on a GPU, layer by layer.",
    "predict": "Predict latency and throughput of single configurations given in a CSV.",
    "trace": "Say what a recorded stream of requests holds, and what a prefix cache finds in it.",
    "catalog": "List the GPUs, models and offers that plans are made of.",
    "quotes": "Read quotes and price lists (CSV, XLSX) for the offers of a problem file.",
    "report": "Write the answer as one HTML page, with charts.",
    "shortlist": "Write the ranking as a workbook for procurement (.xlsx, .md, .csv).",
    "launch": "Write what starts a plan: scripts, Kubernetes, KServe, Dynamo, compose, benchmark.",
    "calibrate": "Fit the performance model to your own benchmark results.",
    "drill": "Let a node of a plan die under load: what users see, with and without a spare.",
    "verify": "Recheck a plan file without the solver: money, placement, limits, memory, load, seals.",
    "validate": "Score the performance model against published measurements.",
    "glossary": "Explain the terms of the reports.",
    "serve": "Answer questions over HTTP on this machine, and show a page to negotiate at.",
    "mcp": "Answer an AI assistant over the Model Context Protocol (standard input and output).",
    "schema": "Print the JSON Schema of the problem file, for editors, or of the result.",
}


_OWN_OPTIONS = frozenset({"-h", "--help", "--version"})


class _ReaderLeftError(Exception):
    """Nobody reads standard output any more; click would call that a failure of ours."""


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _ReaderLeftError from error


class _LazyGroup(click.Group):
    """Loads a command's module on demand; a first argument that is neither a command nor our option means ``solve``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"optimizer.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else "--help"
        names_file = first not in _COMMANDS and first not in _OWN_OPTIONS
        return super().parse_args(ctx, ["solve", *args] if names_file else args)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with _reader_may_leave():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _reader_may_leave(), watched():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION)
def cli() -> None:
    """Which GPUs, how many, set up how, meet your targets for the least money?

    optimize problems/chatbot_100users.yaml
    """


def main() -> None:
    """Run the command line and turn every error raised on purpose into a message and an exit code."""
    _suit_a_short_process()
    open_missing_streams()
    let_any_text_through()
    try:
        _run()
    except InputError as error:
        click.echo(failures.told(error, failures.sayer(sys.argv[1:])), err=True)
        sys.exit(EXIT_INVALID_INPUT)
    except OutOfTimeError as error:
        say = failures.sayer(sys.argv[1:])
        click.echo(say(f"Error: {say(str(error))}"), err=True)
        sys.exit(EXIT_OUT_OF_TIME)
    except OptimizerError as error:
        click.echo(f"Internal error, please report it: {error}", err=True)
        sys.exit(EXIT_OUR_FAILURE)
    except (KeyboardInterrupt, click.Abort):
        click.echo(failures.sayer(sys.argv[1:])("Interrupted."), err=True)
        sys.exit(EXIT_INTERRUPTED)


def _run() -> None:
    """The command, and what it printed brought out while there still is somebody to tell that it could not be."""
    try:
        try:
            code = cli.main(prog_name="optimize", standalone_mode=False)
        finally:
            sys.stdout.flush()
    except click.ClickException as error:
        failures.show(error, failures.sayer(sys.argv[1:]))
        sys.exit(error.exit_code)
    except (BrokenPipeError, _ReaderLeftError):
        give_up_on_stdout()
        sys.exit(EXIT_READER_LEFT)
    except OSError as error:
        if error.filename is not None:  # a file that nobody asked about first
            raise UsageError([Finding(f"{error.strerror or error}", file=str(error.filename))]) from error
        give_up_on_stdout()
        raise UsageError(f"the output cannot be written: {error.strerror or error}") from error
    sys.exit(code)


def _suit_a_short_process() -> None:
    """A tenth of a run otherwise goes into threads for linear algebra that we do not do and into early collections."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(200_000, 10, 10)
