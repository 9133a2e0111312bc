"""The Django admin: what is configured, what works, and the switches. Every page checks the permissions that Django has."""

from ai_models.admin.providers import ProviderInstanceAdmin

__all__ = ["ProviderInstanceAdmin"]
