# One image for every role: `docker run sluice run gateway`, `docker run sluice run orders`, ...
# The target `dev` has the developer tools as well, for the sandboxes: `docker build --target dev .`
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/sluice
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY topics topics
COPY gateway gateway
COPY streams streams
COPY sluice sluice
RUN /opt/sluice/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt '.[traces]'

# The compiler and mypy stay in this stage. mypy's packages lie apart from Sluice's, and see them for their types.
FROM build AS compiled
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN /opt/sluice/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt --target /opt/mypyc mypy setuptools
RUN PYTHONPATH=/opt/mypyc SLUICE_COMPILED=0 /opt/sluice/bin/python -m sluice.dev.compiled.build \
    --root "$(/opt/sluice/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

FROM compiled AS build-dev
RUN /opt/sluice/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt ./sluice/dev

FROM python:3.11-slim AS base
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/sluice sluice
ENV PATH=/opt/sluice/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SLUICE_GATEWAY_HOST=0.0.0.0 \
    SLUICE_ADMIN_HOST=0.0.0.0 \
    SLUICE_ADMIN_PORT=9000 \
    SLUICE_URL=http://127.0.0.1:9000 \
    SLUICE_STATE_DIR=/var/lib/sluice
USER 10001
WORKDIR /var/lib/sluice
# A container's name for itself is unique among the workers of its role; SLUICE_INSTANCE, when set, is kept.
ENTRYPOINT ["/bin/sh", "-c", "SLUICE_INSTANCE=${SLUICE_INSTANCE:-$(hostname)} exec sluice \"$@\"", "sluice"]
CMD ["--help"]

FROM base AS dev
COPY --from=build-dev /opt/sluice /opt/sluice

FROM base AS product
COPY --from=compiled /opt/sluice /opt/sluice
