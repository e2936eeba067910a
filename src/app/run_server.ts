/**
 * `keyhold serve`: the vault over HTTP. Binds the port before it opens the vault, so that a second server started by
 * mistake changes nothing, and closes the vault after the last accepted request has its response.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { TOOLS } from '../../tools/catalogue.ts';
import type { TokenIssuer } from '../contract/caller.ts';
import { describeFailure, type Logger } from '../contract/logger.ts';
import type { Secret } from '../contract/secret.ts';
import { fetchDocument } from '../egress/documents.ts';
import type { Egress } from '../egress/egress.ts';
import { createHttpApp, type HttpApp } from '../http/app.ts';
import { accessTokens } from '../http/auth/access_tokens.ts';
import type { FetchDocument } from '../http/auth/jwks.ts';
import { challengeFor, wellKnownMount } from '../http/auth/protected_resource.ts';
import type { HttpDependencies } from '../http/dialect.ts';
import { createMetrics, type Metrics } from '../http/metrics.ts';
import { type Listener, openListener } from '../http/server/listener.ts';
import { removeServerFile, writeServerFile } from '../io/server_file.ts';
import { isLoopbackHost } from '../io/server_url.ts';
import { MCP_PATH, mcpMount } from '../mcp/http.ts';
import { OidcClient } from '../oauth/oidc_client.ts';
import { DIALECTS } from '../rest/dialects.ts';
import { addDocs } from '../rest/openapi/docs.ts';
import { addOpenApi } from '../rest/openapi/document.ts';
import { parseEgressSettings } from '../settings/egress.ts';
import { type HttpSettings, parseHttpSettings } from '../settings/http.ts';
import { parseOAuthSettings } from '../settings/oauth.ts';
import { parseOidcSettings } from '../settings/oidc.ts';
import { parseRetestInterval } from '../settings/retest.ts';
import type { Vault } from '../vault/vault.ts';
import { addHome, webMount } from '../web/mount.ts';
import { refreshOnSchedule } from './background/refreshes.ts';
import { type RetestOptions, retestOnSchedule } from './background/retests.ts';
import { readTls, renewTls, type TlsRenewalOptions } from './background/tls_renewal.ts';
import { verifyAtStart } from './background/verify_at_start.ts';
import { createBootstrapKey } from './bootstrap_key.ts';
import { type App, compose } from './compose.ts';
import { guardProcess } from './process_guards.ts';
import { startTelemetry } from './telemetry/start.ts';
import type { Telemetry } from './telemetry/telemetry.ts';

/** After the request to stop. */
const BACKGROUND_END_MAX_MS = 1_000;

export interface ServeOptions {
  readonly version: string;
  readonly env: NodeJS.ProcessEnv;
  readonly promptSecret: (question: string) => Promise<Secret | undefined>;
  /** Called with one line when the server accepts requests. Does not wait for a reader. */
  readonly printReady: (line: string) => void;
  /** Shows a line to a person if the log level hides it. Does not wait for a reader. */
  readonly printNotice: (line: string) => void;
  /** Resolves when the server has to stop. */
  readonly shutdownRequested: Promise<void>;
}

/** Resolves when the server has stopped after a request to stop. Rejects with VaultError if it cannot start. */
export async function runServer(options: ServeOptions): Promise<void> {
  const { version, env, promptSecret, printReady, printNotice, shutdownRequested } = options;
  const now = () => new Date();
  let port: number | undefined;
  const own_ports = () => (port === undefined ? [] : [port]);
  const app = compose({ env, promptSecret, now, own_ports });
  const { home } = app.settings();
  const http = parseHttpSettings(env, home);
  // Validated now, so that an invalid setting is not found by the first request.
  parseEgressSettings(env, home);
  const retest_ms = parseRetestInterval(env);
  const issuer = parseOAuthSettings(env);
  const provider = parseOidcSettings(env, home);
  const oidc = provider && new OidcClient(provider, await app.operatorEgress());
  const tokens =
    issuer === undefined ? undefined : { issuer, fetchDocument: documentsOf(await app.operatorEgress()) };
  const log = await app.log();
  guardProcess(app.log);
  const metrics = await createMetrics(true, log.droppedLines);
  const pair = http.tls && (await readTls(http.tls));
  const listener = await openListener({ ...http, tls: pair, log });
  port = Number(new URL(listener.url).port);
  let telemetry: Telemetry | undefined;
  try {
    telemetry = await startTelemetry({ env, version, log, metrics: metrics.families });
    const vault = await app.openVault('if_new', 'rest', metrics.commit);
    try {
      await createFirstKey({ app, vault, home, log, printNotice });
      const public_url = http.public_url ?? toLoopbackUrl(listener.url);
      const parts = { ...partsOf(app, vault), log, version, public_url, now };
      let is_draining = false;
      const options = { metrics, isDraining: () => is_draining };
      const http_app = await createApp(parts, http, { tokens, oidc }, options);
      await vault.nodes.join();
      listener.serve(http_app.fetch);
      announce(home, public_url, log, { url: listener.url, public_url, version });
      printReady(`keyhold listening on ${listener.url}`);
      const background = runInBackground({
        app,
        vault,
        tests: parts.tests,
        log,
        interval_ms: retest_ms,
        metrics,
        tls: http.tls && pair && { files: http.tls, pair, listener },
        until: shutdownRequested,
      });
      await shutdownRequested;
      is_draining = true;
      log.info({ drain_seconds: http.drain_seconds }, 'stopping');
      removeServerFile(home);
      await drain(listener, http.drain_seconds);
      await listener.close();
      log.info({}, 'stopped');
      await background;
    } finally {
      await vault.close();
    }
  } finally {
    await listener.close(0);
    await app.closeEgress();
    await telemetry?.close();
  }
}

