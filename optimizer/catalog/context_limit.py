"""How many tokens a model takes: its positions, raised by the rope scaling that its file switches on.

The rule is vLLM's (``_get_and_verify_max_len``): YaRN multiplies the length the model was trained for, linear and
dynamic scaling the one the file states; llama3, longrope and proportional scaling are inside the stated length.
"""

from __future__ import annotations

from collections.abc import Mapping

from optimizer.catalog.huggingface_json import Config
from optimizer.files.nodes import shown

_INSIDE = frozenset({"default", "llama3", "longrope", "su", "mrope", "proportional", "none", ""})
_RAISES = frozenset({"linear", "dynamic", "yarn", "deepseek_yarn", "ntk"})


def context_limit(c: Config) -> int:
    """The longest context in tokens; what a scaling does is noted."""
    stated = c.integer("max_position_embeddings")
    scaling = _scaling(c)
    kind = str(scaling.get("rope_type") or scaling.get("type") or "")
    if kind in _INSIDE or c.kind.startswith("gemma3"):
        return stated
    factor = scaling.get("factor")
    if kind not in _RAISES or not isinstance(factor, int | float) or isinstance(factor, bool) or not factor >= 1:
        what = f"factor {shown(factor)}" if kind in _RAISES else f"type {shown(kind)}"
        c.error("rope_scaling", f"rope_scaling: {what} is not known; known: {', '.join(sorted(_RAISES | _INSIDE))}")
        return stated
    trained = scaling.get("original_max_position_embeddings")
    base = trained if "yarn" in kind and isinstance(trained, int) and trained > 0 else stated
    raised = int(base * factor)
    if raised != stated:
        c.note(
            f"{kind} rope scaling x{factor:g} raises the context limit from {base:,} to {raised:,} tokens; "
            "the file switches it on, so no flag is needed (vLLM and SGLang read rope_scaling)"
        )
    return raised


def _scaling(c: Config) -> Mapping[str, object]:
    """The rope scaling of the layers that see every token."""
    section = c.section("rope_scaling") or c.section("rope_parameters")
    inner = section.get("full_attention")
    return inner if isinstance(inner, dict) else section
