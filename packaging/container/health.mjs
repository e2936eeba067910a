/** The health check of the container image: exits with 0 if the server of this container is healthy, else with 1. */
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';

const TIMEOUT_MS = 4_000;
const { KEYHOLD_PORT: port = '8787', KEYHOLD_TLS_CERT: certificate } = process.env;
// The certificate is that of the public name. The request has no secret and does not leave the container.
const request = certificate
  ? getHttps({ host: '127.0.0.1', port, path: '/healthz', rejectUnauthorized: false })
  : getHttp({ host: '127.0.0.1', port, path: '/healthz' });
request.setTimeout(TIMEOUT_MS, () => request.destroy());
request.on('error', () => process.exit(1));
request.on('response', ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1));
