"""``optimize trace FILE``: what a recorded stream of requests holds, and what a prefix cache would find in it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.completion import complete_models
from optimizer.commands.options import OutputFile, language_option, say_of
from optimizer.errors import Finding, UsageError

if TYPE_CHECKING:
    from optimizer.handover.trace_problem import TraceFigures
    from optimizer.problem.trace import Trace
    from optimizer.simulate.prefix_cache import PrefixHits

_MODEL = "meta-llama/Llama-3.1-70B-Instruct"
_ROUTERS = {
    "round_robin": "round_robin",
    "sticky": "sticky",
    "prefix_affinity": "sticky",
    "least_loaded": "least_loaded",
    "least_outstanding": "least_loaded",
    "prefix_aware": "prefix_aware",
}


@click.command(name="trace")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--capacity-tokens", type=click.IntRange(min=1), help="KV cache of one replica left for prefixes, in tokens."
)
@click.option(
    "--host-tokens", type=click.IntRange(min=1), help="KV cache of one replica in the memory of its host, in tokens."
)
@click.option(
    "--host-writes",
    type=click.Choice(["through", "evicted"]),
    help="When a block gets there: computed (default), or when the cards let go of it.",
)
@click.option("--replicas", type=click.IntRange(1, 4096), help="Replicas with such a cache each (default: 1).")
@click.option("--router", type=click.Choice(list(_ROUTERS)), help="Where a request goes (default: round_robin).")
@click.option(
    "--block-tokens", type=click.IntRange(1, 65536), help="Tokens of a recorded block; left out: told from the lengths."
)
@click.option(
    "--model", shell_complete=complete_models, default=_MODEL, show_default=True, help="Model of the problem file."
)
@click.option("-o", "--output", type=OutputFile(), help="Write a problem file made from the trace.")
@click.option("--force", is_flag=True, help="Replace the problem file if it exists.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@language_option
def command(
    file: Path,
    capacity_tokens: int | None,
    host_tokens: int | None,
    host_writes: str | None,
    replicas: int | None,
    router: str | None,
    block_tokens: int | None,
    model: str,
    output: Path | None,
    force: bool,
    style: str,
    lang: str,
) -> None:
    """Say what the trace FILE holds; with --capacity-tokens, the exact share of its input that prefix caches find.

    Any CSV file with an arrival and two token columns, and the JSON lines of Mooncake, Qwen-Bailian and AIBrix, are
    read, packed by gzip or not. Hit rates need prompt blocks (Mooncake's hash_ids, or a column blocks).
    """
    from optimizer.handover.trace_problem import block_tokens_of, figures_of, hits_of
    from optimizer.problem.trace import read_trace
    from optimizer.simulate.prefix_cache import HostWrites, PrefixRouter, PrefixTiers

    say = say_of(lang, style)
    if capacity_tokens is None and any(one is not None for one in (host_tokens, replicas, router)):
        raise UsageError("--host-tokens, --replicas and --router say where prefixes lie: state --capacity-tokens too")
    if host_writes is not None and host_tokens is None:
        raise UsageError("--host-writes says when blocks get into the memory of hosts: state --host-tokens too")
    trace = read_trace(file)
    block = block_tokens or block_tokens_of(trace)
    figures = figures_of(trace, block)
    hits = None
    if capacity_tokens is not None:
        way = PrefixRouter(_ROUTERS[router or "round_robin"])
        tiers = PrefixTiers(capacity_tokens, host_tokens or 0, HostWrites(host_writes or "through"))
        hits = hits_of(trace, block, tiers, replicas or 1, way)
    if output is not None:
        _write_problem(file, trace, figures, output, model, force)
    if style == "json":
        told = {
            **_as_json(figures, hits),
            "read_as": dict(trace.read_as),
            "block_tokens": block if trace.blocks else None,
        }
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo("\n".join(_as_text(file, trace, figures, hits, block, output, say)))


def _write_problem(file: Path, trace: Trace, figures: TraceFigures, output: Path, model: str, force: bool) -> None:
    from optimizer.catalog import load_catalog
    from optimizer.files.text_file import did_you_mean, whole_id
    from optimizer.handover.trace_problem import problem_of
    from optimizer.report import write_output

    if output.exists() and not force:
        raise UsageError([Finding("exists already", file=str(output), hint="another name, or --force to replace it")])
    models = load_catalog(None).models
    model = whole_id(model, models) or model
    if model not in models:
        hint = did_you_mean(model, models) or "`optimize catalog models` lists them"
        raise UsageError([Finding(f"unknown model {model!r}", hint=hint)])
    beside = Path(os.path.relpath(file.resolve(), output.resolve().parent))
    write_output(problem_of(trace, figures, model, beside, models[model].context_limit), output)


def _as_json(figures: TraceFigures, hits: PrefixHits | None) -> dict[str, object]:
    return {
        "requests": figures.requests,
        "sessions": figures.sessions,
        "input_tokens": round(figures.input_tokens),
        "output_tokens": round(figures.output_tokens),
        "hit_rate": None if hits is None else hits.rate,
        "host_hit_rate": None if hits is None else hits.host_rate,
        "busiest_replica": None if hits is None else hits.busiest_over_mean,
        "sessions_inferred": figures.sessions_inferred,
        "failed": figures.failed,
        "span_s": figures.span_s,
        "requests_per_second": {"mean": figures.mean_rate, "busiest": figures.busiest_rate},
        "input": {"mean": figures.input.mean, "p95": figures.input.p95},
        "output": {"mean": figures.output.mean, "p95": figures.output.p95},
        "longest": figures.longest,
    }


_LABEL = 11
"""Columns of a label and what stands behind it."""


def _as_text(
    file: Path,
    trace: Trace,
    figures: TraceFigures,
    hits: PrefixHits | None,
    block: int,
    output: Path | None,
    say: Callable[[str], str],
) -> list[str]:
    from optimizer.report.widths import padded

    told = " (told from their prompts)" if figures.sessions_inferred else ""
    failed = f", {figures.failed:,} of them without an answer" if figures.failed else ""
    rows = [
        ("read as", ", ".join(f"{say(meaning)}: {name}" for meaning, name in trace.read_as)),
        ("sessions", say("not recorded" if figures.sessions is None else f"{figures.sessions:,}{told}")),
        (
            "rate",
            say(f"{figures.mean_rate:.3g} requests/s on average, {figures.busiest_rate:.3g} in the busiest 60th"),
        ),
        *(
            (name, say(f"{one.mean:,.0f} tokens on average, p95 {one.p95:,.0f}; {total:,.0f} in all"))
            for name, one, total in (
                ("input", figures.input, figures.input_tokens),
                ("output", figures.output, figures.output_tokens),
            )
        ),
        ("longest", say(f"{figures.longest:,.0f} tokens, input and output")),
        *_hit_rows(trace, hits, block, say),
    ]
    lines = [
        f"{file}: " + say(f"{figures.requests:,} requests over {figures.span_s / 3600:.2f} hours{failed}"),
        *(f"  {padded(say(label) if label else '', _LABEL)}{said}" for label, said in rows),
    ]
    if output is not None:
        made = say("a problem file made from it; state your promises there, then run:")
        lines.append(f"{output}: {made} optimize {output}")
    return lines


def _hit_rows(trace: Trace, hits: PrefixHits | None, block: int, say: Callable[[str], str]) -> list[tuple[str, str]]:
    if hits is None:
        left = "state --capacity-tokens (and --replicas, --router) to count them"
        return [("hits", say(left if trace.blocks else "cannot be counted: no prompt blocks are recorded"))]
    found = (
        f"{hits.rate:.1%} of the input tokens are found in a prefix cache (exact, blocks of {block});"
        f" the busiest replica gets {hits.busiest_over_mean:.2f} x the mean"
    )
    host = [("", say(f"{hits.host_rate:.1%} are brought in from the memory of the host"))] if hits.host_tokens else []
    return [("hits", say(found)), *host]
