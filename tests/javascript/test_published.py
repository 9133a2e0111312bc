"""The streams that ``docs/streams`` publishes, played to the client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.javascript import node

PUBLISHED = {path.stem: path for path in (node.FOLDER.parent.parent / "docs" / "streams").glob("*.json")}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_client_understands_a_published_stream(libraries: None, name: str) -> None:
    frames: list[dict[str, Any]] = json.loads(PUBLISHED[name].read_text())["websocket"]
    told = [frame["server"] for frame in frames if "server" in frame]
    played = node.call("published.js", "play", frames=frames)
    seen = played["seen"]
    objects = [event["data"] for event in told if event["type"] == "data-object"]

    assert played["sent"] == [frame["client"]["type"] for frame in frames if "client" in frame]
    assert seen["text"] == joined(told, "text-delta")
    if told[-1]["type"] == "finish":
        assert seen["result"] == {
            "text": joined(told, "text-delta"),
            "reasoningText": joined(told, "reasoning-delta"),
            "toolCalls": [
                {name: event[name] for name in ("toolCallId", "toolName", "input")}
                for event in told
                if event["type"] == "tool-input-available"
            ],
            **({"object": objects[-1]} if objects else {}),
            "finishReason": told[-1]["finishReason"],
            **told[-1]["messageMetadata"],
        }
    else:
        assert seen["error"]["code"] == told[-1].get("error", {"code": "aborted"})["code"]


def joined(told: list[dict[str, Any]], kind: str) -> str:
    return "".join(event["delta"] for event in told if event["type"] == kind)
