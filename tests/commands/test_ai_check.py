"""``ai_check``: the table, and when it ends with an error."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from ai_models.models import ProviderCapability, ProviderInstance
from ai_models.types import Health
from tests.commands.conftest import Run
from tests.state.conftest import MakeInstance
from tests.state.vendor import Vendor

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "sk-canary-a0a9"


class Well(Vendor):
    """Calls nobody."""

    type = "well"

    def destination(self) -> None:
        return None


class Sick(Well):
    """Answers no health check well."""

    type = "sick"

    async def health_check(self) -> Health:
        return Health(healthy=False, message="It does not answer.")


@pytest.fixture(autouse=True)
def _families(vendor_families: None, settings: Settings) -> None:
    own = [f"{__name__}.{family}" for family in ("Well", "Sick")]
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": [*settings.AI_MODELS["FAMILIES"], *own]}


@pytest.fixture
def one(make_instance: MakeInstance, transactional_db: None) -> ProviderInstance:
    row = make_instance("one", "well", {"apiKey": SECRET}, is_default=True)
    ProviderCapability.objects.create(instance=row, capability="text-generation", default_model="m")
    ProviderCapability.objects.create(instance=row, capability="embeddings", aliases={"a": "e"}, enabled=False)
    return row


def failing(*arguments: str) -> tuple[str, str]:
    """What a failing run printed, and its error."""
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("ai_check", *arguments, stdout=out)
    return out.getvalue(), str(caught.value)


@pytest.mark.usefixtures("one")
def test_the_table_tells_who_can_do_what(run: Run) -> None:
    header, row = (line.split("  ") for line in run("ai_check").splitlines())
    assert header[0].strip() == "instance"
    assert [cell.strip() for cell in row if cell.strip()] == [
        "one (default)",
        "well",
        "ready",
        "m",
        "-",
        "off",
        "-",
        "-",
        "-",
        "-",
    ]


@pytest.mark.usefixtures("one")
def test_an_enabled_instance_that_cannot_work_ends_with_an_error(make_instance: MakeInstance) -> None:
    make_instance("two")
    make_instance("three", enabled=False)
    out, error = failing()
    assert "credential-missing" in out
    assert "two: Provider two has no apiKey." in out
    assert "three: Provider three is disabled. An administrator can enable it." in out
    assert error == "Not usable: two"
    assert failing("two")[1] == "Not usable: two"


@pytest.mark.usefixtures("one")
def test_one_instance_can_be_looked_at_alone(run: Run, make_instance: MakeInstance) -> None:
    make_instance("two")
    assert "two" not in run("ai_check", "one")
    with pytest.raises(CommandError, match="no provider"):
        run("ai_check", "three")


def test_a_live_check_asks_and_stores_what_it_found(run: Run, one: ProviderInstance, make_instance: MakeInstance) -> None:
    run("ai_check", "--live")
    one.refresh_from_db()
    assert one.state == "healthy"
    sick = make_instance("two", "sick", {"apiKey": SECRET})
    assert "unhealthy" not in run("ai_check")
    out, error = failing("--live")
    assert "two: It does not answer." in out
    assert error == "Not usable: two"
    sick.refresh_from_db()
    assert sick.state == "unhealthy"
    assert failing()[1] == "Not usable: two"
    assert SECRET not in out
