/**
 * `keyhold serve`: the vault over HTTP, from the first bind to the last answer. The port comes first, so that a second
 * server by mistake changes nothing; the vault is closed when every request that was accepted has its answer.
 */
import { readFileSync } from 'node:fs';
import { TOOLS } from '../../tools/catalogue.ts';
import { ERROR_TABLE, VaultError } from '../contract/errors.ts';
import { describeFailure, type Logger } from '../contract/logger.ts';
import type { Secret } from '../contract/secret.ts';
import type { TokenIssuer } from '../contract/token_issuer.ts';
import { VERSION } from '../contract/version.ts';
import { createHttpApp, type HttpApp } from '../http/app.ts';
import { accessTokens } from '../http/auth/access_tokens.ts';
import { challengeFor, wellKnownMount } from '../http/auth/protected_resource.ts';
import type { HttpDependencies } from '../http/dialect.ts';
import { createMetrics, type Metrics } from '../http/metrics.ts';
import { isLoopback } from '../http/request/host_check.ts';
import { type Listener, openListener } from '../http/server/listener.ts';
import { MCP_PATH, mcpMount } from '../mcp/http.ts';
import { DIALECTS } from '../rest/dialects.ts';
import { addDocs } from '../rest/openapi/docs.ts';
import { addOpenApi } from '../rest/openapi/document.ts';
import type { HttpSettings } from '../settings/http.ts';
import { createBootstrapKey } from './bootstrap_key.ts';
import { compose } from './compose.ts';

export interface ServeOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly askSecret: (question: string) => Promise<Secret | undefined>;
  /** Tells whoever waits for the server that it is ready: one line. */
  readonly onReady: (line: string) => Promise<void>;
  /** Tells a person, where the log does not. */
  readonly printNotice: (line: string) => Promise<void>;
  /** Resolves when the server is to stop. */
  readonly shutdownRequested: Promise<void>;
}

/** Resolves when the server was told to stop and has. Rejects with VaultError where it cannot start. */
export async function runServer(surroundings: ServeOptions): Promise<void> {
  const { env, askSecret, onReady: sayReady, printNotice: tell, shutdownRequested: stopped } = surroundings;
  const now = () => new Date();
  const composition = compose({ env, askSecret, now });
  const { home, log: level, http, oauth } = composition.settings();
  const log = await composition.log();
  redirectConsole(log);
  process.once('uncaughtException', (error) => exitOnUncaughtException(error, log));
  const listener = await openListener({ ...http, tls: readTls(http), log });
  try {
    const metrics = await createMetrics(true);
    const vault = await composition.openVault('if_new', 'rest', metrics.commit);
    try {
      const key_path = await createBootstrapKey(vault, composition.caller('rest'), home);
      if (key_path !== undefined) {
        log.info({ path: key_path }, 'created the bootstrap API key; it is in this file');
        if (level !== 'info' && level !== 'debug')
          await tell(`Created the bootstrap API key: ${key_path}. To make others, run keyhold keys create.`);
      }
      const public_url = http.public_url ?? toLoopbackUrl(listener.url);
      const app = await createApp({ vault, log, version: VERSION, public_url, now }, http, oauth, metrics);
      listener.serve(app.fetch);
      log.info({ url: listener.url, public_url, version: VERSION }, 'listening');
      await sayReady(`keyhold listening on ${listener.url}`);
      await stopped;
      await stop(listener, app, log);
    } finally {
      await vault.close();
    }
  } finally {
    await listener.close(0);
  }
}

function createApp(
  parts: HttpDependencies,
  settings: HttpSettings,
  issuer: TokenIssuer | undefined,
  metrics: Metrics,
): Promise<HttpApp> {
  const { vault, public_url, now } = parts;
  const { host, behind_proxy, allowed_hosts, requests_per_minute, auth_failures_per_minute } = settings;
  const challenge = () => challengeFor(public_url, MCP_PATH, issuer);
  const mounts = [mcpMount(parts, TOOLS, challenge), wellKnownMount(public_url, MCP_PATH, issuer)];
  return createHttpApp(parts, DIALECTS, mounts, {
    limits: { requests_per_minute, auth_failures_per_minute },
    allowed_hosts: [host, ...allowed_hosts],
    behind_proxy,
    authenticators: issuer === undefined ? [] : [accessTokens(issuer, vault, now)],
    metrics,
    // What a proxy passes on comes from this machine too, whether or not we were told that there is one.
    metrics_open: isLoopback(host) && !behind_proxy && isLoopback(new URL(public_url).hostname),
    open_routes: [addOpenApi, addDocs],
  });
}

async function stop(listener: Listener, app: HttpApp, log: Logger): Promise<void> {
  log.info({}, 'stopping');
  const closed = listener.close();
  await app.close();
  await closed;
  log.info({}, 'stopped');
}

/** Where a client on this machine reaches a server that listens on all addresses. */
function toLoopbackUrl(url: string): string {
  return url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
}

function readTls({ tls }: HttpSettings): { readonly cert: Buffer; readonly key: Buffer } | undefined {
  if (tls === undefined) return undefined;
  return { cert: readPem('KEYHOLD_TLS_CERT', tls.cert_path), key: readPem('KEYHOLD_TLS_KEY', tls.key_path) };
}

function readPem(setting: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const message = `The file that the setting ${setting} names cannot be read. Check the path and its permissions.`;
    throw new VaultError('INVALID_INPUT', message, { reason: 'setting_invalid', cause });
  }
}

/** What nobody caught leaves nobody knows what behind, so the process ends; its words are not told, as in any log. */
function exitOnUncaughtException(error: unknown, log: Logger): never {
  log.error({ failure: describeFailure(error) }, 'ended by a failure that nobody caught');
  return process.exit(ERROR_TABLE.INTERNAL.exit_code);
}

/** What a library writes to the console may quote anything, and would be a second line on stdout. */
function redirectConsole(log: Logger): void {
  const instead = (method: string) => () => log.warn({ method }, 'a library wrote to the console');
  const { console } = globalThis;
  for (const method of ['debug', 'log', 'info', 'warn', 'error'] as const) console[method] = instead(method);
}
