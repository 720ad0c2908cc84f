"""The parts of a card's name: vendor, size, form, words that name no card, and what is left.

Tokens are compared whole: ``H200`` is never ``H20``, and a word that is not known keeps a name from being any card's.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_VENDORS = {
    "nvidia": "nvidia",
    "英伟达": "nvidia",
    "tesla": "nvidia",
    "geforce": "nvidia",
    "quadro": "nvidia",
    "amd": "amd",
    "instinct": "amd",
    "radeon": "amd",
    "huawei": "huawei",
    "华为": "huawei",
    "ascend": "huawei",
    "昇腾": "huawei",
    "intel": "intel",
    "英特尔": "intel",
    "cambricon": "cambricon",
    "寒武纪": "cambricon",
    "habana": "intel",
}
_SAYS_NOTHING = re.compile(
    r"(?<![a-z0-9])(?:gpus?|cards?|accelerators?|tensor|core|tensorcore|graphics|hbm(?:2e?|3e?)?|gddr(?:6x?|7)|blackwell"
    r"|hopper)"
    r"(?![a-z0-9])|显卡|加速卡|训练卡|推理卡|计算卡|模组|显存|卡|版"
)
_SIZE = re.compile(r"(?<![a-z0-9.])(\d{2,3})\s*g(?:b|ib)?(?![a-z0-9])")
_FORM = re.compile(r"(?<![a-z0-9])(sxm|pcie|pci-e|oam|nvl|hgx|nvl72)(\d?)(?![a-z0-9])")
_SAME_FORM = {"pci-e": "pcie", "hgx": "sxm"}
_RUN = re.compile(r"[a-z]+|\d+|[^\sa-z\d_\-/,()（）]+")
_BETWEEN = r"[\s_\-]*"


@dataclass(frozen=True, slots=True)
class CardText:
    """What a name says besides which card it is, and what is left of it: words with one blank between them."""

    vendors: tuple[str, ...]
    sizes: tuple[float, ...]  # GB; two different ones fit no card
    forms: tuple[str, ...]  # sxm, pcie, oam, nvl
    rest: str


@lru_cache(maxsize=65536)
def card_text(text: str) -> CardText:
    """Take a name apart. A size and a form may stand anywhere, also glued by ``-`` or ``_``."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("_", " ").replace("，", ",")
    sizes = tuple(dict.fromkeys(float(size) for size in _SIZE.findall(plain)))
    plain = _SIZE.sub(" ", plain)
    forms = tuple(
        dict.fromkeys(
            f"{name}{digits}" if name == "nvl" and digits else _SAME_FORM.get(name, name)
            for name, digits in _FORM.findall(plain)
        )
    )
    if "nvl" in forms:  # "H100 NVL PCIe" is the NVL card
        forms = tuple(form for form in forms if form != "pcie")
    plain = _FORM.sub(" ", plain)
    vendors: dict[str, None] = {}
    for word, vendor in _VENDORS.items():
        bounded = re.compile(rf"(?<![a-z0-9]){word}(?![a-z])") if word.isascii() else re.compile(word)
        if bounded.search(plain):
            vendors[vendor] = None
            plain = bounded.sub(" ", plain)
    rest = " ".join(re.sub(r"[\s\-/,()®™]+", " ", _SAYS_NOTHING.sub(" ", plain)).split())
    return CardText(tuple(vendors), sizes, forms, rest)


def name_pattern(*names: str) -> re.Pattern[str]:
    """The spellings of a card's names: blanks and hyphens may stand or fall between a word and a number behind it, and
    wherever the name has one itself; a letter behind a number (``L40S``) stands right behind it."""
    return re.compile("|".join(dict.fromkeys(map(_spellings, names))))


def _spellings(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).lower()
    parts, end = list[str](), 0
    for run in _RUN.finditer(plain):
        if parts:
            apart = run.start() > end
            before, here = plain[end - 1], plain[run.start()]
            if before.isdigit() and here.isdigit():
                parts.append(r"[\s_\-]+")
            elif apart or here.isdigit():
                parts.append(_BETWEEN)
        parts.append(re.escape(run[0]))
        end = run.end()
    return "".join(parts)
