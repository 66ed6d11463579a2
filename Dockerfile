# A daemon in a container:
#   docker build -t holdfast --build-arg EXTRAS=http,metrics .
#   docker run -v "$PWD:/data" -u "$(id -u)" --stop-timeout 60 holdfast start holdfast.toml
# holdfast is process 1: it reaps what loses its parent, and stops in order on SIGTERM.  /data holds
# the config, the agents, and below var/ the data; commands find the daemon by
#   docker exec CONTAINER holdfast status
# EXTRAS, by default none: what tables such as [http], [metrics], [otel] and PostgreSQL need.

FROM python:3.13-slim AS build
ARG EXTRAS=
COPY . /src
RUN pip wheel --no-cache-dir --wheel-dir /wheels "/src${EXTRAS:+[$EXTRAS]}"

FROM python:3.13-slim
ARG EXTRAS=
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels "holdfast${EXTRAS:+[$EXTRAS]}" \
    && useradd --no-log-init --uid 10001 --home-dir /data --create-home --shell /usr/sbin/nologin holdfast
USER holdfast
WORKDIR /data
VOLUME /data
ENTRYPOINT ["holdfast"]
CMD ["start", "holdfast.toml"]
HEALTHCHECK --start-period=60s CMD ["holdfast", "status"]
