"""What becomes of a field of a request: said where the field is declared, and carried out here for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Required, get_args, get_origin, get_type_hints

from pydantic import BeforeValidator, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ai_models.types import JSON_CONFIG

CONFIG = ConfigDict({**JSON_CONFIG, "alias_generator": None})
"""How every type of this edge is validated. Its fields have OpenAI's names."""


@dataclass(frozen=True, slots=True)
class Setting:
    """It goes to the service.

    Attributes:
        name: what the service calls it, where that differs.
        convert: makes the service's value of OpenAI's.
        neutral: values that say no more than leaving the field out.
    """

    name: str | None = None
    convert: Callable[[Any], Any] | None = None
    neutral: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """It goes to vendors whose family takes a setting of this name, and is reported as left out by the others.

    Attributes:
        neutral: values that say no more than leaving the field out.
    """

    neutral: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Ignored:
    """It changes nothing here."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It would change the answer, and cannot be honoured.

    Attributes:
        reason: what is told, and what to do instead.
        neutral: values that are taken, since they ask for nothing.
    """

    reason: str
    neutral: tuple[Any, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any) -> Any:
        if value not in self.neutral:
            raise PydanticCustomError("refused", "{reason}", {"reason": self.reason})
        return value


Role = Setting | Option | Ignored | Refused


@dataclass(slots=True)
class Asked:
    """A request in the service's words.

    Attributes:
        fields: the service's arguments, but for provider and model.
        options: vendors' settings by OpenAI's names.
        names: OpenAI's names of the arguments that are called otherwise there.
        left_out: what no family could be told, by OpenAI's names.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)


def ask(kind: Any, body: Mapping[str, Any]) -> Asked:
    """What a validated request asks the service for. Fields that have no role are left to the endpoint."""
    asked, declared = Asked(), roles(kind)
    for name, value in body.items():
        match declared[name]:
            case Setting() as setting if value not in setting.neutral:
                ours = setting.name or name
                asked.fields[ours] = setting.convert(value) if setting.convert else value
                if ours != name:
                    asked.names[ours] = name
            case Option(neutral=neutral) if value not in neutral:
                asked.options[name] = value
    return asked


@cache
def roles(kind: Any) -> Mapping[str, Role | None]:
    """The role of each field of a request type; ``None`` for those that the endpoint itself reads."""
    return {name: _role(hint) for name, hint in get_type_hints(kind, include_extras=True).items()}


def _role(hint: Any) -> Role | None:
    if get_origin(hint) is Required:
        (hint,) = get_args(hint)
    return next((item for item in getattr(hint, "__metadata__", ()) if isinstance(item, Role)), None)


def _given(value: Any) -> Any:
    if isinstance(value, dict) and None in value.values():
        return {name: inner for name, inner in value.items() if inner is not None}
    return value


GIVEN = BeforeValidator(_given)
"""Marks an object inside of a request whose ``null`` fields count as absent, as those of the request do."""
