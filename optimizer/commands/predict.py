"""``optimize predict ROWS.csv -o OUT.csv``: latency and throughput of single configurations."""

from __future__ import annotations

from pathlib import Path

import click

from optimizer.commands.options import OutputFile


@click.command(name="predict")
@click.argument("rows", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=OutputFile(), help="Where to write; standard output if left out.")
@click.option("--catalogs", type=click.Path(path_type=Path), metavar="DIR", help="Catalogs that override the packaged.")
@click.option(
    "--calibration", type=click.Path(path_type=Path), metavar="FILE", help="Own fit, of `optimize calibrate`."
)
def command(rows: Path, output: Path | None, catalogs: Path | None, calibration: Path | None) -> None:
    """Predict every configuration of the table ROWS by replaying its load pattern on a simulated replica.

    Columns: gpu, gpu_count, interconnect, engine, engine_version, model, weight_quant, kv_cache, tp, pp, replicas,
    attention_dp, expert_parallel, moe_tensor_parallel, gpu_memory_utilization, max_num_seqs, max_num_batched_tokens,
    input_tokens, output_tokens, load, concurrency, request_rate, start, requests, length_low, nodes; others are kept.
    With router, input_p95, output_p95, shared_prefix or requests_per_prefix (and context_max) a row is a test sent as
    described, from an idle server to the end: the row beside the benchmark of `optimize launch`.
    Only gpu, model, input_tokens and output_tokens must be there, and what the load needs. replicas are independent
    copies (dp of a dense model means the same), attention_dp ranks that share the experts of a mixture.
    """
    from optimizer.calibrate.scores import predict_table, read_table
    from optimizer.catalog import default_root, load_catalog
    from optimizer.files.atomic_write import write_atomic
    from optimizer.performance import load_parameters
    from optimizer.performance.accuracy import read_bands

    header, cells = read_table(rows)
    root = catalogs or default_root()
    parameters = load_parameters(root, calibration)
    text, failed = predict_table(header, cells, load_catalog(catalogs), parameters, read_bands(root))
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomic(output, text)
    if failed:
        click.echo(f"{failed} of {len(cells)} rows could not be predicted: see their error column", err=True)
