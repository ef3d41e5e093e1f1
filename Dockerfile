# syntax=docker/dockerfile:1
# A virtual environment is built in the first stage; the image has that and Python, no compiler, no
# pip, no shell that anything needs. It runs as nobody in particular, on a read-only root file
# system, see docs/deployment/container.md. Your handlers come on top:
#   FROM celers-worker
#   COPY tasks.py /srv/
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY celers_worker celers_worker
COPY alembic alembic
RUN python -m venv --without-pip /opt/celers \
    && python -m pip --no-cache-dir --python /opt/celers/bin/python install --compile ".[mysql]"

FROM python:3.11-slim
COPY --from=build /opt/celers /opt/celers
# 10001: a number, so that Kubernetes can see that it is not root's.
RUN useradd --system --uid 10001 --home-dir /srv --no-create-home --shell /usr/sbin/nologin celers
ENV PATH=/opt/celers/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CELERS_METRICS_PORT=9464 \
    CELERS_LOG_FORMAT=json
USER 10001
WORKDIR /srv
EXPOSE 9464
STOPSIGNAL SIGTERM
# It asks the worker in this container, over loopback, whether all of its loops move.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["celers", "health", "--live"]
ENTRYPOINT ["celers"]
CMD ["worker"]
