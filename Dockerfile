# Every process of customerOS is this image with another command: `customeros --help`.
FROM python:3.11-slim-bookworm AS build
ENV UV_NO_CACHE=1 UV_LINK_MODE=copy
WORKDIR /src
COPY requirements requirements
COPY ops/deploy/install ops/deploy/install
RUN ops/deploy/install /opt/customeros dependencies
COPY . .
RUN ops/deploy/install /opt/customeros project

FROM python:3.11-slim-bookworm
# A numeric user, so that Kubernetes can check that it is not root.
RUN useradd --uid 10001 --create-home --home-dir /var/lib/customeros customeros
COPY --from=build /opt/customeros /opt/customeros
ENV PATH=/opt/customeros/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    ARROW_DEFAULT_MEMORY_POOL=system \
    CUSTOMEROS_HOME=/var/lib/customeros
WORKDIR /var/lib/customeros
VOLUME /var/lib/customeros
USER 10001
ENTRYPOINT ["customeros"]
CMD ["--help"]
