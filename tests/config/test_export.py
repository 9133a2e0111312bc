"""What is exported reads back as the same declaration."""

from __future__ import annotations

import pytest

from ai_models.capabilities import Capability
from ai_models.config import ExportedProvider, to_yaml
from tests.config.conftest import Folder

CLOUD = ExportedProvider(
    name="anthropicInternal",
    family="cloud",
    options={
        "region": "a ${X} $${Y} $",
        "baseURL": "https://x.example/v1",
        "contextSize": 12,
        "verbose": False,
        "labels": {
            "a": "2024-01-01",
            "b": "1e3",
            "c": "0o17",
            "d": "yes",
            "e": "line\nbreak: é 😀",
            "f": "12:30",
            "1": "<<",
            "on": "~",
        },
    },
    secrets=("apiKey",),
    mappings={"headers": ("x-team", "Authorization")},
    default_models={Capability.TEXT_GENERATION: "null"},
    model_aliases={Capability.TEXT_GENERATION: {"fast": "${fast}", "123": "456"}},
)


def test_an_export_reads_back_as_it_was(folder: Folder) -> None:
    text = to_yaml("anthropicInternal", [CLOUD, ExportedProvider(name="1st", family="plain")])
    declared = folder.read(
        text,
        ANTHROPIC_INTERNAL_API_KEY="sk-1",
        ANTHROPIC_INTERNAL_HEADERS_X_TEAM="team",
        ANTHROPIC_INTERNAL_HEADERS_AUTHORIZATION="Basic ${A}",
    )
    cloud = declared.providers["anthropicInternal"]
    assert (declared.problems, declared.default_provider, list(declared.providers)) == (
        (),
        "anthropicInternal",
        ["anthropicInternal", "1st"],
    )
    assert (cloud.options, cloud.default_models, cloud.model_aliases) == (
        CLOUD.options,
        CLOUD.default_models,
        CLOUD.model_aliases,
    )
    assert (cloud.secrets, cloud.mappings) == (
        {"apiKey": "sk-1"},
        {"headers": {"x-team": "team", "Authorization": "Basic ${A}"}},
    )


def test_an_export_of_nothing_reads_back_as_nothing(folder: Folder) -> None:
    declared = folder.read(to_yaml(None, []))
    assert (declared.default_provider, declared.providers, declared.problems) == (None, {}, ())


@pytest.mark.parametrize(
    ("name", "field", "variable"),
    [
        ("anthropicInternal", "apiKey", "ANTHROPIC_INTERNAL_API_KEY"),
        ("groq", "baseURL", "GROQ_BASE_URL"),
        ("my-groq_2", "accessKeyId", "MY_GROQ_2_ACCESS_KEY_ID"),
        ("AWSEast", "apiKey", "AWS_EAST_API_KEY"),
        ("1st", "apiKey", "AI_1ST_API_KEY"),
    ],
)
def test_variables_are_named_after_instance_and_field(name: str, field: str, variable: str) -> None:
    assert f"{field}: ${{{variable}}}\n" in to_yaml(None, [ExportedProvider(name=name, family="cloud", secrets=(field,))])


def test_two_secrets_never_share_a_variable() -> None:
    text = to_yaml(None, [ExportedProvider(name=name, family="cloud", secrets=("apiKey",)) for name in ("a-b", "a_b", "aB")])
    assert [line.strip() for line in text.splitlines() if "apiKey" in line] == [
        "apiKey: ${A_B_API_KEY}", "apiKey: ${A_B_API_KEY_2}", "apiKey: ${A_B_API_KEY_3}",
    ]  # fmt: skip
