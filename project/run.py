"""What ``make run`` does: prepare a fresh machine, serve, and say how to use it. Run again, it keeps what is there."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urljoin

import django
import uvicorn
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connections
from django.urls import reverse

from ai_models.conf import conf
from ai_models.encryption import generate_key

HOST = "127.0.0.1"
ENV_FILE = Path(__file__).parent.parent / ".env"
ENV_KEYS = {"SECRET_KEY": lambda: secrets.token_urlsafe(50), "AI_MODELS_ENCRYPTION_KEYS": generate_key}
SERVICE_ACCOUNT = "make-run"
DRAIN_SECONDS = 30
UNREAD_SECONDS = 60
WATCH_SECONDS = 0.5
RESTART_SECONDS = 2
TOKEN_DAYS = 30


def main() -> None:
    """Prepare and serve until a signal ends it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    listener = reserve(os.environ.get("PORT") or "8000")
    base = f"http://{HOST}:{listener.getsockname()[1]}"
    write_keys(ENV_FILE, os.environ)
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("ai_seed")
    banner = instructions(base, admin_account(), api_token())
    connections.close_all()
    with contextlib.suppress(KeyboardInterrupt), Worker():
        Server(server_config(), banner).run(sockets=[listener])


def server_config() -> uvicorn.Config:
    """How uvicorn serves the host."""
    return uvicorn.Config(
        "project.asgi:application",
        log_config=None,
        server_header=False,
        # In service each call has its line already, and a proxy logs requests far cheaper.
        access_log=settings.DEBUG,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        # The cheaper one of uvicorn's two on the same library; older releases take the other one by default.
        ws="websockets-sansio",
        ws_max_size=conf().WS_MAX_MESSAGE_BYTES,
        # Frames are a few bytes each; compressing them costs more memory for each socket than all else together.
        ws_per_message_deflate=False,
    )


class Worker:
    """The process that makes videos. It is started again when it dies, and ends with the server."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="worker", daemon=True)

    def __enter__(self) -> None:
        self._keeper.start()

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._keeper.join()

    def _keep(self) -> None:
        command = [sys.executable, "manage.py", "ai_worker", "--parent", str(os.getpid())]
        while not self._ending.is_set():
            # In a session of its own, so that Ctrl-C reaches it through this process alone.
            process = subprocess.Popen(command, cwd=ENV_FILE.parent, start_new_session=True)  # noqa: S603
            while process.poll() is None and not self._ending.wait(WATCH_SECONDS):
                pass
            process.terminate()
            process.wait()
            self._ending.wait(RESTART_SECONDS)


class Server(uvicorn.Server):
    """uvicorn, which prints how to use the server once it takes requests."""

    def __init__(self, config: uvicorn.Config, banner: str) -> None:
        super().__init__(config)
        self.banner = banner

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self.banner, flush=True)


def reserve(port: str) -> socket.socket:
    """A socket bound to the port, so that nobody else takes it meanwhile. It refuses connections until uvicorn listens."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A client that takes nothing holds its connection no longer than this, whatever the server still has for it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
    try:
        listener.bind((HOST, int(port)))
    except (OSError, OverflowError, ValueError) as error:
        listener.close()
        raise CommandError(f"Cannot serve on port {port} ({error}). Choose another: make run PORT=8001") from None
    return listener


def write_keys(path: Path, environment: Mapping[str, str]) -> None:
    """Add the keys that neither the environment nor the file has. A key once written is never changed."""
    text = path.read_text() if path.exists() else ""
    known = {*environment, *re.findall(r"^(?:export )?(\w+)=", text, re.MULTILINE)}
    missing = [name for name in ENV_KEYS if name not in known]
    if not missing:
        return
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:
        path.chmod(0o600)
        if text and not text.endswith("\n"):
            file.write("\n")
        file.writelines(f"{name}={ENV_KEYS[name]()}\n" for name in missing)


def admin_account() -> str:
    """Make the administrator if there is none of that name; what to tell about its password."""
    users = get_user_model()._default_manager
    name = os.environ.get("DJANGO_SUPERUSER_USERNAME") or "admin"
    if users.filter(username=name).exists():
        return f"{name} (it was there already; its password is unchanged)"
    chosen = os.environ.get("DJANGO_SUPERUSER_PASSWORD")
    password = chosen or secrets.token_urlsafe(12)
    users.create_superuser(name, email=os.environ.get("DJANGO_SUPERUSER_EMAIL", ""), password=password)
    return f"{name}, password from DJANGO_SUPERUSER_PASSWORD" if chosen else f"{name}, password {password}"


def api_token() -> str:
    """A new token of the service account: only hashes are kept, so an earlier one cannot be shown again. It expires, since
    each start makes another."""
    output = io.StringIO()
    call_command("ai_token", SERVICE_ACCOUNT, days=TOKEN_DAYS, stdout=output)
    return output.getvalue().splitlines()[-1]


def instructions(base: str, admin: str, token: str) -> str:
    """Addresses, credentials and a call that works."""
    from project.settings import REST_KNOX  # not before .env has its keys

    docs = base + reverse("ai-docs")
    headers = f"Authorization: {REST_KNOX['AUTH_HEADER_PREFIX']} {token}", "Content-Type: application/json"
    body = json.dumps({"prompt": "Why is the sky blue?", "maxOutputTokens": 60})
    call = ["curl", "-s", urljoin(docs, "generate-text"), "-H", headers[0], "-H", headers[1], "-d", body]
    return f"""
  Site       {base}/
  API docs   {docs}
  OpenAI     {urljoin(docs, "../openai/v1")} (base URL for OpenAI's clients; the token is the key)
  Websocket  {base.replace("http", "ws", 1)}/ws/ai/v1/
  Admin      {base}{reverse("admin:index")}
             user {admin}
  API token  {token}
             of the service account {SERVICE_ACCOUNT}, for {TOKEN_DAYS} days

{shlex.join(call)}
"""


if __name__ == "__main__":
    try:
        main()
    except CommandError as error:
        sys.exit(str(error))
