"""Stored ciphertexts: how they stand to the ring, and moving them to another key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from ai_models import config, store
from ai_models.encryption import KeyRing, generate_key, key_id
from ai_models.facts import stored_revision
from ai_models.keyring import DAMAGED, census, ciphertexts, configured_keys, key_ring, rotate, sealed_credentials
from ai_models.models import ProviderInstance, bump_revision
from ai_models.seeding import seed as seed_rows
from tests.conftest import Seed
from tests.state.conftest import MakeInstance
from tests.state.processes import at_once

SetRing = Callable[..., None]
SECRET = "sk-canary-c0de"


def key_ids() -> set[str | None]:
    return {key_id(ciphertext) for row in ProviderInstance.objects.all() for _, ciphertext in ciphertexts(row)}


@pytest.fixture
def three(make_instance: MakeInstance) -> list[ProviderInstance]:
    return [make_instance(name, secrets={"apiKey": SECRET, "headers": "{}"}) for name in ("a", "b", "c")]


@pytest.fixture
def new_ring(three: list[ProviderInstance], set_ring: SetRing) -> KeyRing:
    """A new key first, the old one behind it."""
    set_ring(generate_key(), *configured_keys())
    return key_ring()


def test_rotation_moves_everything_to_the_first_key(new_ring: KeyRing, set_ring: SetRing) -> None:
    assert {item.credential for item in store.current().instances.values()} == {"ok"}
    assert rotate(new_ring).changed == ["a", "b", "c"]
    assert key_ids() == {new_ring.ids[0]}
    set_ring(configured_keys()[0])
    assert {item.credential for item in store.current().instances.values()} == {"ok"}
    assert store.open_connection(store.current().instances["a"]).secrets["apiKey"].reveal() == SECRET


def test_rotation_raises_the_revision_for_each_changed_row_and_then_rests(new_ring: KeyRing) -> None:
    before = stored_revision()
    rotate(new_ring)
    assert stored_revision() == before + 3
    assert rotate(new_ring).changed == []
    assert stored_revision() == before + 3


@pytest.mark.django_db(transaction=True)
def test_processes_that_rotate_at_once_change_each_row_once_while_calls_go_on(
    make_instance: MakeInstance, set_ring: SetRing
) -> None:
    names = [f"number{number}" for number in range(12)]
    for name in names:
        make_instance(name, secrets={"apiKey": SECRET})
    set_ring(generate_key(), *configured_keys())
    before, over, opened = stored_revision(), threading.Event(), []

    def call() -> None:
        try:
            while not over.is_set() or not opened:
                found = store.current()
                opened.extend(store.open_connection(found.instances[name]).secrets["apiKey"].reveal() for name in names)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(call) for _ in range(2)]
        try:
            imports = "from ai_models.keyring import key_ring, rotate"
            told = at_once(imports, "print(*rotate(key_ring()).changed)", 4)
        finally:
            over.set()
        for future in calls:
            future.result(60)
    store.stop_polling()
    assert sorted(" ".join(told).split()) == sorted(names)
    assert key_ids() == {key_ring().ids[0]}
    assert stored_revision() == before + len(names)
    assert set(opened) == {SECRET}


def test_rotation_takes_the_seals_too(seed: Seed, set_ring: SetRing, db: None) -> None:
    text = f'{{"ai": {{"providers": {{"one": {{"type": "vendor", "apiKey": "{SECRET}"}}}}}}}}'
    seed(text)
    set_ring(generate_key(), *configured_keys())
    rotate(key_ring())
    set_ring(configured_keys()[0])
    assert str(seed_rows(config.current())) == ""
    assert key_ids() == {key_ring().ids[0]}


def test_rotation_that_was_cut_off_goes_on_where_it_was(new_ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """Stands for the end of the process."""

    save = ProviderInstance.save

    def save_or_die(row: ProviderInstance, *args: Any, **kwargs: Any) -> None:
        save(row, *args, **kwargs)
        if row.name == "b":
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ProviderInstance, "save", save_or_die)
        with pytest.raises(Killed):
            rotate(new_ring)
    assert census(new_ring).by_key == {new_ring.ids[0]: 2, new_ring.ids[1]: 4}
    assert not census(new_ring).closed
    assert rotate(new_ring).changed == ["b", "c"]
    assert key_ids() == {new_ring.ids[0]}


@pytest.mark.parametrize("damage", [{"apiKey": "garbage"}, {"apiKey": ""}, {"apiKey": None}, ["a"], "text"])
def test_rotation_leaves_what_does_not_open_and_tells_it(new_ring: KeyRing, damage: Any) -> None:
    bump_revision()
    ProviderInstance.objects.filter(name="b").update(credentials=damage)
    done = rotate(new_ring)
    assert done.changed == ["a", "c"]
    assert {name for name, _ in done.closed} == {"b"}
    assert ProviderInstance.objects.get(name="b").credentials == damage


def test_rotation_of_one_row_keeps_the_damaged_part_beside_the_sound_one(new_ring: KeyRing) -> None:
    row = ProviderInstance.objects.get(name="b")
    row.credentials["headers"] = row.credentials["apiKey"]
    row.save()
    done = rotate(new_ring)
    moved = ProviderInstance.objects.get(name="b").credentials
    assert done.closed == [("b", "headers")]
    assert key_id(moved["apiKey"]) == new_ring.ids[0]
    assert moved["headers"] == row.credentials["headers"]


def test_rotation_does_not_bring_a_deleted_row_back(new_ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    encrypt = KeyRing.encrypt

    def encrypt_and_delete(ring: KeyRing, plaintext: str, *, row: str, name: str) -> str:
        ProviderInstance.objects.filter(name="c").delete()
        return encrypt(ring, plaintext, row=row, name=name)

    with monkeypatch.context() as patch:
        patch.setattr(KeyRing, "encrypt", encrypt_and_delete)
        assert rotate(new_ring).changed == ["a", "b"]
    assert not ProviderInstance.objects.filter(name="c").exists()


def test_rotation_moves_the_seal_of_a_row_whose_credentials_are_damaged(seed: Seed, set_ring: SetRing, db: None) -> None:
    seed(f'{{"ai": {{"providers": {{"one": {{"type": "vendor", "apiKey": "{SECRET}"}}}}}}}}')
    set_ring(generate_key(), *configured_keys())
    bump_revision()
    ProviderInstance.objects.update(credentials=[2])
    done = rotate(key_ring())
    assert (done.changed, done.closed) == (["one"], [("one", "credentials")])
    row = ProviderInstance.objects.get()
    assert (row.credentials, key_id(row.declaration_seal)) == ([2], key_ring().ids[0])


def test_rotation_records_each_changed_row_in_its_transaction(new_ring: KeyRing) -> None:
    bump_revision()
    ProviderInstance.objects.filter(name="b").update(credentials={})
    told: list[str] = []

    def record(row: ProviderInstance) -> None:
        told.append(row.name)
        if row.name == "c":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate(new_ring, record)
    assert told == ["a", "c"]
    assert census(new_ring).by_key == {new_ring.ids[0]: 2, new_ring.ids[1]: 2}


@pytest.mark.usefixtures("three")
def test_an_empty_ring_rotates_nothing() -> None:
    done = rotate(KeyRing([]))
    assert (done.changed, len(done.closed)) == ([], 6)


def test_a_census_counts_by_key(new_ring: KeyRing) -> None:
    old = KeyRing(configured_keys()[1:])
    bump_revision()
    ProviderInstance.objects.filter(name="b").update(credentials={"apiKey": SECRET})
    found = census(KeyRing(configured_keys()[:1]))
    assert (found.total, found.by_key) == (5, {old.ids[0]: 4, None: 1})
    assert found.rows_by_key == {old.ids[0]: 2, None: 1}
    assert found.closed_rows == {row.name: row.pk for row in ProviderInstance.objects.all()}
    assert len(found.closed) == 5
    assert found.closed_keys == set(old.ids)
    assert census(old).closed == [("b", "apiKey")]


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ({"a": "x"}, {"a": "x"}),
        ({"a": None}, {"a": DAMAGED}),
        ([], {"credentials": DAMAGED}),
        ("x", {"credentials": DAMAGED}),
        ({}, {}),
    ],
)
def test_whatever_is_stored_is_read_as_ciphertexts(stored: Any, read: dict[str, str]) -> None:
    assert sealed_credentials(stored) == read
