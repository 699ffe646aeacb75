# The image that takes the place of Knative's queue-proxy in every pod of a revision. Build it from the top of the repository:
#
#     docker build -f deploy/queue-proxy.Dockerfile -t tidegate-queue-proxy .

FROM rust:1.95-bookworm AS build
WORKDIR /tidegate
COPY . .
RUN cargo xtask dist tidegate-queue-proxy

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /tidegate/target/dist/tidegate-queue-proxy /ko-app/queue
ENTRYPOINT ["/ko-app/queue"]
