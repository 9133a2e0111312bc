"""Settings of the tests. ``DATABASE_URL`` and ``REDIS_URL`` choose the real parts; without them a SQLite file and memory."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ

from ai_models.encryption import generate_key

env = environ.Env()

BASE_DIR = Path(tempfile.mkdtemp(prefix="ai-models-tests-"))
atexit.register(shutil.rmtree, BASE_DIR, ignore_errors=True)

SECRET_KEY = env.str("SECRET_KEY", default="a key for tests that protects nothing")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.urls"
USE_TZ = True
STATIC_URL = "static/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "django_tasks_db",
    "tests.emptying",
    "ai_models",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES: dict[str, Any] = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
# What a test writes need not outlive the machine.
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    DATABASES["default"].setdefault("OPTIONS", {})["options"] = "-c synchronous_commit=off"
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, so that threads and processes can connect to it too.
    DATABASES["default"]["TEST"] = {"NAME": str(BASE_DIR / "test.sqlite3")}
    written = "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY;"
    DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": written}

REDIS_DATABASES = 16


def redis_url(server: str) -> str:
    """A database of this process's own on a Redis server, since some tests empty it. Processes that it starts share it."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return urlsplit(server)._replace(path=f"/{REDIS_DATABASES - 1 - number % REDIS_DATABASES}").geturl()


if redis_server := env.str("REDIS_URL", default=""):
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": redis_url(redis_server),
            "OPTIONS": {"serializer": "ai_models.cache.JSONSerializer"},
        }
    }

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["knox.auth.TokenAuthentication", "rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer"}

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

AI_MODELS: dict[str, Any] = {
    "ENCRYPTION_KEYS": env.list("AI_MODELS_ENCRYPTION_KEYS", default=[generate_key()]),
    "REVISION_POLL_SECONDS": 0.05,
    # Tests script failure after failure; those of the circuit breaker switch it on.
    "BREAKER_FAILURES": 0,
}
