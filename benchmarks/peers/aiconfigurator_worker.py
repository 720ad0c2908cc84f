"""Ask AIConfigurator: questions as JSON lines on standard input, answers as JSON lines on standard output.

It runs under whatever interpreter has ``aiconfigurator``, and so imports nothing of this project. A question holds the
arguments of ``cli_estimate``; the answer is ``{"ttft_ms", "tpot_ms"}``, or ``{"refused"}`` with the kind of its error.
"""

from __future__ import annotations

import contextlib
import json
import sys
from importlib import import_module

NOT_INSTALLED = 3
"""Exit code where there is no ``aiconfigurator``."""


def main() -> int:
    """Answer every question in turn; whatever the tool prints goes to standard error."""
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        try:
            estimate = import_module("aiconfigurator.cli.api").cli_estimate
        except ImportError:
            return NOT_INSTALLED
        for line in sys.stdin:
            try:
                found = estimate(**json.loads(line))
                answer: dict[str, object] = {"ttft_ms": float(found.ttft), "tpot_ms": float(found.tpot)}
            except Exception as error:  # another project's: whatever it raises is its refusal
                answer = {"refused": type(error).__name__}
            print(json.dumps(answer), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
