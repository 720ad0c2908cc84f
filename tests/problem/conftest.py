"""Problem files to check, whole and broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from optimizer.errors import Finding, ProblemError
from optimizer.problem import KnownIds, Problem, load_problem

HERE = Path(__file__).parent

MINIMAL = """\
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-70B-Instruct
    traffic:
      concurrency: 100
    tokens:
      input: 1024
      output: 300
      context_max: 8192
    slo:
      ttft_ms: {p95: 1000}
"""

Load = Callable[..., Problem]
Refuse = Callable[..., tuple[Finding, ...]]


@pytest.fixture
def minimal() -> str:
    """The smallest sound problem file."""
    return MINIMAL


@pytest.fixture
def full() -> str:
    """A problem file with every key."""
    return (HERE / "full.yaml").read_text()


@pytest.fixture
def known() -> KnownIds:
    """A small world."""
    return KnownIds(
        gpus=frozenset({"h100_sxm_80", "h20_96", "l20_48", "a800_sxm_80", "t4_16", "v100_sxm_16"}),
        models={"meta-llama/Llama-3.1-70B-Instruct": 131072, "Qwen/Qwen3-32B": 40960},
        engines=frozenset({"vllm", "sglang"}),
        providers=frozenset({"aws", "azure", "lambda"}),
        currencies=frozenset({"USD", "EUR"}),
        regions=frozenset({"us-east-1", "eu-north1"}),
        newest_price_date="2026-08-20",
    )


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a text as a problem file."""

    def do(text: str | bytes, *sets: str, known: KnownIds | None = None) -> Problem:
        path = tmp_path / "p.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_problem(path, sets=sets, known=known)

    return do


@pytest.fixture
def refuse(load: Load, tmp_path: Path) -> Refuse:
    """The findings about a text that must be refused; file names cut to the last part."""

    def do(text: str | bytes, *sets: str, known: KnownIds | None = None) -> tuple[Finding, ...]:
        with pytest.raises(ProblemError) as caught:
            load(text, *sets, known=known)
        findings = caught.value.findings
        assert all(finding.file for finding in findings)
        lines = [finding.line for finding in findings if finding.line is not None]
        assert lines == sorted(lines)
        return findings

    return do
