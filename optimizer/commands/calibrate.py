"""``optimize calibrate RESULTS...``: fit the model to your own benchmark results."""

from __future__ import annotations

from pathlib import Path

import click

from optimizer.commands.options import OutputFile


@click.command(name="calibrate")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=OutputFile(), default=Path("calibration.csv"), show_default=True)
@click.option("--gpu", help="Catalog id of the card the results were measured on.")
@click.option("--model", help="Catalog id of the model, where the results name it differently.")
@click.option("--engine", help="Catalog id of the engine.")
@click.option("--engine-version", help="Version of the engine.")
@click.option("--weight-quant", help="Weight format: bf16, fp8, int8, int4, nvfp4, mxfp4.")
@click.option("--kv-cache", help="fp16, bf16 or fp8.")
@click.option("--tp", help="Tensor parallel size.")
@click.option("--pp", help="Pipeline parallel size.")
@click.option("--dp", help="Number of copies of the model behind the endpoint.")
@click.option("--interconnect", help="nvlink, xgmi, pcie, ...")
def command(results: tuple[Path, ...], output: Path, model: str | None, **given: str | None) -> None:
    """Fit card and engine parameters to RESULTS, on top of the packaged fit, and write a calibration file.

    Reads vLLM bench serve JSON, SGLang bench JSONL, GuideLLM JSON, genai-perf and aiperf JSON, and CSV with the
    columns of `optimize predict`. Use the file with --calibration.
    """
    from optimizer.calibrate.own import calibrate
    from optimizer.calibrate.results import read_cases
    from optimizer.calibrate.store import parameter_csv
    from optimizer.catalog import default_root, load_catalog
    from optimizer.performance import load_parameters
    from optimizer.report.write import write_atomic

    known = {name: value for name, value in {**given, "model": model}.items() if value}
    cases = read_cases(results, known, load_catalog())
    found = calibrate(cases, load_parameters(default_root()))
    write_atomic(output, parameter_csv(found.parameters))
    click.echo(f"{found.rows} results; median error in percent before and after:")
    for figure, error in found.before.items():
        click.echo(f"  {figure:<11}{error:8.1f}{found.after[figure]:8.1f}")
    click.echo(f"Wrote {output}: {len(found.parameters)} parameters. Use it with --calibration {output}")
