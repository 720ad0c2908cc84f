"""``optimize calibrate RESULTS...``: fit the model to your own benchmark results."""

from __future__ import annotations

from pathlib import Path

import click

from optimizer.commands.completion import complete_cards, complete_models
from optimizer.commands.options import OutputFile, language_option, say_of


@click.command(name="calibrate")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=OutputFile(), default=Path("calibration.csv"), show_default=True)
@click.option("--gpu", shell_complete=complete_cards, help="Catalog id of the card the results were measured on.")
@click.option(
    "--model", shell_complete=complete_models, help="Catalog id of the model, where the results name it differently."
)
@click.option("--engine", help="Catalog id of the engine.")
@click.option("--engine-version", help="Version of the engine.")
@click.option("--weight-quant", help="Weight format: bf16, fp8, int8, int4, nvfp4, mxfp4.")
@click.option("--kv-cache", help="fp16, bf16 or fp8.")
@click.option("--tp", help="Tensor parallel size.")
@click.option("--pp", help="Pipeline parallel size.")
@click.option("--dp", help="Number of copies of the model behind the endpoint.")
@click.option("--interconnect", help="nvlink, xgmi, pcie, ...")
@click.option("--accept-failures", is_flag=True, help="Also fit to runs with failed requests, or without streaming.")
@click.option("--force", is_flag=True, help="Write a fit that leaves most of its own results outside their band.")
@language_option
def command(
    results: tuple[Path, ...],
    output: Path,
    model: str | None,
    accept_failures: bool,
    force: bool,
    lang: str,
    **given: str | None,
) -> None:
    """Fit card, format and engine parameters to RESULTS, on top of the packaged fit, and write a calibration file.

    Reads vLLM bench serve (JSON or what it prints), SGLang bench_serving (likewise), GuideLLM JSON, genai-perf and
    aiperf JSON, trtllm-bench reports, and CSV with the columns of `optimize predict`. Options override what the files
    say; what neither says is asked for. Use the file with --calibration.
    """
    from optimizer.calibrate.own_report import fits_nothing, report
    from optimizer.commands.next_step import say_next
    from optimizer.errors import Finding, UsageError
    from optimizer.files.atomic_write import write_atomic
    from optimizer.negotiate.calibration import calibration

    say = say_of(lang)
    known = {name: value for name, value in {**given, "model": model}.items() if value}
    found = calibration(results, known, accept_failures=accept_failures)
    for line in report(found, say):
        click.echo(line)
    why = fits_nothing(found)
    if why is not None and not force:
        hint = "check card, engine, formats, degrees and load of the rows above; --force writes the fit all the same"
        raise UsageError([Finding(f"not written: {why}", str(output), hint=hint)])
    write_atomic(output, found.to_csv())
    click.echo(say(f"Wrote {output}: {len(found.parameters)} parameters. Use it with --calibration {output}"))
    say_next("calibrate", Path("rows.csv"), say=say)
