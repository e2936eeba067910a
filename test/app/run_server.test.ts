/** `keyhold serve` with the built program: start, output and shutdown, and that it loses no acknowledged write. */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { runProgram } from '../kit/child/built_program.ts';
import { TEST_CERT, TEST_CERT_KEY } from '../kit/http/certificate.ts';
import { type ServeProcess, startServeProcess } from '../kit/http/http_server.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

const logLines = (stderr: string) =>
  stderr
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the start of serve', () => {
  test('serve prints one line on stdout, logs JSON on stderr, and responds', async () => {
    const server = await startServeProcess();
    expect(server.stdout()).toBe(`keyhold listening on ${server.url}\n`);
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const health = await fetch(`${server.url}/healthz`);
    expect(await health.json()).toEqual({ status: 'ok' });
    expect((await fetch(`${server.url}/metrics`)).status).toBe(200);
    expect((await fetch(`${server.url}/openapi.json`)).status).toBe(200);
    expect((await fetch(`${server.url}/v1/servers`)).status).toBe(401);
    expect(await server.end()).toEqual({ code: 0, signal: null });
    expect(server.stdout()).toBe(`keyhold listening on ${server.url}\n`);
    const lines = logLines(server.stderr());
    expect(lines.find(({ msg }) => msg === 'listening')).toMatchObject({
      url: server.url,
      version: packageJson.version,
    });
    expect(lines.at(-1)).toMatchObject({ msg: 'stopped' });
  });

  test('serve creates the vault and the bootstrap key in a file with mode 0600, and logs its path', async () => {
    const server = await startServeProcess();
    const path = join(server.home, 'keys', 'admin.key');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(server.home, 'keys')).mode & 0o777).toBe(0o700);
    expect(readFileSync(path, 'utf8')).toMatch(/^kh_[0-9a-f]{32}_[\w-]{43}\n$/);
    const msg = expect.stringContaining('Credentials belong to a user');
    await vi.waitFor(() => expect(logLines(server.stderr())[0]).toMatchObject({ path, msg }), {
      timeout: 20_000,
    });
    expect(server.stderr() + server.stdout()).not.toContain(server.admin_key.slice(40));
    const headers = { authorization: `Bearer ${server.admin_key}` };
    expect((await fetch(`${server.url}/v1/servers`, { headers })).status).toBe(200);
  });

  test('serve creates no second bootstrap key at the next start, also if the file was removed', async () => {
    const first = await startServeProcess();
    await first.end();
    const path = join(first.home, 'keys', 'admin.key');
    const second = await startServeProcess({ home: first.home });
    expect(second.admin_key).toBe(first.admin_key);
    expect(second.stderr()).not.toContain('bootstrap API key');
    const headers = { authorization: `Bearer ${first.admin_key}` };
    expect((await fetch(`${second.url}/v1/servers`, { headers })).status).toBe(200);
    await second.end();
    rmSync(path);
    const third = await startServeProcess({ home: first.home });
    expect(existsSync(path)).toBe(false);
    expect((await fetch(`${third.url}/v1/servers`, { headers })).status).toBe(200);
  });

  test('serve exits with 6 and does not overwrite an existing key file', async () => {
    const home = temporaryFolder();
    const path = join(home, 'keys', 'admin.key');
    mkdirSync(join(home, 'keys'), { mode: 0o700 });
    writeFileSync(path, 'of another vault\n');
    const env = { KEYHOLD_HOME: home, KEYHOLD_PORT: '0' };
    const { code, stderr, stdout } = await runProgram(['serve'], { env });
    expect([code, stdout, readFileSync(path, 'utf8')]).toEqual([6, '', 'of another vault\n']);
    expect(stderr).toContain('keys/admin.key');
  });

  test('serve prints the path of the bootstrap key if the log is silent', async () => {
    const server = await startServeProcess({ env: { KEYHOLD_LOG: 'silent' } });
    expect(server.stderr()).toBe(
      `Created the bootstrap API key: ${join(server.home, 'keys', 'admin.key')}. To make others, run keyhold keys create. Credentials belong to a user: a key of another user sees none of them, and all keys of one user share them.\n`,
    );
  });

  test('serve --tls-cert --tls-key serves https', async () => {
    const home = temporaryFolder();
    writeFileSync(join(home, 'cert.pem'), TEST_CERT);
    writeFileSync(join(home, 'key.pem'), TEST_CERT_KEY);
    const files = ['--tls-cert', join(home, 'cert.pem'), '--tls-key', join(home, 'key.pem')];
    const { url } = await startServeProcess({ home, args: ['--host', '0.0.0.0', ...files] });
    expect(url).toMatch(/^https:\/\/0\.0\.0\.0:\d+$/);
    const status = await new Promise((resolve, reject) => {
      const { port } = new URL(url);
      httpsRequest({ host: '127.0.0.1', port, path: '/healthz', ca: TEST_CERT }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .once('error', reject)
        .end();
    });
    expect(status).toBe(200);
  });

  test('serve behind a proxy returns 401 for /metrics without a key', async () => {
    const server = await startServeProcess({ args: ['--behind-proxy'] });
    expect((await fetch(`${server.url}/metrics`)).status).toBe(401);
    // A public URL with another host name implies a proxy, even if no setting mentions one.
    const named = await startServeProcess({ env: { KEYHOLD_PUBLIC_URL: 'https://vault.example.com' } });
    expect((await fetch(`${named.url}/metrics`)).status).toBe(401);
  });
});

