"""The circuit breaker's states, with a clock that a test moves."""

from __future__ import annotations

import pytest

from ai_models.breaker import WINDOW, Breaker


class Scene:
    """A breaker that opens after 3 failures in a row, for 10 seconds at first and 30 at most, without chance.

    Attributes:
        now: seconds.
        tickets: of the calls that were made and have not ended.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.tickets: list[int] = []
        self.breaker = Breaker(3, 10.0, 30.0, clock=lambda: self.now, chance=lambda: 0.5)

    def play(self, steps: str) -> str:
        """``c`` a call begins, ``s`` the oldest succeeds, ``f`` fails, ``a`` is abandoned; ``S F`` are whole calls;
        ``!`` the provider is known to answer; a digit: so many times ten seconds pass. What happened to each call: ``+-``."""
        told = ""
        for step in steps:
            if step in "cSF":
                ticket = self.breaker.enter()
                told += "-" if ticket is None else "+"
                if ticket is not None:
                    self.tickets.insert(0 if step in "SF" else len(self.tickets), ticket)
            if step.lower() in "sf" and (step.islower() or told[-1] == "+"):
                ticket = self.tickets.pop(0)
                (self.breaker.succeeded if step.lower() == "s" else self.breaker.failed)(ticket)
            elif step == "a":
                self.breaker.abandoned(self.tickets.pop(0))
            elif step == "!":
                self.breaker.close()
            elif step.isdigit():
                self.now += 10 * int(step)
        return told


@pytest.mark.parametrize(
    ("steps", "calls", "circuit"),
    [
        ("", "", "closed"),
        ("FF", "++", "closed"),
        ("FFF1c1c", "+++++", "half-open"),  # a probe that lasts keeps nobody out
        ("FFF1c1csc", "+++++-", "half-open"),
        ("FFF1c1css", "+++++", "closed"),
        ("FFF", "+++", "open"),
        ("FFSFF", "+++++", "closed"),
        ("FFFc", "+++-", "open"),
        ("FFF1", "+++", "half-open"),
        ("FFF1cc", "++++-", "half-open"),
        ("FFF1cs", "++++", "closed"),
        ("FFF1csFFS", "+++++++", "closed"),
        ("FFF1cf", "++++", "open"),
        ("FFF1cf1c", "++++-", "open"),
        ("FFF1cf2cs", "+++++", "closed"),
        ("FFF1cf2cf2c", "+++++-", "open"),
        ("FFF1cf2cf3cf3cs", "+++++++", "closed"),  # 40 seconds would be longer than the longest pause
        ("FFF1ca", "++++", "half-open"),
        ("FFF1cacs", "+++++", "closed"),
        ("FFF!S", "++++", "closed"),
        ("FFF1c!s", "++++", "closed"),
        # Calls that began before it opened tell nothing about the time after.
        ("ccFFFs", "+++++", "open"),
        ("cccFFF1Sfff", "+++++++", "closed"),
        ("cccFFF1cfff", "+++++++", "half-open"),
    ],
)
def test_transitions(steps: str, calls: str, circuit: str) -> None:
    scene = Scene()
    assert (scene.play(steps), scene.breaker.circuit) == (calls, circuit)


def test_half_of_many_calls_open_it_too() -> None:
    scene = Scene()
    scene.play("FS" * (WINDOW // 2 - 1) + "F" * 1)
    assert scene.breaker.circuit == "open"


def test_fewer_than_half_do_not() -> None:
    scene = Scene()
    scene.play("FSS" * WINDOW)
    assert scene.breaker.circuit == "closed"


def test_it_tells_when_a_call_has_a_chance() -> None:
    scene = Scene()
    assert scene.breaker.refusal() is None
    scene.play("FFF")
    scene.now += 4
    assert scene.breaker.refusal() == 6.0
    scene.now += 6
    assert scene.breaker.refusal() is None
    scene.play("c")
    assert scene.breaker.refusal() == 10.0


def test_a_provider_that_asks_for_a_longer_pause_has_it_within_the_bound() -> None:
    for asked, left in ((1.0, 10.0), (20.0, 20.0), (3600.0, 30.0)):
        scene = Scene()
        scene.play("FF")
        ticket = scene.breaker.enter()
        assert ticket is not None
        scene.breaker.failed(ticket, asked)
        assert scene.breaker.refusal() == left


@pytest.mark.parametrize(("chance", "left"), [(0.0, 8.0), (1.0, 12.0)])
def test_pauses_vary_so_that_processes_do_not_probe_at_once(chance: float, left: float) -> None:
    breaker = Breaker(1, 10.0, 30.0, clock=lambda: 0.0, chance=lambda: chance)
    ticket = breaker.enter()
    assert ticket is not None
    breaker.failed(ticket)
    assert breaker.refusal() == pytest.approx(left)


def test_zero_failures_never_open_it() -> None:
    breaker = Breaker(0, 10.0, 30.0)
    for _ in range(100):
        ticket = breaker.enter()
        assert ticket is not None
        breaker.failed(ticket)
    assert breaker.circuit == "closed"
