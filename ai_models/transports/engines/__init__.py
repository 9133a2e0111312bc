"""Engines in native code, each call in a process of its own.

Fed with the wrong text, such an engine may end its whole process: eSpeak NG 1.52 does so with some symbols. It may also
hold Python's lock while it works, as PocketSphinx does. In a process of its own it does neither to the server, it is
stopped the moment the caller gives up, and it sees nothing of the server's memory and environment.

:mod:`~ai_models.transports.engines.parent` starts the process and speaks with it; the other modules run inside.
"""
