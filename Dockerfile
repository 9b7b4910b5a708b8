# The server as an image: built in one stage, run from another that holds the binary and nothing to build with.
# Used so: docker run -p 127.0.0.1:8484:8484 -v backstitch:/var/lib/backstitch backstitch \
#            start --listen 0.0.0.0:8484 --allow-unauthenticated-network
# Without these flags the server listens on the container's own loopback only: it has no API keys yet.

FROM node:22-slim AS dashboard
WORKDIR /build/dashboard
COPY dashboard/package.json dashboard/package-lock.json ./
# Not what the tests need: the SDK and a browser.
RUN npm ci --omit=dev --no-audit --no-fund
COPY dashboard/index.html dashboard/vite.config.ts dashboard/tsconfig.json ./
COPY dashboard/public public
COPY dashboard/src src
RUN npx vite build

FROM rust:1.95-slim-bookworm AS build
# aws-lc and SQLite are compiled from C.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc g++ make cmake pkg-config libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock rust-toolchain.toml build.rs ./
COPY .cargo .cargo
COPY src src
COPY migrations migrations
COPY sdk-rust sdk-rust
# Members of the workspace: cargo wants them there, and builds none of them.
COPY bench bench
COPY examples/rust examples/rust
COPY --from=dashboard /build/dashboard/dist dashboard/dist
RUN cargo build --release --locked --bin backstitch

FROM debian:bookworm-slim
# Handlers are called over TLS, which needs the public root certificates.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/backstitch --create-home backstitch
COPY --from=build /build/target/release/backstitch /usr/local/bin/backstitch
USER backstitch
WORKDIR /var/lib/backstitch
VOLUME /var/lib/backstitch
EXPOSE 8484
ENTRYPOINT ["backstitch"]
CMD ["start"]
