"""``manage.py ai_check``"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ai_models import service
from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError
from ai_models.snapshot import CheckState, InstanceState


class Command(BaseCommand):
    """Shows which instance can do what."""

    help = "Show provider instances and their capabilities. Ends with status 1 when an enabled instance cannot be used."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="Only this instance.")
        parser.add_argument("--live", action="store_true", help="Ask every enabled provider, instead of only reading settings.")

    def handle(self, *args: Any, name: str | None, live: bool, **options: Any) -> None:
        try:
            infos = async_to_sync(_look)(name, live)
        except AIModelsError as error:
            raise CommandError(error.message) from None
        for line in _table(infos):
            self.stdout.write(line)
        failing = [info.name for info in infos if info.enabled and _state(info) != InstanceState.READY]
        if failing:
            raise CommandError(f"Not usable: {', '.join(failing)}")


async def _look(name: str | None, live: bool) -> Sequence[service.ProviderInfo]:
    infos: Sequence[service.ProviderInfo] = await service.aproviders() if name is None else [await service.aprovider(name)]
    try:
        return [await service.acheck(info.name) if live and info.enabled else info for info in infos]
    finally:
        await service.aclose()


def _state(info: service.ProviderInfo) -> str:
    """The instance's state; a failed health check counts although calls are still let through."""
    return info.check if info.state == InstanceState.READY and info.check == CheckState.UNHEALTHY else info.state


def _table(infos: Sequence[service.ProviderInfo]) -> list[str]:
    rows = [["instance", "family", "state", *Capability]]
    for info in infos:
        title = f"{info.name} (default)" if info.default else info.name
        rows.append([title, info.family, _state(info), *map(_cell, info.capabilities)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, *(f"{info.name}: {info.message}" for info in infos if info.message)]


def _cell(capability: service.CapabilityInfo) -> str:
    if capability.available:
        return capability.default_model or "aliases"
    if not capability.supported:
        return "-"
    if not capability.configured:
        return "not configured"
    return "blocked" if capability.enabled else "off"
