# Kairos: one image for the API, the worker and the commands.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
# Packages are current: this makes .build/ only.
RUN node src/cli/install.mjs && npm prune --omit=dev --no-audit --no-fund

FROM node:24-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production DATA_DIR=/data
# The embedded database refuses to run as root; so does everything else here.
RUN mkdir /data && chown node:node /data
COPY --from=build --chown=node:node /app /app
USER node
VOLUME /data
# It listens on loopback unless told otherwise: run it with --network host, or with HOST=0.0.0.0 and the PUBLIC_URL of a proxy with TLS.
EXPOSE 8080
STOPSIGNAL SIGTERM
CMD ["node", "--import=./src/compile-cache.mjs", "--max-semi-space-size=16", "--heap-growing-percent=30", "src/main.ts"]
