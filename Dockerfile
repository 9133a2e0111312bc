# The server, its jobs and its worker, in one image. docs/deployment.md tells how to run it.

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1
WORKDIR /build
COPY requirements.lock requirements-server.lock ./
# The installer is pinned where everything else is.
RUN sed -n '/^uv==/,/[^\\]$/p' requirements.lock > installer.lock \
    && python -m pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes --no-deps --requirement installer.lock
RUN python -m venv --without-pip /venv \
    && uv pip sync --quiet --python /venv/bin/python --require-hashes --no-build requirements-server.lock
COPY pyproject.toml README.md LICENSE ./
COPY ai_models ai_models
RUN uv build --quiet --wheel --build-constraints requirements.lock --require-hashes --out-dir dist \
    && uv pip install --quiet --python /venv/bin/python --no-deps dist/*.whl

FROM python:${PYTHON}-slim
# The local model's engine is linked to it.
RUN apt-get update -qq && apt-get install -qq --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home app && install --directory --owner app --group app --mode 700 /files
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py app-config.yaml ./
COPY project project
COPY templates templates
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 FILES_DIR=/files
USER app
EXPOSE 8000
# It begins to drain with this; see stop_grace_period in compose.yaml.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://localhost:8000/healthz', timeout=4)"]
# Idle connections are kept longer than a proxy keeps them, so that it is always the proxy that closes them.
CMD ["uvicorn", "project.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--timeout-keep-alive", "75", \
     "--no-server-header", "--no-access-log", "--ws-max-size", "1048576", "--ws-per-message-deflate", "false"]
