"""A fit of the performance model to a buyer's own benchmark results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.calibrate.own_fit import Calibration
    from optimizer.catalog.types import Catalog


def calibration(
    results: Sequence[Path | str],
    given: Mapping[str, str] | None = None,
    catalog: Catalog | Path | str | None = None,
    *,
    accept_failures: bool = False,
) -> Calibration:
    """Fit card, format and engine parameters to own benchmark results, on top of the packaged fit.

    Parameters
    ----------
    results : sequence of Path or str
        What vLLM bench serve, SGLang bench_serving, GuideLLM, genai-perf, aiperf or trtllm-bench wrote, or CSV files
        with the columns of ``optimize predict``.
    given : mapping of str to str or None
        What the files do not say, by column: gpu, model, engine, engine_version, weight_quant, kv_cache, tp, pp, dp,
        interconnect. It overrides what they say.
    catalog : Catalog, Path, str or None
        Of ``load_catalog``, or a directory that overrides and extends the packaged catalogs; None: the packaged ones.
    accept_failures : bool
        Whether runs with failed requests, or without streaming, count too.

    Returns
    -------
    Calibration
        ``to_csv()`` is the file that ``engine.calibration`` takes; ``figures`` holds every measured figure beside the
        fit's and its 90 % band (ms, or tokens a second); ``before`` and ``after`` the median errors in percent.

    Raises
    ------
    InputError
        For what cannot be read, and for what decides a prediction and is not stated.

    Source
    ------
    The packaged fit that it starts from and is pulled to: docs/accuracy.md.
    """
    from optimizer.calibrate.benchmark_results import read_cases
    from optimizer.calibrate.own_fit import calibrate
    from optimizer.catalog import default_root
    from optimizer.performance import load_parameters
    from optimizer.planning.inputs import catalog_of

    known, root = catalog_of(catalog)
    files = [Path(one) for one in results]
    cases = read_cases(files, given or {}, known, accept_failures=accept_failures)
    return calibrate(cases, load_parameters(root or default_root()))
