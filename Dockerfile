# The service alone, as one static file on an empty image, with the licences of what is linked into it.
#
#   docker build -t guiche:local .
#
# Why `scratch` and a static glibc, rather than distroless/cc or musl: the service opens no shared
# library and runs no other program, so 23 MB of base would only be something to patch; and musl's
# allocator and resolver are slower. Since glibc 2.34 name resolution needs no module at run time.
# The health check starts once every few seconds inside 0.4 CPU: without a dynamic loader it is cheap.

ARG RUST_IMAGE=rust:1.95-slim-bookworm

FROM ${RUST_IMAGE} AS build
WORKDIR /build
ENV CARGO_NET_RETRY=5 \
    CARGO_PROFILE_RELEASE_DEBUG=false \
    CARGO_PROFILE_RELEASE_STRIP=symbols \
    RUSTFLAGS="-C target-feature=+crt-static"

# Dependencies first: this layer stays until Cargo.lock or a manifest changes. A target that is
# named keeps `crt-static` away from procedural macros, which cannot be static.
COPY Cargo.toml Cargo.lock ./
COPY crates/settings/Cargo.toml crates/settings/
COPY crates/testbed/Cargo.toml crates/testbed/
COPY crates/traces/Cargo.toml crates/traces/
COPY loadtest/Cargo.toml loadtest/
COPY loadtest/preload/Cargo.toml loadtest/preload/
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    mkdir -p src crates/settings/src crates/testbed/src crates/traces/src loadtest/src loadtest/preload/src \
    && echo "fn main() {}" >src/main.rs \
    && touch src/lib.rs crates/settings/src/lib.rs crates/testbed/src/lib.rs crates/traces/src/lib.rs \
       loadtest/src/lib.rs loadtest/src/main.rs loadtest/preload/src/lib.rs \
    && rustc --print host-tuple >target-triple \
    && cargo build --release --locked --package guiche --bin guiche --features otlp --target "$(cat target-triple)"

# The licences of what is linked in.
COPY compose/notices compose/
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    compose/notices "$(cat target-triple)" >/notices

# The sources are older than what was just built in their place; cargo goes by time.
COPY crates/settings crates/settings
COPY crates/traces crates/traces
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    find src crates -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --package guiche --bin guiche --features otlp --target "$(cat target-triple)" \
    && cp "target/$(cat target-triple)/release/guiche" /guiche \
    && mkdir /traces

FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="guiche" \
      org.opencontainers.image.description="A bank ledger in which every client has an actor and a mailbox, and one database call carries what the mailboxes have queued." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=build /guiche /guiche
COPY --from=build /notices /notices
# A volume that is mounted here can be written to: see TRACE.
COPY --from=build --chown=65532:65532 /traces /traces
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["/guiche", "health"]
ENTRYPOINT ["/guiche"]
