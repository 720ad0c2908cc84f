"""Draws the picture at the head of the readmes: what the front-page problem costs on each choice of hardware.

    python -m tools.first_picture

It shows the rows of the first screen, so that ``python tools/first_screen.py`` comes first.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "first_answer.svg"
_ROW = re.compile(
    r"^ *(?P<rank>\d+|list) +(?P<money>[\d,]+) +[\d.]+ (?P<who>.+?) +(?P<weights>\S+) +[\d.]+ s +(?P<pace>\d+) ms +"
    r"[+-]?\d+ % +\S+ +(?P<grade>[ABC])$"
)

_AT_LIST = {"list": "\n(at list prices alone)"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of the first screen."""

    label: str
    money: int
    pace_ms: int
    grade: str


def rows_in(page: str) -> list[Row]:
    """The table of the first screen that stands in a page."""
    screen = page.split("<!-- first screen -->")[1].split("<!-- end of first screen -->", maxsplit=1)[0]
    found = (_ROW.match(line) for line in screen.splitlines())
    return [
        Row(
            f"{one['who']}, {one['weights']}{_AT_LIST.get(one['rank'], '')}",
            int(one["money"].replace(",", "")),
            int(one["pace"]),
            one["grade"],
        )
        for one in found
        if one
    ]


def drawn(rows: list[Row]) -> str:
    """The picture as SVG, its texts as text, the same bytes for the same rows."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    colours = {"A": "#2a6f97", "B": "#61a5c2", "C": "#a9d6e5"}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "first answer", "font.size": 10}):
        figure, axis = plt.subplots(figsize=(8, 0.42 * len(rows) + 1.1), layout="constrained")
        for place, row in enumerate(rows):
            axis.barh(place, row.money, color=colours[row.grade])
            axis.text(row.money, place, f" ${row.money:,}, {row.pace_ms} ms a token, grade {row.grade}", va="center")
        axis.set_yticks(range(len(rows)), [row.label for row in rows])
        axis.invert_yaxis()
        axis.set_xlim(0, 1.8 * max(row.money for row in rows))
        axis.set_xlabel("USD a month for 100 requests in flight of Llama-3.1-70B-Instruct, every promise kept")
        axis.spines[["top", "right"]].set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
        plt.close(figure)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def main() -> None:
    """Writes the picture of the README's table."""
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(drawn(rows_in((ROOT / "README.md").read_text(encoding="utf-8"))), encoding="utf-8")
    print(PICTURE.relative_to(ROOT))


if __name__ == "__main__":
    main()
