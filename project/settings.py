"""Settings of the host project. What differs between machines comes from the environment or from ``.env``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import environ

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(BASE_DIR / ".env")

SECRET_KEY = env.str("SECRET_KEY")
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "channels",
    "knox",
    "django_tasks_db",
    "ai_models",
]

# Every middleware here is async: a single sync one would put each request, and each stream, on a thread.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
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

# --- storage --------------------------------------------------------------------------------------------------------

DATABASE_OPTIONS: dict[str, dict[str, Any]] = {
    "django.db.backends.sqlite3": {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    },
    # Under ASGI connections are pooled, never kept per thread. A database that is down is told within two seconds.
    "django.db.backends.postgresql": {"pool": {"min_size": 1, "max_size": 10, "timeout": 2}, "connect_timeout": 2},
}


def database() -> dict[str, Any]:
    """``DATABASE_URL``, or SQLite beside the project, with the options that suit it."""
    declared: dict[str, Any] = env.db_url("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")
    return {**declared, "OPTIONS": {**DATABASE_OPTIONS.get(declared["ENGINE"], {}), **declared.get("OPTIONS", {})}}


DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default="")
CACHES: dict[str, dict[str, Any]] = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
if REDIS_URL:
    # A cache that hangs is given up soon, and what is in it is read as JSON, never unpickled.
    CACHES["default"] = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            "serializer": "ai_models.cache.JSONSerializer",
            "socket_timeout": 0.5,
            "socket_connect_timeout": 0.5,
        },
    }
    CHANNEL_LAYERS["default"] = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}

# Generated videos are handed out by the API alone, so they are in no folder that is served.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "ai_models": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": env.path("FILES_DIR", default=str(BASE_DIR / "files")),
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
}

# Jobs that outlive a request. manage.py ai_worker works them off; `make run` runs one.
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

# --- who may come in ------------------------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
}
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer", "TOKEN_TTL": timedelta(days=env.int("TOKEN_TTL_DAYS", default=365))}

# Behind TLS set HTTPS=true. It is off by default because `make run` serves plain HTTP on this machine's loopback, where a
# browser would never send a secure cookie back.
HTTPS = env.bool("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
X_FRAME_OPTIONS = "DENY"

# --- pages ----------------------------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
LOGIN_URL = "admin:login"
USE_TZ = True
TIME_ZONE = "UTC"

# --- logs: one line per event, with the request's id; prompts and answers are never logged ---------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "query": {"()": "ai_models.api.logs.QueryFilter"},
    },
    "formatters": {
        "line": {"()": "ai_models.telemetry.logs.LineFormatter"},
        "json": {"()": "ai_models.telemetry.logs.JSONFormatter"},
    },
    "handlers": {
        "console": {
            "class": "ai_models.telemetry.logs.BatchingHandler",
            "formatter": env.str("LOG_FORMAT", default="line"),
            "filters": ["query"],
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        # Below INFO it has the headers and frames of websockets, credentials and prompts among them.
        "uvicorn.error": {"level": "INFO"},
    },
}

# --- ai_models ------------------------------------------------------------------------------------------------------

AI_MODELS: dict[str, Any] = {
    "PROMETHEUS": env.bool("PROMETHEUS", default=False),
    "METRICS_TOKEN": env.str("METRICS_TOKEN", default=None),
}
