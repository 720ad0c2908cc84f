"""A figure of matplotlib as inline SVG: text stays text, colours are the page's variables, ids are its own."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Any

from optimizer.handover.extras import need

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, LINE, MUTED, ACCENT, SECOND, THIRD, FOURTH = (f"#0{n}0{n}0{n}" for n in range(1, 8))
"""Stand-ins while drawing; each becomes a CSS variable, so that light and dark need no second drawing."""

_VARIABLES = {
    INK: "ink", LINE: "line", MUTED: "muted", ACCENT: "accent", SECOND: "second", THIRD: "third", FOURTH: "fourth",
}  # fmt: skip
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "optimizer",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
}


def drawing(width: float = 7.2, height: float = 3.6) -> Any:
    """A figure in the page's style, without any global state of matplotlib; use as ``with drawing() as figure``."""
    return _Drawing(width, height)


class _Drawing:
    def __init__(self, width: float, height: float) -> None:
        self._matplotlib: Any = need("matplotlib")
        need("matplotlib.backends.backend_svg")
        self._context = self._matplotlib.rc_context(_STYLE)
        self._size = (width, height)

    def __enter__(self) -> Figure:
        self._context.__enter__()
        from matplotlib.figure import Figure

        return Figure(figsize=self._size, layout="constrained")

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)


def inline(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an ``<svg>`` element that a screen reader can name; call it inside ``drawing()``."""
    stream = io.StringIO()
    with warnings.catch_warnings():  # text stays text: the reader's fonts draw it, whatever this machine's lack
        warnings.filterwarnings("ignore", message=r"Glyph \d+ ")
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(url\(|xlink:href=")#', rf"\1#{name}-", text)
    text = re.sub(r"font:[^;\"]*?(\d+(?:\.\d+)?)px[^;\"]*", r"font-size: \1px", text)
    text = re.sub(r"font-family:[^;\"]*;?", "", text)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, f"var(--{variable})")
    head, _, rest = text.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    label = f'role="img" aria-labelledby="{name}-title {name}-desc" class="chart"'
    names = f'<title id="{name}-title">{_escaped(title)}</title><desc id="{name}-desc">{_escaped(description)}</desc>'
    return f"{head} {label}>{names}{rest}".strip()


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)
