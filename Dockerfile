# Two images, for amd64 and arm64. `make image` builds the first:
#   fluent-bit  Fluent Bit with the plugin, its plugins.conf and the companion (the default)
#   plugin      the plugin, and a companion that can put it into a volume; nothing else, to be an init container
#
# What it is built on can be pinned to the byte, and should be where images are released; the empty default takes what
# the tag names today. A digest is written as the registry shows it: sha256:<64 hexadecimal digits>
#   docker build --build-arg FLUENT_BIT_DIGEST=sha256:... --build-arg RUST_DIGEST=sha256:... .
# Any other Fluent Bit from 1.9 on, of any maker with glibc, can be the base, for example AWS for Fluent Bit:
#   docker build --build-arg FLUENT_BIT_IMAGE=public.ecr.aws/aws-observability/aws-for-fluent-bit \
#                --build-arg FLUENT_BIT_VERSION=3.4.14 .
ARG FLUENT_BIT_IMAGE=ghcr.io/fluent/fluent-bit
# What kube-logging's operator 6.7 runs unless it is told otherwise.
ARG FLUENT_BIT_VERSION=5.0.5
ARG FLUENT_BIT_DIGEST=
ARG RUST_VERSION=1.95.0
ARG RUST_DIGEST=

# Runs on the machine that builds and compiles for the other: no emulation.
FROM --platform=$BUILDPLATFORM rust:${RUST_VERSION}-bookworm${RUST_DIGEST:+@${RUST_DIGEST}} AS builder
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends binutils python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
ARG TARGETARCH
RUN case "$TARGETARCH" in \
        amd64) arch=x86_64 ;; \
        arm64) arch=aarch64 ;; \
        *) echo "expected amd64 or arm64, found '$TARGETARCH'"; exit 1 ;; \
    esac \
    && packaging/build "$arch" /out \
    && packaging/symbols 2.17 /out/out_sentry.so /out/flb-sentry /out/static/flb-sentry \
    && python3 packaging/licences.py "$arch-unknown-linux-gnu" > /out/THIRD-PARTY.txt \
    && cp LICENSE /out/

# An init container: `/flb-sentry install --to /sentry` copies the plugin into a volume that both containers mount.
FROM scratch AS plugin
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="out_sentry" \
      org.opencontainers.image.description="Sentry output for Fluent Bit, to be copied beside any Fluent Bit" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=builder /out/LICENSE /out/THIRD-PARTY.txt /licenses/out_sentry/
COPY --from=builder /out/out_sentry.so /out_sentry.so
COPY --from=builder /out/static/flb-sentry /flb-sentry
USER 65532:65532
ENTRYPOINT ["/flb-sentry"]
CMD ["install", "--to", "/sentry"]

# Entry point, command and user are those of the base. No shell is needed here, and none is there.
FROM ${FLUENT_BIT_IMAGE}:${FLUENT_BIT_VERSION}${FLUENT_BIT_DIGEST:+@${FLUENT_BIT_DIGEST}} AS fluent-bit
ARG FLUENT_BIT_IMAGE
ARG FLUENT_BIT_VERSION
ARG FLUENT_BIT_DIGEST
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="Fluent Bit with out_sentry" \
      org.opencontainers.image.description="Fluent Bit with an output that turns log records into Sentry issues and logs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${FLUENT_BIT_IMAGE}:${FLUENT_BIT_VERSION}" \
      org.opencontainers.image.base.digest="${FLUENT_BIT_DIGEST}"
COPY --from=builder /out/LICENSE /out/THIRD-PARTY.txt /licenses/out_sentry/
COPY --from=builder /out/out_sentry.so /fluent-bit/plugins/out_sentry.so
COPY --from=builder /source/packaging/plugins.conf /fluent-bit/plugins/plugins.conf
COPY --from=builder /out/flb-sentry /fluent-bit/bin/flb-sentry
