# syntax=docker/dockerfile:1
# The server `keyhold serve`. docs/operations.md has the commands to build and run it.
# Both architectures: docker buildx build --platform linux/amd64,linux/arm64 .

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
# The sources of the SQLite driver are not needed at run time.
RUN npm run build:code \
  && npm prune --omit=dev --no-audit --no-fund \
  && rm -rf node_modules/better-sqlite3/deps node_modules/better-sqlite3/src dist/types

FROM node:24-slim
WORKDIR /app
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/packaging/container/health.mjs health.mjs
# The user has no name and no home folder, and owns nothing but the volume.
RUN mkdir -m 0700 /data && chown 65532:65532 /data
USER 65532:65532
ENV NODE_ENV=production KEYHOLD_HOME=/data KEYHOLD_HOST=0.0.0.0
VOLUME /data
EXPOSE 8787
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["node", "/app/health.mjs"]
ENTRYPOINT ["node", "/app/dist/keyhold.js"]
CMD ["serve"]
