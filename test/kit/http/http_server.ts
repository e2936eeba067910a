/** Real HTTP servers: one in this process over a vault of its own, and the built `keyhold serve` as a process. */
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
  /** Mounts, or what makes them of the parts that they need. */
  readonly mounts?:
    | readonly Mount[]
    | ((parts: HttpDependencies) => readonly Mount[] | Promise<readonly Mount[]>);
  /** No limits of rates unless they are given. */
  readonly settings?: Partial<HttpAppOptions>;
  readonly listen?: Partial<ListenOptions>;
  readonly public_url?: string;
  readonly now?: () => Date;
  /** Where the vault is; a new folder unless it is said. */
  readonly home?: string;
  /** For the vault, beside KEYHOLD_HOME. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export interface TestHttpServer {
  /** Without a slash at the end. */
  readonly url: string;
  readonly home: string;
  readonly vault: Vault;
  readonly parts: HttpDependencies;
  /** What was logged so far. */
  readonly log: readonly LogLine[];
  /** The local user, with every scope but `values:reveal`. */
  caller(): Caller;
  /** Makes an API key, of the local user unless told otherwise, and returns its text. */
  key(options?: CreateKeyInput): Promise<string>;
  /** `fetch` with the path and, unless `headers` has one, a key of the local user with the default scopes. */
  request(path: string, init?: RequestInit & { readonly key?: string }): Promise<Response>;
  close(): Promise<void>;
}

/** Starts a server on a free port of loopback. It is stopped when the test is over. */
export async function startHttpServer(options: HttpServerOptions = {}): Promise<TestHttpServer> {
  const { home, vault, caller } = await openTestVault(options.home ?? temporaryFolder(), options.env);
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
    await app.close();
    await listener.close(limit_ms);
  };
  // Nobody waits for an answer any more.
  onTestFinished(() => close(0));
  const key = async (input: CreateKeyInput = {}) => (await vault.api_keys.create(caller(), input)).key;
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

/** A log whose lines go into a list. */
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
  /** The key that it wrote on its first start. */
  readonly admin_key: string;
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Resolves when the process has ended, by whatever. */
  readonly ended: Promise<Ended>;
  /** Sends the signal and resolves when the process has ended. */
  end(signal?: NodeJS.Signals): Promise<Ended>;
}

const READY = /^keyhold listening on (\S+)\n$/;
const START_MS = 15_000;

/** Starts the built `keyhold serve` on a free port; it is killed when the test is over. Rejects if it ends. */
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
