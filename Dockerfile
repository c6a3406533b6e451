# The images of k8s/: `coordinator` has no libtorch, `worker` has it for CPUs, `worker-cuda` for NVIDIA GPUs too.
#
#     docker build --target coordinator --tag conrec-coordinator:0.1.0 .
#     docker build --target worker --tag conrec-worker:0.1.0 .
#
# All run as user 65532 and write nothing but /tmp, /runs and /var/cache/conrec. The path /opt/conrec is the same in all stages: the
# programs hold the place of libtorch.

FROM rust:1.95.0-bookworm AS builder
# Versions of Debian's packages are those of the image's day.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/conrec
# libtorch is half a gigabyte and changes seldom: a layer of its own. It needs this file alone.
COPY scripts/setup scripts/setup
RUN PIP_BREAK_SYSTEM_PACKAGES=1 scripts/setup
COPY . .
RUN cargo build --release --locked --package conrec-cli --package conrec-worker \
    && mkdir /programs \
    && mv target/release/conrec target/release/conrec-worker /programs/ \
    && rm -rf target

FROM builder AS cuda
RUN python3 -m pip install --break-system-packages --no-cache-dir --no-compile --target /opt/torch-cuda torch==2.11.0

FROM debian:bookworm-slim AS base
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 65532 conrec \
    && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin conrec \
    && install --directory --owner 65532 --group 65532 /runs /var/cache/conrec
# Configs name their data by paths below the checkout.
WORKDIR /opt/conrec
COPY README.md ./
COPY data data
COPY configs configs
ENV HF_HOME=/var/cache/conrec
USER 65532:65532
ENTRYPOINT ["conrec"]

FROM base AS coordinator
COPY --from=builder /programs/conrec /usr/local/bin/

FROM base AS worker
COPY --from=builder /opt/conrec/third_party/torch/torch/lib third_party/torch/torch/lib
COPY --from=builder /opt/conrec/third_party/torch/nvidia third_party/torch/nvidia
COPY --from=builder /programs/conrec /programs/conrec-worker /usr/local/bin/

FROM worker AS worker-cuda
COPY --from=cuda /opt/torch-cuda /opt/torch-cuda
ENV LD_LIBRARY_PATH=/opt/torch-cuda/torch/lib
