"""The AI SDK's OpenAI-compatible provider against the facade, and Mastra on it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.contrib.auth.models import User

from ai_models.testing import ScriptedModels
from ai_models.testing.samples import png
from tests.api.conftest import LiveServer
from tests.javascript import node
from tests.javascript.test_openai import ADA, CALL, WARM, Client, token_of

pytestmark = pytest.mark.usefixtures("libraries")


@pytest.fixture
def sdk(server: LiveServer, user: User) -> Client:
    """Runs a function of ``scripts/ai_sdk.js``, or another script, as the user."""
    defaults = {"url": server.url, "token": token_of(user)}
    return lambda scenario, script="ai_sdk.js", **given: node.call(script, scenario, **{**defaults, **given})


def test_text_is_generated_and_streamed(sdk: Client, models: ScriptedModels) -> None:
    models.answer(WARM)
    seen = sdk("text")
    assert (seen["text"], "".join(seen["pieces"])) == (WARM, WARM)
    assert len(seen["pieces"]) == 4
    assert (seen["finishReason"], seen["tokens"], seen["streamed"]) == ("stop", 5, 5)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_and_answered(sdk: Client, models: ScriptedModels, streamed: bool) -> None:
    models.answer(CALL, WARM)
    assert sdk("tools", streamed=streamed) == {"text": WARM, "asked": ["Paris"], "steps": 2}


def test_objects_are_generated_and_streamed(sdk: Client, models: ScriptedModels) -> None:
    models.answer(ADA)
    assert sdk("object") == {"whole": ADA, "last": ADA}


def test_texts_are_embedded(sdk: Client, models: ScriptedModels) -> None:
    seen = sdk("embeddings")
    assert seen["embedding"] == seen["embeddings"][0] != seen["embeddings"][1]


def test_an_image_is_generated(sdk: Client, models: ScriptedModels) -> None:
    assert base64.b64decode(sdk("image")) == png()


def test_an_error_is_the_sdks_own(sdk: Client, models: ScriptedModels) -> None:
    seen: Any = sdk("error", model="")
    assert (seen["name"], seen["statusCode"], seen["isRetryable"]) == ("AI_APICallError", 400, False)


def test_an_agent_of_mastras(sdk: Client, models: ScriptedModels) -> None:
    models.answer(CALL, WARM, WARM, ADA)
    seen = sdk("agent", "mastra.js")
    assert (seen["text"], seen["asked"], seen["object"]) == (WARM, ["Paris"], ADA)
    assert ("".join(seen["pieces"]), len(seen["pieces"])) == (WARM, 4)
