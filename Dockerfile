# Glasscase in a container: the same image runs web, workers, sequencer, signer and the one-shot migration.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements/ requirements/
# Only pinned files with known hashes; nothing is resolved during the build.
RUN python -m venv /opt/glasscase \
    && python -m pip install --quiet --no-deps --require-hashes -r requirements/uv.txt \
    && VIRTUAL_ENV=/opt/glasscase uv pip install --quiet --no-cache --no-deps --require-hashes -r requirements/runtime.txt

FROM python:3.11-slim-bookworm
ENV PATH=/opt/glasscase/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=core.settings \
    GLASSCASE_HOME=/state \
    GLASSCASE_LOG_FORMAT=json
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin glasscase \
    && mkdir -p /state /published /checkpoints && chown glasscase:glasscase /state /published /checkpoints && chmod 0700 /state /checkpoints
WORKDIR /app
COPY --from=build /opt/glasscase /opt/glasscase
COPY manage.py pyproject.toml ./
COPY core/ core/
COPY search/ search/
COPY audit/ audit/
COPY templates/ templates/
COPY static/ static/
# The directory exists before the command runs, so that files get names with their hash; the key is used for nothing.
RUN mkdir staticfiles && GLASSCASE_SECRET_KEY=collectstatic-needs-one-and-does-not-use-it GLASSCASE_HOME=/tmp/none \
    python manage.py collectstatic --noinput --verbosity 0
USER 10001:10001
VOLUME ["/state", "/published", "/checkpoints"]
EXPOSE 8000
CMD ["gunicorn", "core.wsgi:application", "--bind", "0.0.0.0:8000", "--workers", "3", "--worker-tmp-dir", "/tmp", "--no-control-socket"]
