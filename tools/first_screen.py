"""Write the first screen of the front-page problem into the pages that show it.

    python tools/first_screen.py

Between the two marks of each page stands what ``optimize problems/chatbot_100users.yaml`` prints on a pipe.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "README.zh-CN.md", "docs/quickstart.md")
PROBLEM = "problems/chatbot_100users.yaml"
BLOCK = re.compile(r"(<!-- first screen -->\n```\n).*?(```\n<!-- end of first screen -->)", re.DOTALL)


def main() -> None:
    """Solve, then rewrite each page. Exits with an error where a page has no marks."""
    sys.path.insert(0, str(ROOT))
    from optimizer.decide import solve_problem
    from optimizer.report import render

    screen = render(solve_problem(ROOT / PROBLEM), "screen", file=PROBLEM)
    for name in PAGES:
        page = ROOT / name
        text = page.read_text(encoding="utf-8")
        if not BLOCK.search(text):
            sys.exit(f"{name}: no block between the marks of the first screen")
        page.write_text(BLOCK.sub(lambda found: found[1] + screen + found[2], text), encoding="utf-8")


if __name__ == "__main__":
    main()
