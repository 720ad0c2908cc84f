"""``optimize predict ROWS.csv -o OUT.csv``: latency and throughput of single configurations."""

from __future__ import annotations

from pathlib import Path

import click

from optimizer.commands.options import OutputFile, language_option


@click.command(name="predict")
@click.argument("rows", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=OutputFile(), help="Where to write; standard output if left out.")
@click.option("--catalogs", type=click.Path(path_type=Path), metavar="DIR", help="Catalogs that override the packaged.")
@click.option(
    "--calibration", type=click.Path(path_type=Path), metavar="FILE", help="Own fit, of `optimize calibrate`."
)
@click.option("--format", "style", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@language_option
def command(
    rows: Path, output: Path | None, catalogs: Path | None, calibration: Path | None, style: str, lang: str
) -> None:
    """Predict every configuration of the table ROWS by replaying its load pattern on a simulated replica.

    Columns: gpu, gpu_count, interconnect, engine, engine_version, model, weight_quant, kv_cache, tp, pp, replicas,
    attention_dp, expert_parallel, moe_tensor_parallel, overlap (on, off), gpu_memory_utilization, max_num_seqs,
    max_num_batched_tokens, input_tokens, output_tokens, load, concurrency, request_rate, start, requests, length_low,
    nodes; others are kept.
    Disaggregated: prefill_* and decode_* columns (workers, tensor_parallel, attention_dp, expert_parallel,
    moe_tensor_parallel), decode_slots. Speculative decoding: speculative (mtp, eagle3, draft), speculative_tokens,
    acceptance or task (chat, code, reasoning, rag, random), draft_model.
    With router, input_p95, output_p95, shared_prefix or requests_per_prefix (and context_max) a row is a test sent as
    described, from an idle server to the end: the row beside the benchmark of `optimize launch`.
    Only gpu, model, input_tokens and output_tokens must be there, and what the load needs. replicas are independent
    copies (dp of a dense model means the same), attention_dp ranks that share the experts of a mixture,
    dealt to expert_parallel groups; not stated: to every GPU behind attention ranks, cut by all of one rank.
    The table is for programs, its error column too: one language. --lang is that of what is said beside it.
    """
    from optimizer.files.atomic_write import write_atomic
    from optimizer.handover.language import translator
    from optimizer.negotiate.predict import predict
    from optimizer.report.predicted import render_predicted

    answer = predict(rows, catalogs, calibration=calibration)
    text = render_predicted(answer, style)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomic(output, text)
    if answer.failed:
        failed = f"{answer.failed} of {answer.rows} rows could not be predicted: see their error column"
        click.echo(translator(lang)(failed), err=True)
