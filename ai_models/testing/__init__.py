"""What other packages need to test against this app: models with scripted answers, a client of the websocket, and a kit for
family authors. Not imported by the app itself.
"""

from ai_models.testing.scripted import Asked, Scripted, ScriptedModels, scripted_models

__all__ = ["Asked", "Scripted", "ScriptedModels", "scripted_models"]
