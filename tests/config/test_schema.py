"""The JSON Schema agrees with the reader."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from ai_models.config import json_schema
from tests.config.conftest import FAMILIES, Folder
from tests.config.test_declarations import ENV, GOOD, one

SCHEMA = json_schema(FAMILIES)


def accepts(content: str) -> bool:
    return Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(content))


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        "backend: {anything: [1]}",
        "ai: null",
        "ai: {$include: ./ai.yaml}",
        "ai: {defaultProvider: '${NAME}', providers: {a: null, b: {$include: ./b.yaml}, c: {type: '${T}'}}}",
        one("verbose: ${V}\nbaseURL: ${B:-https://x.example}\ntier: {$env: TIER}\nheaders: {x: {$file: ./x}, y: null}"),
        one("contextSize: '12'\nverbose: 'true'\naccountKey: {$file: ./key}\nlabels: {$include: 'l.json#a'}"),
    ],
)
def test_it_takes_what_the_reader_takes(content: str) -> None:
    assert accepts(content)


@pytest.mark.parametrize(
    "content",
    [
        "ai: text",
        "ai: {provider: {}}",
        "ai: {defaultProvider: 1}",
        "ai: {providers: []}",
        "ai: {providers: {a: {}}}",
        "ai: {providers: {a: {type: other}}}",
        "ai: {providers: {'a b': {type: plain}}}",
        "ai: {providers: {a: {type: plain, apiKey: x}}}",
        "ai: {providers: {a: {type: cloud}}}",
        "ai: {providers: {a: {type: plain, defaultModels: {embeddings: x}}}}",
        one("apikey: x"),
        one("accountKey: 1"),
        one("accountKey: ''"),
        one("accountKey: {$env: A, b: 1}"),
        one("accountKey: {$data: A}"),
        one("contextSize: many"),
        one("verbose: 1"),
        one("tier: medium"),
        one("baseURL: ftp://x.example"),
        one("labels: {a: 1}"),
        one("defaultModels: {embedings: a}"),
        one("modelAliases: {embeddings: {a: 1}}"),
    ],
)
def test_it_refuses_what_the_reader_refuses(folder: Folder, content: str) -> None:
    assert folder.read(content, **ENV).problems
    assert not accepts(content)


def test_secrets_and_defaults_are_described() -> None:
    properties: dict[str, Any] = SCHEMA["$defs"]["provider-cloud"]["properties"]
    assert properties["apiKey"]["writeOnly"] is True
    assert properties["apiKey"]["description"].startswith("The key. A secret")
    assert (properties["tier"]["default"], "writeOnly" in properties["tier"]) == ("slow", False)
