/**
 * Starts real HTTP servers: one in this process with a temporary vault, and the built `keyhold serve` as a child
 * process.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { CreateKeyInput } from '../../../src/contract/api_key.ts';
import type { Caller } from '../../../src/contract/caller.ts';
import type { Logger } from '../../../src/contract/logger.ts';
import { createHttpApp, type HttpAppOptions } from '../../../src/http/app.ts';
import type { Dialect, HttpDependencies } from '../../../src/http/dialect.ts';
import type { Mount } from '../../../src/http/mount.ts';
import { type ListenOptions, openListener } from '../../../src/http/server/listener.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { startProgram } from '../child/built_program.ts';
import { openTestVault, temporaryFolder } from '../vault/temp_vault.ts';

export interface HttpServerOptions {
  readonly dialects?: readonly Dialect[];
  /** Mounts, or a function that creates them from the dependencies. */
  readonly mounts?:
    | readonly Mount[]
    | ((parts: HttpDependencies) => readonly Mount[] | Promise<readonly Mount[]>);
  /** Rate limits are off by default. */
  readonly settings?: Partial<HttpAppOptions>;
  readonly listen?: Partial<ListenOptions>;
  readonly public_url?: string;
  readonly now?: () => Date;
  /** The clock of the vault. */
  readonly vault_now?: () => Date;
  /** Home of the vault; a new folder by default. */
  readonly home?: string;
  /** For the vault, in addition to KEYHOLD_HOME. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export interface TestHttpServer {
  /** Without a trailing slash. */
  readonly url: string;
  readonly home: string;
  readonly vault: Vault;
  readonly parts: HttpDependencies;
  /** All log lines so far. */
  readonly log: readonly LogLine[];
  /** The local user, with every scope but `values:reveal`. */
  caller(): Caller;
  /** Creates an API key, by default for the local user, and returns its text. */
  key(options?: CreateKeyInput): Promise<string>;
  /** Fetches the path. Unless `headers` has a key, sends one of the local user with the default scopes. */
  request(path: string, init?: RequestInit & { readonly key?: string }): Promise<Response>;
  close(): Promise<void>;
}

/** Starts a server on a free port of 127.0.0.1 and stops it when the test ends. */
export async function startHttpServer(options: HttpServerOptions = {}): Promise<TestHttpServer> {
  const { home, vault, calls, tests, connections, caller } = await openTestVault(
    options.home ?? temporaryFolder(),
    options.env,
    undefined,
    options.vault_now === undefined ? {} : { now: options.vault_now },
  );
  const settings = options.settings ?? {};
  const lines: LogLine[] = [];
  const log = collectingLog(lines);
  const listener = await openListener({
    host: '127.0.0.1',
    port: 0,
    behind_proxy: settings.behind_proxy ?? false,
    log,
    ...options.listen,
  });
  const parts: HttpDependencies = {
    vault,
    calls,
    tests,
    connections,
    log,
    version: '1.2.3-test',
    public_url: options.public_url ?? listener.url,
    now: options.now ?? (() => new Date()),
  };
  const mounts = typeof options.mounts === 'function' ? await options.mounts(parts) : options.mounts;
  const app = await createHttpApp(parts, options.dialects ?? [], mounts ?? [], {
    limits: { requests_per_minute: 0, auth_failures_per_minute: 0 },
    ...settings,
  });
  listener.serve(app.fetch);
  const close = async (limit_ms = 1_000) => {
    await listener.close(limit_ms);
  };
  // No client waits for a response any more.
  onTestFinished(() => close(0));
  // On the command line, which may grant every scope.
  const key = async (input: CreateKeyInput = {}) =>
    (await vault.api_keys.create({ ...caller(), edge: 'cli' }, input)).key;
  let own_key: Promise<string> | undefined;
  return {
    url: listener.url,
    home,
    vault,
    parts,
    log: lines,
    caller,
    key,
    async request(path, { key: given, ...init } = {}) {
      if (given === undefined) own_key ??= key();
      const headers = new Headers(init.headers);
      if (!headers.has('authorization')) headers.set('authorization', `Bearer ${given ?? (await own_key)}`);
      if (init.body !== undefined && !headers.has('content-type'))
        headers.set('content-type', 'application/json');
      return fetch(`${listener.url}${path}`, { ...init, headers });
    },
    close: () => close(),
  };
}

/** A logger that appends its lines to an array. */
export function collectingLog(lines: LogLine[]): Logger {
  const at = (level: LogLine['level']) => (fields: LogLine['fields'], message: string) => {
    lines.push({ level, fields, message });
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ServeProcess {
  readonly url: string;
  readonly home: string;
  /** The bootstrap key of the first start. */
  readonly admin_key: string;
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Resolves when the process has exited for any reason. */
  readonly ended: Promise<Ended>;
  /** Sends the signal and resolves when the process has exited. */
  end(signal?: NodeJS.Signals): Promise<Ended>;
}

const READY = /^keyhold listening on (\S+)\n$/;
const START_MS = 60_000;

/**
 * Starts the built `keyhold serve` on a free port and kills it when the test ends. Rejects if it exits before it is
 * ready.
 */
export async function startServeProcess(
  options: {
    readonly home?: string;
    readonly env?: NodeJS.ProcessEnv;
    readonly args?: readonly string[];
  } = {},
): Promise<ServeProcess> {
  const home = options.home ?? temporaryFolder();
  const env = { KEYHOLD_HOME: home, KEYHOLD_PORT: '0', KEYHOLD_RATE_LIMIT: '0', ...options.env };
  const child = startProgram(['serve', ...(options.args ?? [])], { env });
  let stdout = '';
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const url = await new Promise<string>((resolve, reject) => {
    const fail = (what: string) => reject(new Error(`keyhold serve ${what}: ${stdout}${stderr}`));
    const timer = setTimeout(() => fail('did not start'), START_MS);
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      const [, found] = READY.exec(stdout) ?? [];
      if (found !== undefined) resolve(found);
    });
    void ended.then(() => {
      clearTimeout(timer);
      fail('ended');
    });
  });
  const key_file = join(home, 'keys', 'admin.key');
  return {
    url,
    home,
    admin_key: existsSync(key_file) ? readFileSync(key_file, 'utf8').trim() : '',
    pid: child.pid ?? 0,
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    end: (signal = 'SIGTERM') => {
      child.kill(signal);
      return ended;
    },
  };
}
