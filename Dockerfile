# A host. It joins the lattice that LATTICE_NATS_URL names:
#
#   docker build -t nanolattice .
#   docker run --rm -e LATTICE_NATS_URL=nats://nats.example.net:4222 -e LATTICE_TRUST=ACCOUNT nanolattice \
#     host --name east-1 --label cloud=east
#
# Without a package index: put wheels into build/wheelhouse (scripts/compose/images.sh does) and they are all it takes.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
# Clients of what providers may talk to: redis, s3, postgres, all. NATS is in any case. S3 adds the most.
ARG EXTRAS=redis
RUN python3 -m venv /opt/nanolattice
WORKDIR /src
# The pattern is there because a folder that is not there may then be named.
COPY requirements.lock build/wheelhous[e] wheels/
COPY pyproject.toml README.md LICENSE ./
COPY lattice lattice
COPY providers providers
# In the locked versions, and compiled here, since whoever runs it may not write there. Only an installation needs pip.
RUN set -e; \
    if ls wheels/*.whl >/dev/null 2>&1; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/src/wheels; fi; \
    sed -nE 's/^([a-z0-9._-]+)(\[[^]]*\])?(==[^ ;\\]+).*/\1\3/p' wheels/requirements.lock > constraints.txt; \
    pip="/opt/nanolattice/bin/python -m pip --disable-pip-version-check"; \
    $pip install -q --no-cache-dir --constraint constraints.txt ".[$EXTRAS]"; \
    $pip uninstall -q -y pip setuptools; \
    python3 -m compileall -q /opt/nanolattice

FROM ${PYTHON_IMAGE}
RUN mkdir -p /var/lib/lattice && chown 1000:1000 /var/lib/lattice
COPY --from=build /opt/nanolattice /opt/nanolattice
ENV PATH=/opt/nanolattice/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/var/lib/lattice \
    LATTICE_CACHE=/var/lib/lattice/cache
# By number: what checks that no image runs as root cannot look a name up.
USER 1000:1000
WORKDIR /var/lib/lattice
# The host itself answers, on its control socket; a process that hangs does not.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
    CMD ["lattice", "get", "hosts", "--data", ".lattice", "-o", "json"]
# Drains: give it 35 seconds (docker stop -t 35, stop_grace_period), then nothing is cut off.
STOPSIGNAL SIGTERM
ENTRYPOINT ["lattice"]
CMD ["host"]
