"""Write the first screen of the front-page problem into the pages that show it.

    python tools/first_screen.py

Between the two marks of each page stands what ``optimize problems/chatbot_100users.yaml`` prints on a pipe; at the head
of the README its first sentence. ``python -m tools.first_picture`` then draws the picture beside it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "README.zh-CN.md", "docs/quickstart.md")
PROBLEM = "problems/chatbot_100users.yaml"
BLOCK = re.compile(r"(<!-- first screen -->\n```\n).*?(```\n<!-- end of first screen -->)", re.DOTALL)

SENTENCE = re.compile(r"(<!-- first answer -->\n```\n).*?(```\n<!-- end of first answer -->)", re.DOTALL)


def sentence_of(screen: str) -> str:
    """What the screen begins with, to the first empty line."""
    return screen.split("\n\n", 1)[0] + "\n"


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
        text = BLOCK.sub(lambda found: found[1] + screen + found[2], text)
        text = SENTENCE.sub(lambda found: found[1] + sentence_of(screen) + found[2], text)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
