"""``optimize mcp`` as an assistant starts it: over standard input and output, by the official client."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

ROOT = Path(__file__).parents[2]
PROBLEM = (ROOT / "problems" / "chatbot_100users.yaml").read_text()


def test_an_assistant_asks_and_is_answered() -> None:
    async def asked() -> tuple[list[str], Any, Any]:
        started = StdioServerParameters(command=sys.executable, args=["cli.py", "mcp"], cwd=ROOT)
        async with stdio_client(started) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            tools = [tool.name for tool in (await session.list_tools()).tools]
            sound: Any = await session.call_tool("check", {"problem": PROBLEM})
            secret = {"problem": PROBLEM, "set": ["engine.calibration=/etc/passwd"]}
            wrong: Any = await session.call_tool("check", secret)
            return tools, json.loads(sound.content[0].text), json.loads(wrong.content[0].text)

    tools, sound, wrong = asyncio.run(asyncio.wait_for(asked(), 60))
    assert {"solve", "check", "memory"} <= set(tools)
    assert sound["problem"]["name"] == "Chatbot, 100 requests in flight"
    assert "is not opened" in wrong["findings"][0]["message"]
