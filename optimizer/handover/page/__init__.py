"""The report as one HTML page: no network, no script, light and dark, printable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.handover.page.view import view_of

if TYPE_CHECKING:
    from optimizer.handover.page.charts import Say
    from optimizer.negotiate.page_curves import Picture
    from optimizer.plan.types import Outcome

__all__ = ["render_page"]


def render_page(
    outcome: Outcome,
    picture: Picture | None,
    say: Say = str,
    language: str = "en",
) -> str:
    """The page. ``picture`` is None where there is no plan, or nothing was drawn beyond the answer."""
    from importlib import resources

    from optimizer.handover.language import need

    jinja2 = need("jinja2")
    text = resources.files("optimizer.handover").joinpath("templates/report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page: str = environment.from_string(text).render(view=view_of(outcome, picture, say), say=say, language=language)
    return page
