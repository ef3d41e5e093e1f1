# Builds a wheel, then an image with nothing but it. Your handlers come on top:
#   FROM celers-worker
#   COPY tasks.py /srv/
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY celers_worker celers_worker
COPY alembic alembic
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /wheels

FROM python:3.11-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(ls /wheels/*.whl)[mysql]" && rm -r /wheels \
    && useradd --system --uid 10001 --home-dir /srv --no-create-home celers \
    && install -d -o celers /srv
USER celers
WORKDIR /srv
STOPSIGNAL SIGTERM
ENTRYPOINT ["celers"]
CMD ["worker"]
