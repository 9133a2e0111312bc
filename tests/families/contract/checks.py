"""A check of the instance, which costs nothing."""

from __future__ import annotations

from typing import ClassVar

from ai_models import service
from tests.families.contract.base import CANARY, NAME, Contract
from tests.upstreams import faults
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream


class Checks(Contract):
    """What is asked, and what each answer means.

    Attributes:
        check_target: request target of the free call, below ``base_path``.
        check_lists: whether its answer lists models.
        check_tells_permission: whether the vendor tells a credential that may not do this from one that it does not take.
    """

    check_target: ClassVar[str]
    check_lists: ClassVar[bool] = True
    check_tells_permission: ClassVar[bool] = True

    def check_reply(self, *models: str) -> Reply:
        """The answer to the free call, which lists these models."""
        raise NotImplementedError

    def check_forbidden(self) -> Reply:
        """The answer to a credential that may not make the call."""
        return self.vendor.error(403, f"The key {CANARY} may not do this.")

    async def checked(self, *capabilities: str) -> dict[str, service.Rung]:
        """The rungs of a check, those of calls by their capability; none tells what must stay here."""
        rungs = [rung async for rung in service.aclimb(NAME, capabilities=capabilities)]
        assert CANARY not in repr(rungs)
        assert "127.0.0.1" not in repr(rungs)
        return {rung.capability or rung.rung: rung for rung in rungs}

    async def test_a_check_asks_for_free(self, upstream: Upstream) -> None:
        upstream.script(self.check_reply(*self.configured().values()))
        info = await service.acheck(NAME)
        assert (info.state, info.check, info.latency_ms is not None) == ("ready", "healthy", True)
        request = upstream.request
        assert (request.method, request.target, request.body) == ("GET", self.base_path + self.check_target, b"")
        self.check_credential(request)
        assert CANARY not in request.target

    async def test_every_rung_of_a_check(self, upstream: Upstream) -> None:
        upstream.script(self.check_reply(*self.configured().values()))
        assert {name: rung.state for name, rung in (await self.checked()).items()} == {
            "configuration": "passed",
            "credential": "passed",
            "destination": "passed",
            "authentication": "passed",
            "models": "passed" if self.check_lists else "skipped",
        }

    async def test_a_check_finds_a_credential_refused(self, upstream: Upstream) -> None:
        upstream.always(self.vendor.error(401, f"The key {CANARY} is not known."))
        rungs = await self.checked()
        assert (rungs["authentication"].state, rungs["models"].state) == ("failed", "skipped")
        info = await service.aprovider(NAME)
        assert (info.state, info.check) == ("credential-rejected", "credential-rejected")
        assert info.message == rungs["authentication"].message

    async def test_a_credential_that_may_not_list_is_not_refused(self, upstream: Upstream) -> None:
        upstream.always(self.check_forbidden())
        rungs = await self.checked()
        state, check = ("warning", "healthy") if self.check_tells_permission else ("failed", "credential-rejected")
        assert (rungs["authentication"].state, rungs["models"].state) == (state, "skipped")
        info = await service.aprovider(NAME)
        assert (info.check, info.message) == (check, rungs["authentication"].message)

    async def test_models_that_are_not_listed_are_warned_of(self, upstream: Upstream) -> None:
        if self.check_lists:
            upstream.script(self.check_reply("another-model"))
            rung = (await self.checked())["models"]
            assert rung.state == "warning"
            for capability, model in self.configured().items():
                assert f"{model} ({capability})" in rung.message
            info = await service.aprovider(NAME)
            assert (info.check, info.message) == ("healthy", rung.message)

    async def test_nothing_is_at_the_address(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.error(404))
        rung = (await self.checked())["authentication"]
        if self.check_lists:
            assert (rung.state, "baseURL" in rung.message) == ("failed", True)
        else:
            assert (rung.state, rung.latency_ms) == ("skipped", None)

    async def test_another_server_is_at_the_address(self, upstream: Upstream) -> None:
        upstream.script(faults.html_page())
        rung = (await self.checked())["authentication"]
        assert (rung.state, rung.latency_ms is not None) == ("failed", True)
        assert (await service.aprovider(NAME)).check == "unhealthy"

    async def test_a_check_makes_a_call_when_it_is_asked_to(self, upstream: Upstream) -> None:
        upstream.script(self.check_reply(self.model), self.vendor.text("yes"))
        rung = (await self.checked("text-generation"))["text-generation"]
        assert (rung.state, rung.message) == ("passed", f"{self.model} answered.")
        asked = upstream.requests[-1]
        assert (asked.method, asked.target) == ("POST", self.base_path + self.text_path)
        self.check_credential(asked)

    async def test_a_call_of_a_check_is_made_once(self, upstream: Upstream) -> None:
        upstream.script(self.check_reply(self.model)).always(self.vendor.error(500, CANARY))
        assert (await self.checked("text-generation"))["text-generation"].state == "failed"
        assert len(upstream.requests) == 2
