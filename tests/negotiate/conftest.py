"""Small versions of the example problems: a few cards, so that every answer can be had by brute force as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.decide import Inputs, read_inputs
from optimizer.whatif.case import Case, open_case

ROOT = Path(__file__).resolve().parents[2]
CHAT = ROOT / "problems" / "chatbot_100users.yaml"
CARDS = "hardware.gpus=[h100_sxm_80, l40s_48, mi300x_192, a100_sxm_80, rtx_pro_6000_server_96]"


@pytest.fixture(scope="session")
def chat() -> Inputs:
    """The front-page problem on five cards."""
    return read_inputs(CHAT, sets=[CARDS, "ranking.top=1"])


@pytest.fixture(scope="session")
def chat_case(chat: Inputs) -> Case:
    """The same, opened."""
    return open_case(chat)
