"""Credentials at rest: what opens, what never does, and what is never told."""

from __future__ import annotations

import base64
import copy
import logging
import pickle

import pytest

from ai_models.encryption import CannotDecrypt, InvalidKey, KeyRing, Secret, generate_key, key_id

PLAINTEXT = "sk-canary-5f1d"


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing([generate_key()])


@pytest.fixture
def sealed(ring: KeyRing) -> str:
    return ring.encrypt(PLAINTEXT, row="row", name="apiKey")


def test_what_was_encrypted_opens_for_its_own_row_and_field(ring: KeyRing, sealed: str) -> None:
    assert ring.decrypt(sealed, row="row", name="apiKey").reveal() == PLAINTEXT


@pytest.mark.parametrize(("row", "name"), [("other", "apiKey"), ("row", "headers"), ("ro", "wapiKey"), ("rowapiKey", "")])
def test_a_ciphertext_copied_to_another_row_or_field_does_not_open(ring: KeyRing, sealed: str, row: str, name: str) -> None:
    with pytest.raises(CannotDecrypt):
        ring.decrypt(sealed, row=row, name=name)


def test_no_flipped_bit_goes_unnoticed(ring: KeyRing, sealed: str) -> None:
    version, identity, body = sealed.split(".")
    raw = base64.urlsafe_b64decode(body)
    for position in range(len(raw) * 8):
        damaged = bytearray(raw)
        damaged[position // 8] ^= 1 << (position % 8)
        with pytest.raises(CannotDecrypt):
            ring.decrypt(f"{version}.{identity}.{base64.urlsafe_b64encode(damaged).decode()}", row="row", name="apiKey")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: PLAINTEXT,
        lambda text: text[:-8],
        lambda text: text[:20],
        lambda text: text.replace("v1.", "v2."),
        lambda text: text.split(".", 2)[2],
        lambda text: text + ".",
        lambda text: "v1..",
        lambda text: "v1." + text.split(".")[1] + ".",
        lambda text: "v1." + text.split(".")[1] + ".%%%%",
        lambda text: "v1." + text.split(".")[1] + ".é",
        lambda text: "v1.00000000." + text.split(".")[2],
        lambda text: None,
        lambda text: 5,
        lambda text: ["v1"],
    ],
)
def test_every_damage_gives_one_and_the_same_error(ring: KeyRing, sealed: str, damage: object) -> None:
    with pytest.raises(CannotDecrypt) as caught:
        ring.decrypt(damage(sealed), row="row", name="apiKey")  # type: ignore[operator]
    assert str(caught.value) == "The credential cannot be decrypted with the configured keys."
    assert caught.value.__cause__ is None


def test_equal_secrets_have_different_ciphertexts(ring: KeyRing, sealed: str) -> None:
    assert ring.encrypt(PLAINTEXT, row="row", name="apiKey") != sealed


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    old, new = generate_key(), generate_key()
    under_old = KeyRing([old]).encrypt(PLAINTEXT, row="row", name="apiKey")
    ring = KeyRing([new, old])
    under_new = ring.encrypt(PLAINTEXT, row="row", name="apiKey")
    assert key_id(under_new) == ring.ids[0] != key_id(under_old) == ring.ids[1]
    assert ring.decrypt(under_old, row="row", name="apiKey") == ring.decrypt(under_new, row="row", name="apiKey")
    with pytest.raises(CannotDecrypt):
        KeyRing([new]).decrypt(under_old, row="row", name="apiKey")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "is not 32 bytes"),
        ("short", "is not 32 bytes"),
        (base64.b64encode(bytes(16)).decode(), "is not 32 bytes"),
        ("change-me-change-me-change-me-change-me-ch", "is not 32 bytes"),
        (base64.b64encode(b"a" * 32).decode(), "is a placeholder"),
        ("ключ" * 11, "is not 32 bytes"),
    ],
)
def test_a_bad_key_is_refused_and_not_repeated(key: str, said: str) -> None:
    with pytest.raises(InvalidKey, match=said) as caught:
        KeyRing([generate_key(), key])
    assert "key 2" in str(caught.value)
    assert not key or key not in str(caught.value)


def test_a_key_listed_twice_is_refused() -> None:
    key = generate_key()
    with pytest.raises(InvalidKey, match="key 2 is in the ring twice"):
        KeyRing([key, f" {key}\n"])


def test_an_empty_ring_opens_nothing_and_refuses_to_encrypt(sealed: str) -> None:
    with pytest.raises(CannotDecrypt):
        KeyRing([]).decrypt(sealed, row="row", name="apiKey")
    with pytest.raises(InvalidKey, match="ai_keys generate"):
        KeyRing([]).encrypt(PLAINTEXT, row="row", name="apiKey")


def test_a_key_id_tells_nothing_about_its_key() -> None:
    key = generate_key()
    identity = KeyRing([key]).ids[0]
    assert identity not in key
    assert identity not in base64.urlsafe_b64decode(key).hex()


@pytest.mark.parametrize("text", ["", "v1.abc", PLAINTEXT, "v2.abc.def", None])
def test_what_is_no_ciphertext_has_no_key_id(text: str) -> None:
    assert key_id(text) is None


def test_a_secret_does_not_show_itself(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(PLAINTEXT)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("tests").debug("%s %r", secret, {"key": secret})
    shown = [str(secret), repr(secret), f"{secret}", repr([secret]), "%s" % secret, caplog.text]  # noqa: UP031
    assert not [text for text in shown if PLAINTEXT in text]
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