describe('a start of serve that fails', () => {
  test('serve exits with 13 and creates no vault if its port is in use', async () => {
    const { url } = await startServeProcess();
    const home = temporaryFolder();
    const { port } = new URL(url);
    const { code, stdout, stderr } = await runProgram(['serve', '--port', port], {
      env: { KEYHOLD_HOME: home },
    });
    expect([code, stdout]).toEqual([13, '']);
    expect(stderr).toBe(
      'error: Another program listens on this port already. Stop it, or choose another with --port or KEYHOLD_PORT.\n',
    );
    expect(existsSync(join(home, 'data'))).toBe(false);
  });

  test.each([
    [['--host', '0.0.0.0'], 2, 'needs TLS'],
    [['--host', 'a b'], 2, 'KEYHOLD_HOST'],
    [['--port', '65536'], 2, 'KEYHOLD_PORT'],
    [['--port', 'http'], 2, 'KEYHOLD_PORT'],
    [['--port', '-1'], 2, 'KEYHOLD_PORT'],
    [['--tls-cert', '/nowhere/cert.pem'], 2, 'KEYHOLD_TLS_KEY must be set too'],
    [['--tls-cert', '/nowhere/cert.pem', '--tls-key', '/nowhere/key.pem'], 2, 'KEYHOLD_TLS_CERT'],
    [['--tls-cert', '', '--tls-key', ''], 2, 'KEYHOLD_TLS_CERT'],
    [
      ['--tls-cert', 'package.json', '--tls-key', 'package.json'],
      2,
      'must be PEM files that belong together',
    ],
    [['hunter2'], 2, 'takes fewer arguments'],
    [['--hunter2'], 2, 'no such option'],
  ] as const)('serve with %j exits with %i and a message', async (args, expected, why) => {
    const env = { KEYHOLD_HOME: temporaryFolder() };
    const { code, stdout, stderr } = await runProgram(['serve', ...args], { env });
    expect([code, stdout]).toEqual([expected, '']);
    expect(stderr).toMatch(/^error: [^\n]+\n$/);
    expect(stderr).toContain(why);
    expect(stderr).not.toContain('hunter2');
    expect(existsSync(join(env.KEYHOLD_HOME, 'data'))).toBe(false);
  });

  test('serve exits with 10 if the root key is missing', async () => {
    const server = await startServeProcess();
    await server.end();
    rmSync(join(server.home, 'keys', 'root.key'));
    const env = { KEYHOLD_HOME: server.home, KEYHOLD_PORT: '0' };
    const { code, stdout, stderr } = await runProgram(['serve'], { env });
    expect([code, stdout]).toEqual([10, '']);
    expect(stderr).toContain('root key');
  });
});

interface Written {
  /** Ids of the credentials that were stored with status 201. */
  readonly acknowledged: string[];
  /** How each writer ended. */
  readonly ends: string[];
}

const WRITERS = 16;