/**
 * Lets a balancer see that the server stops, and its clients open their next connections elsewhere. Without this time,
 * connections stay open until the listener is closed: a client that opens another just before would have it reset.
 */
async function drain(listener: Listener, seconds: number): Promise<void> {
  if (seconds === 0) return;
  listener.endKeepAlive();
  await sleep(seconds * 1_000);
}

/** Reports where the bootstrap key is if this start created it. */
async function createFirstKey({
  app,
  vault,
  home,
  log,
  printNotice,
}: Pick<ServeOptions, 'printNotice'> & {
  readonly app: App;
  readonly vault: Vault;
  readonly home: string;
  readonly log: Logger;
}): Promise<void> {
  const { log: level, store } = app.settings();
  // In a database, `keyhold init` creates it: with several servers, the operator could not know which one has the file.
  if (store.kind !== 'sqlite') return;
  const path = await createBootstrapKey(vault, app.caller('rest'), home);
  if (path === undefined) return;
  const sharing =
    'Credentials belong to a user: a key of another user sees none of them, and all keys of one user share them.';
  log.info({ path }, `created the bootstrap API key; it is in this file. ${sharing}`);
  if (level !== 'info' && level !== 'debug')
    printNotice(
      `Created the bootstrap API key: ${path}. To make others, run keyhold keys create. ${sharing}`,
    );
}

function partsOf(
  app: App,
  vault: Vault,
): Pick<HttpDependencies, 'vault' | 'calls' | 'tests' | 'connections'> {
  return {
    vault,
    calls: app.calls(vault),
    tests: app.tests(vault),
    connections: app.connections(vault),
  };
}

/**
 * Verifies the audit logs, refreshes access tokens, reads the TLS certificate again, and tests credentials if there is an
 * interval, until the shutdown is requested.
 */
async function runInBackground({
  app,
  metrics,
  interval_ms,
  tls,
  until,
  ...parts
}: Pick<RetestOptions, 'tests' | 'log'> & {
  readonly app: App;
  readonly vault: Vault;
  readonly metrics: Metrics;
  readonly interval_ms: number | undefined;
  readonly tls: Pick<TlsRenewalOptions, 'files' | 'pair' | 'listener'> | undefined;
  readonly until: Promise<void>;
}): Promise<void> {
  const { vault, log } = parts;
  const stopping = new AbortController();
  const { signal } = stopping;
  const operator = () => app.caller('rest');
  const options = { ...parts, operator, signal };
  const verified = verifyAtStart({ vault, log, caller: operator, onResult: metrics.verified, signal });
  if (interval_ms !== undefined)
    log.info({ hours: interval_ms / 3_600_000 }, 'credentials are tested on schedule');
  const retested =
    interval_ms === undefined
      ? Promise.resolve()
      : retestOnSchedule({ ...options, interval_ms, onResult: metrics.retested });
  const refreshed = refreshOnSchedule({ ...options, tokens: app.accessTokens(vault) });
  if (tls !== undefined) void renewTls({ ...tls, log, signal });
  await until;
  stopping.abort();
  await verified;
  // A test that takes longer is abandoned: its result is not kept. The vault waits for requests for tokens when it is closed.
  await Promise.race([
    Promise.all([retested, refreshed]),
    sleep(BACKGROUND_END_MAX_MS, undefined, { ref: false }),
  ]);
}

interface TokenSettings {
  readonly issuer: TokenIssuer;
  readonly fetchDocument: FetchDocument;
}

function documentsOf(egress: Egress): FetchDocument {
  return (url, headers, limits) => fetchDocument(egress, url, headers, limits);
}

async function createApp(
  parts: HttpDependencies,
  settings: HttpSettings,
  { tokens, oidc }: { readonly tokens: TokenSettings | undefined; readonly oidc: OidcClient | undefined },
  { metrics, isDraining }: { readonly metrics: Metrics; readonly isDraining: () => boolean },
): Promise<HttpApp> {
  const { public_url } = parts;
  const issuer = tokens?.issuer;
  const { host, behind_proxy, allowed_hosts, requests_per_minute, auth_failures_per_minute } = settings;
  const challenge = () => challengeFor(public_url, MCP_PATH, issuer);
  const limits = { requests_per_minute, auth_failures_per_minute };
  const mounts = [
    mcpMount(parts, TOOLS, challenge),
    wellKnownMount(public_url, MCP_PATH, issuer),
    await webMount(parts, { ...limits, oidc }),
  ];
  return createHttpApp(parts, DIALECTS, mounts, {
    limits,
    allowed_hosts: [host, ...allowed_hosts],
    behind_proxy,
    authenticators: tokens === undefined ? [] : [accessTokens(tokens.issuer, parts, tokens.fetchDocument)],
    metrics,
    isDraining,
    // Requests through a local proxy come from this machine too, even if the settings do not mention the proxy.
    metrics_open: isLoopbackHost(host) && !behind_proxy && isLoopbackHost(new URL(public_url).hostname),
    open_routes: [addHome, addOpenApi, addDocs],
  });
}

/** Logs that the server listens, and writes where the pages are, for `keyhold open`. Without the file the server works, so that a failure is only logged. */
function announce(
  home: string,
  public_url: string,
  log: Logger,
  facts: Readonly<Record<string, unknown>>,
): void {
  try {
    writeServerFile(home, public_url);
  } catch (error) {
    log.warn(
      { failure: describeFailure(error) },
      'run/server.json cannot be written: keyhold open does not find this server',
    );
  }
  log.info(facts, 'listening');
}

/** The URL for a client on this machine if the server listens on all addresses. */
function toLoopbackUrl(url: string): string {
  return url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
}
