"""``ai_keys``: generate, status, rotate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.management import CommandError
from django.db import OperationalError, connection

from ai_models.encryption import KeyRing, generate_key
from ai_models.keyring import configured_keys, key_ring
from tests.commands.conftest import Run
from tests.state.conftest import MakeInstance

SECRET = "sk-canary-6d21"


def test_a_generated_key_is_one_line_and_good(run: Run) -> None:
    first, second = run("ai_keys", "generate"), run("ai_keys", "generate")
    assert first != second
    assert len(first.splitlines()) == 1
    assert len(KeyRing([first, second]).ids) == 2


def test_a_key_can_be_generated_while_the_ring_is_malformed(run: Run, set_ring: Callable[..., None]) -> None:
    set_ring("short")
    assert KeyRing([run("ai_keys", "generate")]).ids


def test_status_and_rotation(run: Run, make_instance: MakeInstance, set_ring: Callable[..., None]) -> None:
    make_instance("one", secrets={"apiKey": SECRET})
    set_ring(generate_key(), *configured_keys())
    new, old = key_ring().ids
    assert [line.split() for line in run("ai_keys", "status").splitlines()] == [
        [new, "encrypts", "and", "decrypts", "0", "ciphertexts"],
        [old, "decrypts", "1", "ciphertexts"],
    ]
    assert run("ai_keys", "rotate") == "one: encrypted with the first key\n"
    assert run("ai_keys", "rotate") == "Nothing to change.\n"
    set_ring(configured_keys()[0])
    assert run("ai_keys", "status").split()[-2:] == ["1", "ciphertexts"]


def test_what_does_not_open_ends_with_an_error(run: Run, make_instance: MakeInstance, set_ring: Callable[..., None]) -> None:
    make_instance("one", secrets={"apiKey": SECRET, "headers": "{}"})
    lost = key_ring().ids[0]
    set_ring(generate_key())
    for action in ("status", "rotate"):
        with pytest.raises(CommandError) as caught:
            run("ai_keys", action)
        assert "2 ciphertexts cannot be decrypted" in str(caught.value)
        assert "one: apiKey" in str(caught.value)
        assert SECRET not in str(caught.value)
    assert lost not in key_ring().ids


def test_a_malformed_ring_is_told(run: Run, set_ring: Callable[..., None]) -> None:
    set_ring("short")
    with pytest.raises(CommandError, match="Encryption key 1"):
        run("ai_keys", "status")


@pytest.mark.django_db
def test_a_database_that_is_away_is_told(run: Run) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("connection to 10.0.0.1 refused")

    with connection.execute_wrapper(refuse), pytest.raises(CommandError, match="cannot be read"):
        run("ai_keys", "status")
