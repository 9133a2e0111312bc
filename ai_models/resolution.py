"""Which one? From what a request names to one instance and one model, by four rules.

=====================  ==============================================================
request names          result
=====================  ==============================================================
provider and model     exactly that model or alias on that instance
provider               that instance's default model for the capability
nothing                the default provider's default model for the capability
model                  that model or alias within the default provider, never elsewhere
=====================  ==============================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ai_models.capabilities import Capability
from ai_models.exceptions import CapabilityNotEnabled, InvalidRequest, ProviderNotFound
from ai_models.snapshot import InstanceFacts, Snapshot

NO_PROVIDER = "There is no provider instance of this name. Names are those below ai.providers; their case counts."

Rule = Literal["provider-and-model", "provider-only", "neither", "model-only"]


@dataclass(slots=True)
class Target:
    """What a request means.

    Attributes:
        facts: the instance.
        model: the model by the provider's own name; ``None`` when nothing names one.
        alias: the alias that the model came from.
        rule: the rule that decided.
    """

    facts: InstanceFacts
    capability: Capability
    model: str | None
    alias: str | None
    rule: Rule

    def require_model(self) -> str:
        """The model.

        Raises:
            CapabilityNotEnabled: no model was named and the instance has no default.
        """
        if self.model is None:
            path = f"ai.providers.{self.facts.name}.defaultModels.{self.capability}"
            raise CapabilityNotEnabled(
                f"Provider {self.facts.name} has no default model for {self.capability}. Name a model, or set {path}.",
                config_path=path,
            )
        return self.model


def resolve(snapshot: Snapshot, capability: Capability, provider: str | None, model: str | None) -> Target:
    """Apply the rules.

    Raises:
        ProviderNotFound: the named instance does not exist, or none is named and there is no default.
    """
    facts = _instance(snapshot, provider)
    configured = facts.capabilities.get(capability)
    name = model or (configured.default_model if configured else None)
    if configured and name and name in configured.aliases:
        return Target(facts, capability, configured.aliases[name], name, _rule(provider, model))
    return Target(facts, capability, name, None, _rule(provider, model))


def name_for_objects(snapshot: Snapshot, provider: str | None, model: str) -> str:
    """The name by which structured output is asked of a model that is named for text.

    An alias that structured output does not have stands for the model that it means.
    """
    name = snapshot.default if provider is None else provider
    if name not in snapshot.instances:
        return model
    text, objects = (resolve(snapshot, one, name, model) for one in (Capability.TEXT_GENERATION, Capability.STRUCTURED_OUTPUT))
    return model if text.alias is None or text.model is None or objects.alias is not None else text.model


def parse_capability(name: str) -> Capability:
    """A capability by its public name.

    Raises:
        InvalidRequest: there is none of that name.
    """
    try:
        return Capability(name)
    except ValueError:
        raise InvalidRequest(f"capability: there is no such capability; there are {', '.join(Capability)}") from None


def _rule(provider: str | None, model: str | None) -> Rule:
    if provider is not None:
        return "provider-only" if model is None else "provider-and-model"
    return "neither" if model is None else "model-only"


def _instance(snapshot: Snapshot, provider: str | None) -> InstanceFacts:
    name = snapshot.default if provider is None else provider
    if name is None:
        raise ProviderNotFound(
            "The request names no provider and no default provider is set.", config_path="ai.defaultProvider", remedy="admin"
        )
    try:
        return snapshot.instances[name]
    except KeyError:
        raise ProviderNotFound(NO_PROVIDER) from None
