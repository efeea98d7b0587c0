# The image runs `python -m service` from its source: installed, names as common as `service` could be anybody's.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements/run.txt /build/run.txt
# pip stays outside of what it fills. Wheels only: a source package would run its build here, unhashed.
RUN python3 -m venv --without-pip /opt/exai/venv \
 && python3 -m pip --python /opt/exai/venv/bin/python3 install --quiet --require-hashes --only-binary :all: \
    --no-compile --requirement /build/run.txt \
 && find /opt/exai/venv -depth -type d \( -name tests -o -name test \) -exec rm -rf {} + \
 && find /opt/exai/venv -type f \( -name '*.c' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' \) -delete
# Inside, `exai` is the same word as outside.
RUN printf '#!/bin/sh\nexec python3 -m service "$@"\n' > /opt/exai/venv/bin/exai && chmod 755 /opt/exai/venv/bin/exai
COPY service /opt/exai/app/service
COPY console /opt/exai/app/console
COPY otel /opt/exai/app/otel
COPY grafana /opt/exai/app/grafana
# The root is read-only later, so bytecode is made now; it spares each start two seconds.
RUN /opt/exai/venv/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/exai

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="EXAI" \
      org.opencontainers.image.description="An MCP server that proves what it spends" \
      org.opencontainers.image.licenses="Apache-2.0"
# Owners are numbers: an orchestrator can see that this is not root. A new volume takes its folder's owner over.
RUN mkdir -p /data /checkpoints && chown 10001:10001 /data /checkpoints && chmod 700 /data /checkpoints
COPY --from=builder /opt/exai /opt/exai
ENV PATH=/opt/exai/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    EXAI_CONTAINER=1 \
    EXAI_HOST=0.0.0.0 \
    EXAI_DATA_DIR=/data \
    EXAI_CHECKPOINTS_DIR=/checkpoints
WORKDIR /opt/exai/app
USER 10001:10001
VOLUME ["/data", "/checkpoints"]
EXPOSE 8079
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python3", "-m", "service.cli.health"]
ENTRYPOINT ["python3", "-m", "service"]
CMD ["serve"]
