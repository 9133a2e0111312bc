"""The types that ship with the client: the code keeps them, and a program can use them."""

from __future__ import annotations

import re

import pytest

from tests.javascript import node

STATIC = node.FOLDER.parent.parent / "ai_models" / "static" / "ai_models"


def test_the_client_is_what_its_types_say(libraries: None) -> None:
    assert node.run("node_modules/typescript/bin/tsc", "--project", ".") == ""


@pytest.mark.parametrize("name", ["client.js", "client.d.ts"])
def test_the_client_needs_nothing_else(name: str) -> None:
    text = (STATIC / name).read_text()
    assert set(re.findall(r"""(?:from|import\()\s*["']([^"']+)""", text)) <= {"./client.d.ts"}
