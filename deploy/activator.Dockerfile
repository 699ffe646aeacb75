# The image that takes the place of Knative's activator in its Deployment. Build it from the top of the repository:
#
#     docker build -f deploy/activator.Dockerfile -t tidegate-activator .

FROM rust:1.95-bookworm AS build
WORKDIR /tidegate
COPY . .
RUN cargo xtask dist tidegate-activator

FROM debian:bookworm-slim
# Whom to believe: collectors may be behind TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /tidegate/target/dist/tidegate-activator /usr/local/bin/tidegate-activator
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/tidegate-activator"]
