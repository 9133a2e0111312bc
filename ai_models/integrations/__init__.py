"""Adapters that give the models of ``ai_models.resolve_model`` to agent runtimes. Each needs the extra of its name."""
