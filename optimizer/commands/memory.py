"""``optimize memory MODEL``: the memory bill of one replica, layer by layer, beside the usual rules of thumb."""

from __future__ import annotations

from pathlib import Path

import click

from optimizer.commands.completion import complete_cards, complete_models
from optimizer.commands.options import language_option, say_of

_MOST_USERS = 10**9


@click.command(name="memory")
@click.argument("model", shell_complete=complete_models)
@click.option(
    "--gpu",
    shell_complete=complete_cards,
    help="Card, an id of `optimize catalog gpus`; without it only the model is described.",
)
@click.option("--context", type=click.IntRange(min=2), help="max_model_len in tokens; default: the model's limit.")
@click.option(
    "--users", type=click.IntRange(min=1, max=_MOST_USERS), default=1, show_default=True, help="Requests held at once."
)
@click.option("--quant", help="bf16, fp8, int8, int4, nvfp4 or mxfp4; default: as published.")
@click.option("--kv", "kv_cache", metavar="[auto|fp8]", help="auto: 16 bit; default: as the checkpoint asks.")
@click.option("--tp", type=click.IntRange(min=1), default=1, show_default=True, help="Tensor-parallel degree.")
@click.option("--pp", type=click.IntRange(min=1), default=1, show_default=True, help="Pipeline-parallel degree.")
@click.option("--attention-dp", type=click.IntRange(min=1), default=1, help="Ranks that share the routed experts.")
@click.option(
    "--expert-parallel", type=click.IntRange(min=1), help="Groups the experts are dealt to: divides TP x attention DP."
)
@click.option(
    "--speculative",
    type=click.Choice(["none", "mtp"]),
    default="none",
    help="mtp loads the layers for speculation too.",
)
@click.option(
    "--gpu-memory-utilization", "share", type=click.FloatRange(0.01, 1.0), help="Share of memory, as engines."
)
@click.option("--max-num-seqs", "sequences", type=click.IntRange(1, _MOST_USERS), help="Sequences that run at once.")
@click.option("--max-num-batched-tokens", "batched", type=click.IntRange(1, _MOST_USERS), help="Tokens of a step.")
@click.option("--engine", default="vllm", show_default=True, help="Serving engine, for its law and defaults.")
@click.option("--engine-version", "version", default="", help="Its version; default: the newest that was read.")
@click.option(
    "--catalogs", type=click.Path(path_type=Path), metavar="DIR", help="Catalogs that override the packaged ones."
)
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@language_option
def command(
    model: str,
    gpu: str | None,
    context: int | None,
    users: int,
    catalogs: Path | None,
    style: str,
    quant: str | None,
    kv_cache: str | None,
    tp: int,
    pp: int,
    attention_dp: int,
    expert_parallel: int | None,
    speculative: str,
    share: float | None,
    sequences: int | None,
    batched: int | None,
    engine: str,
    version: str,
    lang: str,
) -> None:
    """Print what MODEL (a catalog id, a Hugging Face config.json or its folder) needs on a GPU, and whether it starts.

    Flags left out are the defaults of the engine's version, so that the figures compare with its start-up log.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.negotiate.memory import ReplicaOptions, memory
    from optimizer.report.memory import render_memory

    say = say_of(lang, style)
    asked = ReplicaOptions(
        engine, version, quant, kv_cache, tp, pp, attention_dp, expert_parallel, speculative, share, sequences, batched,
        context,
    )  # fmt: skip
    click.echo(render_memory(memory(model, gpu, catalogs, users=users, options=asked), style, say), nl=False)
    say_next("memory", None, style=style, say=say)
