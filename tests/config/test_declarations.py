"""A configuration is checked against what its families take; every mistake is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ai_models import config
from ai_models.capabilities import Capability
from tests.config.conftest import Folder, Fragile, Plain, told

GOOD = """
ai:
  defaultProvider: main
  providers:
    main:
      type: cloud
      apiKey: ${KEY}
      baseURL: http://127.0.0.1:8080/v1
      region: north
      tier: fast
      contextSize: ${SIZE}
      verbose: true
      modelPath: ./model.gguf
      labels: {team: a, empty: ""}
      headers: {x-team: "${TEAM}"}
      defaultModels: {text-generation: big, embeddings: vector}
      modelAliases: {text-generation: {fast: small}, embeddings: {}}
    second: {type: plain}
"""

ENV = {"KEY": "sk-canary", "SIZE": "4096", "TEAM": "canary-team"}


def one(settings: str) -> str:
    """A file with one good provider and these settings in it."""
    lines = "".join(f"      {line}\n" for line in settings.splitlines())
    return f"ai:\n  providers:\n    main:\n      type: cloud\n      region: north\n      apiKey: key\n{lines}"


def test_a_good_configuration_is_declared(folder: Folder) -> None:
    declared = folder.read(GOOD, **ENV)
    main = declared.providers["main"]
    assert (declared.problems, declared.default_provider, list(declared.providers)) == ((), "main", ["main", "second"])
    assert (main.name, main.family) == ("main", "cloud")
    assert main.options == {
        "baseURL": "http://127.0.0.1:8080/v1", "region": "north", "tier": "fast", "contextSize": 4096, "verbose": True,
        "modelPath": "./model.gguf", "labels": {"team": "a", "empty": ""},
    }  # fmt: skip
    assert (main.secrets, main.mappings) == ({"apiKey": "sk-canary"}, {"headers": {"x-team": "canary-team"}})
    assert main.default_models == {Capability.TEXT_GENERATION: "big", Capability.EMBEDDINGS: "vector"}
    assert main.model_aliases == {Capability.TEXT_GENERATION: {"fast": "small"}}


def test_a_declaration_does_not_show_its_secrets(folder: Folder) -> None:
    assert "canary" not in repr(folder.read(GOOD, **ENV))


def test_nothing_is_declared_by_nothing(folder: Folder) -> None:
    assert folder.read() == config.Declared(present=False)


def test_defaults_are_not_filled_in(folder: Folder) -> None:
    assert "tier" not in folder.read(one("verbose: 'false'")).providers["main"].options


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            "apikey: x",
            "config-1.yaml:7: ai.providers.main.apikey: The key is not known. Did you mean apiKey? Known are type,",
        ),
        ("base_url: x", "config-1.yaml:7: ai.providers.main.base_url: The key is not known. Did you mean baseURL?"),
        ("zzz: sk-canary", "config-1.yaml:7: ai.providers.main.zzz: The key is not known. Known are"),
        ("zzz: ${NONE:-}", "config-1.yaml:7: ai.providers.main.zzz: The key is not known. Known are"),
        ("accountKey: 12", "config-1.yaml:7: ai.providers.main.accountKey: It is not text. Write one text; put it in quotes"),
        ("accountKey: ''", "config-1.yaml:7: ai.providers.main.accountKey: It is empty. Set it, or remove the key."),
        ('accountKey: "sk-canary\\n"', "config-1.yaml:7: ai.providers.main.accountKey: It begins or ends with white space."),
        ("modelPath: []", "config-1.yaml:7: ai.providers.main.modelPath: It is not text."),
        ("contextSize: sk-canary", "config-1.yaml:7: ai.providers.main.contextSize: It is not a whole number."),
        ("contextSize: true", "config-1.yaml:7: ai.providers.main.contextSize: It is not a whole number."),
        ("contextSize: 1.5", "config-1.yaml:7: ai.providers.main.contextSize: It is not a whole number."),
        ("verbose: 1", "config-1.yaml:7: ai.providers.main.verbose: It is neither true nor false."),
        ("verbose: yes", "config-1.yaml:7: ai.providers.main.verbose: It is neither true nor false."),
        (
            "tier: sk-canary",
            "config-1.yaml:7: ai.providers.main.tier: It is none of the allowed values. Allowed are slow, fast.",
        ),
        ("baseURL: ''", "config-1.yaml:7: ai.providers.main.baseURL: It is empty."),
        (
            "baseURL: canary.example",
            "config-1.yaml:7: ai.providers.main.baseURL: The address is refused: it must be a full http:// or",
        ),
        (
            "baseURL: http://u:canary@h/",
            "config-1.yaml:7: ai.providers.main.baseURL: The address is refused: it must not contain a user",
        ),
        (
            "baseURL: http://169.254.169.254/",
            "config-1.yaml:7: ai.providers.main.baseURL: The address is refused: it is a metadata,",
        ),
        (
            "baseURL: file:///etc/canary",
            "config-1.yaml:7: ai.providers.main.baseURL: The address is refused: it must be a full http://",
        ),
        ("headers: sk-canary", "config-1.yaml:7: ai.providers.main.headers: It is not an object of names and texts."),
        ("headers:\n  x: sk-canary\n  y: 1", "config-1.yaml:9: ai.providers.main.headers.y: It is not text."),
        ("labels: {a: true}", "config-1.yaml:7: ai.providers.main.labels.a: It is not text."),
        ("labels: {'': a}", "config-1.yaml:7: ai.providers.main.labels: A name in it is empty."),
        (
            "defaultModels: sk-canary",
            "config-1.yaml:7: ai.providers.main.defaultModels: It is not an object of keys and values.",
        ),
        (
            "defaultModels: {embedings: a}",
            "config-1.yaml:7: ai.providers.main.defaultModels.embedings: The key is not known. Did you mean embeddings?",
        ),
        (
            "defaultModels: {transcription: a}",
            "config-1.yaml:7: ai.providers.main.defaultModels.transcription: "
            "Provider family cloud does not have this capability. Remove it; it has embeddings, text-generation.",
        ),
        ("defaultModels: {embeddings: 3}", "config-1.yaml:7: ai.providers.main.defaultModels.embeddings: It is not text."),
        ("defaultModels: {embeddings: ''}", "config-1.yaml:7: ai.providers.main.defaultModels.embeddings: It is empty."),
        (
            "modelAliases: {text-generation: [a]}",
            "config-1.yaml:7: ai.providers.main.modelAliases.text-generation: It is not an object",
        ),
        (
            "modelAliases: {text-generation: {fast: [a]}}",
            "config-1.yaml:7: ai.providers.main.modelAliases.text-generation.fast: It is not text.",
        ),
        (
            "modelAliases: {text-generation: {'': a}}",
            "config-1.yaml:7: ai.providers.main.modelAliases.text-generation.: It is empty.",
        ),
        (
            f"modelAliases: {{embeddings: {{a: {'m' * 257}}}}}",
            "config-1.yaml:7: ai.providers.main.modelAliases.embeddings.a: It is longer than 256",
        ),
        (
            f"modelAliases: {{embeddings: {{{'a' * 257}: m}}}}",
            f"config-1.yaml:7: ai.providers.main.modelAliases.embeddings.{'a' * 80}...: It is longer",
        ),
        (
            "modelAliases: {image-generation: {a: b}}",
            "config-1.yaml:7: ai.providers.main.modelAliases.image-generation: Provider family cloud",
        ),
    ],
)
def test_a_wrong_setting_is_told(folder: Folder, settings: str, problem: str) -> None:
    problems = told(folder.read(one(settings)))
    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert "canary" not in problems[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("ai: canary", "config-1.yaml:1: ai: It is not an object of keys and values."),
        (
            "ai: {provider: {}}",
            "config-1.yaml:1: ai.provider: The key is not known. Did you mean providers? Known are defaultProvider, providers.",
        ),
        ("ai: {providers: [canary]}", "config-1.yaml:1: ai.providers: It is not an object of keys and values."),
        ("ai: {providers: {main: canary}}", "config-1.yaml:1: ai.providers.main: It is not an object of keys and values."),
        (
            "ai: {providers: {main: {}}}",
            "config-1.yaml:1: ai.providers.main.type: It is missing; every provider needs it. Known are cloud, keyed, plain.",
        ),
        (
            "ai: {providers: {main: {type: plane}}}",
            "config-1.yaml:1: ai.providers.main.type: It is not a known provider family. Did you mean plain?",
        ),
        (
            "ai: {providers: {main: {type: 1}}}",
            "config-1.yaml:1: ai.providers.main.type: It is not a known provider family. Known are cloud, keyed, plain.",
        ),
        (
            "ai: {providers: {main: {type: cloud, apiKey: k}}}",
            "config-1.yaml:1: ai.providers.main.region: It is missing; cloud needs it. Set it.",
        ),
        (
            "ai: {defaultProvider: canary}",
            "config-1.yaml:1: ai.defaultProvider: It names no provider instance. Declared are none.",
        ),
        ("ai: {defaultProvider: [canary]}", "config-1.yaml:1: ai.defaultProvider: It is not text."),
        (
            "ai: {defaultProvider: Main, providers: {main: {type: plain}}}",
            "config-1.yaml:1: ai.defaultProvider: It names no provider instance. Did you mean main? Declared are main.",
        ),
        ("ai: {providers: {'a b': {type: plain}}}", "config-1.yaml:1: ai.providers.a b: It is not a valid instance name."),
        ('ai: {providers: {"a\\n": {type: plain}}}', "config-1.yaml:1: ai.providers.a\\n: It is not a valid instance name."),
        ("ai: {providers: {_a: {type: plain}}}", "config-1.yaml:1: ai.providers._a: It is not a valid instance name."),
        (
            f"ai: {{providers: {{{'a' * 65}: {{type: plain}}}}}}",
            f"config-1.yaml:1: ai.providers.{'a' * 65}: It is not a valid instance name.",
        ),
    ],
)
def test_a_wrong_structure_is_told(folder: Folder, content: str, problem: str) -> None:
    problems = told(folder.read(content))
    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert "canary" not in problems[0]


def test_names_that_differ_only_in_case_or_form_are_refused(folder: Folder) -> None:
    declared = folder.read(
        "ai: {providers: {groq: {type: plain}}}", "ai: {providers: {GROQ: {type: plain}, \uff47roq: {type: plain}}}"
    )
    assert [(problem.path, problem.message) for problem in declared.problems if "differs" in problem.message] == [
        ("ai.providers.GROQ", "The name differs from groq only in case or form."),
        ("ai.providers.\uff47roq", "The name differs from groq only in case or form."),
    ]


def test_all_mistakes_are_told_together(folder: Folder) -> None:
    declared = folder.read(
        "ai: {defaultProvider: x, colour: 1, providers: {a: {type: cloud, contextSize: x}, b: {}, c: {type: plain, z: 1}}}"
    )
    assert [problem.path for problem in declared.problems] == [
        "ai.colour",
        "ai.providers.a.region",
        "ai.providers.a.contextSize",
        "ai.providers.b.type",
        "ai.providers.c.z",
        "ai.defaultProvider",
    ]


def test_a_missing_variable_is_not_told_again_as_a_missing_setting(folder: Folder) -> None:
    declared = folder.read("ai: {providers: {main: {type: '${T}'}, other: {type: cloud, region: '${R}'}}}")
    assert [problem.message for problem in declared.problems] == [
        "The variable T is not set, or empty.",
        "The variable R is not set, or empty.",
    ]


def test_an_unknown_key_is_told_even_when_its_variable_is_missing(folder: Folder) -> None:
    messages = [problem.message for problem in folder.read(one("apikey: ${NONE}")).problems]
    assert messages == ["The variable NONE is not set, or empty.", "The key is not known."]


def test_a_required_setting_from_an_optional_variable_is_missing(folder: Folder) -> None:
    declared = folder.read("ai: {providers: {main: {type: cloud, region: '${R:-}', apiKey: k}}}")
    assert [problem.message for problem in declared.problems] == ["It is missing; cloud needs it."]


def test_a_file_that_cannot_be_read_does_not_make_the_others_look_wrong(folder: Folder) -> None:
    declared = folder.read("ai: [", "ai: {defaultProvider: main, providers: {main: {apiKey: x}}}")
    assert [problem.message for problem in declared.problems] == ["This is not valid YAML."]


def test_a_family_tells_mistakes_and_notes_of_its_own(folder: Folder) -> None:
    declared = folder.read(
        "ai:\n  providers:\n    a: {type: cloud, region: n, accountKey: x}\n    b: {type: cloud, region: n}\n"
        "    c: {type: cloud, region: n, apiKey: '${NONE}'}\n"
    )
    assert told(declared)[1:] == ["config-1.yaml:3: ai.providers.a.apiKey: It is missing beside accountKey. Set both."]
    assert [(note.path, note.line, note.message) for note in declared.notes] == [
        ("ai.providers.b", 4, "It uses the machine's account."),
    ]


def test_current_reads_the_configured_files_with_the_installed_families(folder: Folder, settings: Any) -> None:
    settings.AI_MODELS = {
        "CONFIG_FILES": (folder.write("a.yaml", GOOD), folder.write("b.yaml", "ai: {providers: {second: null}}")),
        "ENV_FILE": folder.write("my.env", "KEY=k\nSIZE=1\nTEAM=t\n"),
        "FAMILIES": ("tests.config.conftest.Cloud", "tests.config.conftest.Plain"),
    }
    declared = config.current()
    assert (declared.problems, list(declared.providers)) == ((), ["main"])
    assert declared.providers["main"].secrets == {"apiKey": "k"}


def test_current_collects_what_is_wrong_with_families_and_files(folder: Folder, settings: Any) -> None:
    settings.AI_MODELS = {
        "CONFIG_FILES": (Path("none.yaml"),),
        "ENV_FILE": folder.path / "none.env",
        "FAMILIES": ("tests.config.conftest.Cloud", "tests.config.conftest.Impostor"),
    }
    families, files = told(config.current())
    assert families.startswith("Two provider families have the type 'cloud'")
    assert files == "none.yaml: The file does not exist. Create it, or correct the path."


def test_current_collects_what_is_wrong_with_the_env_file(folder: Folder, settings: Any) -> None:
    settings.AI_MODELS = {"CONFIG_FILES": (), "ENV_FILE": folder.write("bad.env", b"\xff")}
    assert told(config.current()) == ["bad.env:1: The file is not UTF-8 text. Save it as UTF-8."]


def test_an_instance_without_its_required_credential_starts_and_is_noted(folder: Folder) -> None:
    declared = folder.read("ai: {providers: {main: {type: keyed}}}")
    assert declared.problems == ()
    assert [(note.path, note.message) for note in declared.notes] == [
        ("ai.providers.main.apiKey", "It is missing; keyed needs it to be called.")
    ]


def test_a_family_that_fails_to_check_is_told_beside_the_other_mistakes(folder: Folder) -> None:
    loaded = folder.load("ai:\n  providers:\n    a: {type: fragile}\n    b: {type: plain, regoin: x}\n")
    first, second = told(config.read(loaded, {"fragile": Fragile, "plain": Plain}))
    assert first == (
        "config-1.yaml:3: ai.providers.a: Provider family fragile failed to check the settings. "
        "It is an error of the family; report it to its author."
    )
    assert "b.regoin" in second