/** Stores one credential after another, each writer on a separate connection, until the server closes the connection. */
async function writeUntilClosed({ url, admin_key }: ServeProcess, written: Written): Promise<void> {
  const store = (agent: Agent, name: string) =>
    new Promise<{ response: IncomingMessage; body: string }>((resolve, reject) => {
      const headers = { 'x-api-key': admin_key, 'content-type': 'application/json' };
      const sent = request(
        `${url}/integrations/credentials`,
        { method: 'POST', headers, agent },
        (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (text: string) => {
            body += text;
          });
          response.once('end', () => resolve({ response, body })).once('error', reject);
        },
      );
      const credentials = { api_key: name };
      const fields = { name, provider: 'api_credential', credential_type: 'api_key', credentials };
      sent.once('error', reject).end(JSON.stringify(fields));
    });
  const writer = async (label: number) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let count = 0; ; count++) {
      const { response, body } = await store(agent, `credential-${label}-${count}`);
      if (response.statusCode !== 201) return `${response.statusCode} ${body}`;
      written.acknowledged.push(String((JSON.parse(body) as { id: unknown }).id));
      if (response.headers.connection === 'close') return 'Connection: close';
    }
  };
  const failed = (error: unknown) =>
    error instanceof Error && 'code' in error ? String(error.code) : 'failed';
  const writers = Array.from({ length: WRITERS }, (_, label) =>
    writer(label)
      .catch(failed)
      .then((end) => void written.ends.push(end)),
  );
  await Promise.all(writers);
}

async function startUnderLoad(): Promise<{ server: ServeProcess; written: Written; ended: Promise<void> }> {
  // The drain: a connection that is idle for longer than half a second is closed after it.
  const env = { KEYHOLD_LOG: 'warn', KEYHOLD_DRAIN_SECONDS: '2' };
  const server = await startServeProcess({ env });
  const written: Written = { acknowledged: [], ends: [] };
  const ended = writeUntilClosed(server, written);
  const give_up_at = Date.now() + 20_000;
  while (written.acknowledged.length < 100 && Date.now() < give_up_at) await sleep(20);
  expect(written.ends).toEqual([]);
  return { server, written, ended };
}

/** Fails unless all credentials exist and the audit log and the file are intact. */
async function expectIntact(home: string, ids: readonly string[]): Promise<void> {
  const { vault, caller } = await openTestVault(home);
  expect(ids.length).toBeGreaterThanOrEqual(100);
  for (const id of ids) await vault.credentials.get(caller(), id);
  expect(await vault.verifyAudit(caller())).toMatchObject({ findings: [] });
  expect((await vault.health()).ok).toBe(true);
}

describe('serve under load', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    'serve finishes the requests in flight after %s, loses no write and exits with 0',
    async (signal) => {
      const { server, written, ended } = await startUnderLoad();
      expect(await server.end(signal)).toEqual({ code: 0, signal: null });
      await ended;
      expect(written.ends).toEqual(Array(WRITERS).fill('Connection: close'));
      await expectIntact(server.home, written.acknowledged);
    },
    60_000,
  );

  test('serve loses no acknowledged write when it is killed', async () => {
    const { server, written, ended } = await startUnderLoad();
    expect(await server.end('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
    await ended;
    const again = await startServeProcess({ home: server.home });
    expect((await fetch(`${again.url}/healthz`)).status).toBe(200);
    await again.end();
    await expectIntact(server.home, written.acknowledged);
  }, 60_000);
});

test('a signal more than a second after the first one ends a server that waits for a client', async () => {
  const server = await startServeProcess();
  const { hostname, port } = new URL(server.url);
  const headers = {
    'x-api-key': server.admin_key,
    'content-type': 'application/json',
    'content-length': '100',
  };
  const slow = request({ hostname, port, path: '/v1/stacks', method: 'POST', headers });
  slow.once('error', () => undefined).write('{');
  await sleep(300);
  process.kill(server.pid, 'SIGTERM');
  await expect.poll(() => server.stderr(), { timeout: 20_000 }).toContain('"msg":"stopping"');
  await sleep(1_100);
  expect(await server.end('SIGTERM')).toEqual({ code: null, signal: 'SIGTERM' });
});

test('an uncaught exception ends the server and is logged without its message', async () => {
  const home = temporaryFolder();
  const module = join(home, 'failing.mjs');
  writeFileSync(
    module,
    "process.once('SIGUSR2', () => console.log('hunter2'));\n" +
      "process.once('SIGUSR2', () => setTimeout(() => Promise.reject(new TypeError('hunter2')), 100));\n",
  );
  const server = await startServeProcess({ home, env: { NODE_OPTIONS: `--import=${module}` } });
  process.kill(server.pid, 'SIGUSR2');
  expect(await server.ended).toEqual({ code: 1, signal: null });
  expect(server.stdout()).toBe(`keyhold listening on ${server.url}\n`);
  expect(server.stderr()).not.toContain('hunter2');
  const lines = logLines(server.stderr());
  expect(lines.map(({ msg }) => msg)).toContain('a library wrote to the console');
  expect(lines.at(-1)).toMatchObject({
    msg: 'uncaught exception',
    failure: [{ name: 'TypeError' }],
  });
});
