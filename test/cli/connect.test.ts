/** `keyhold connect` with the built program, against oidc-provider: it receives the callback itself, or opens the page of the server. */
import type { ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { runProgram, startProgram } from '../kit/child/built_program.ts';
import { keyhold, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import { PageClient } from '../kit/http/page_client.ts';
import { type OidcOptions, startOidcProvider } from '../kit/servers/oidc_provider.ts';
import { freePort } from '../kit/servers/ports.ts';
import { upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { CLIENT_VALUES, oauthDefinition } from '../oauth/oauth_kit.ts';

const CALLBACK = '/dashboard/oauth/callback';
const STARTED_MS = 20_000;

/** A home with the service of the test, a provider, and a port that is registered there. */
async function setup(options: OidcOptions = {}) {
  const port = await freePort();
  const redirect_uri = `http://127.0.0.1:${port}${CALLBACK}`;
  const oidc = await startOidcProvider({ redirect_uris: [redirect_uri], ...options });
  const home = temporaryFolder();
  const env = { KEYHOLD_HOME: home, KEYHOLD_PORT: String(port), ...upstreamEnv(home) };
  const file = join(home, 'acme.json');
  writeFileSync(file, JSON.stringify(oauthDefinition()));
  const added = await runProgram(['services', 'add', file, '--yes'], { env });
  expect([added.code, added.stderr]).toEqual([0, expect.any(String)]);
  return { oidc, home, env, port, redirect_uri };
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  stdout(): string;
  stderr(): string;
  /** The first line of stderr that is a URL of the provider. */
  authorizationUrl(): Promise<string>;
}

function start(args: readonly string[], { env }: { readonly env: NodeJS.ProcessEnv }, input = ''): Running {
  const child = startProgram(args, { env });
  child.stdin?.end(input);
  const texts = { out: '', err: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    texts.out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    texts.err += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return {
    child,
    ended,
    stdout: () => texts.out,
    stderr: () => texts.err,
    async authorizationUrl() {
      await expect.poll(() => texts.err, { timeout: STARTED_MS }).toMatch(/Waiting for/);
      return /^https:\/\/\S+$/m.exec(texts.err)?.[0] ?? '';
    },
  };
}

const connectArgs = ['connect', 'acme', '--no-browser'];
const client_json = JSON.stringify(CLIENT_VALUES);

describe('keyhold connect without a server', () => {
  test('stores the tokens after the callback of the browser, and prints no secret', async () => {
    const prepared = await setup();
    const { oidc, env, redirect_uri } = prepared;
    const running = start(connectArgs, prepared, client_json);
    const url = await running.authorizationUrl();
    expect(running.stderr().split('\n')).toContain(redirect_uri);
    const callback = await oidc.approve(url);
    expect(callback.origin + callback.pathname).toBe(redirect_uri);
    const browser = new PageClient(callback.origin);
    const response = await browser.get(callback.pathname + callback.search);
    expect(response.status).toBe(303);
    expect(response.location).toMatch(/^\/dashboard\/oauth\/\w+$/);
    const page = await browser.get(String(response.location));
    expect(page.text).toContain('Connected');
    expect(await running.ended).toBe(0);
    expect(running.stdout()).toMatch(/^Connected Acme\.\n(?:.*\n)*Next: keyhold test acme\n$/);
    const code = callback.searchParams.get('code') ?? '';
    for (const secret of [CLIENT_VALUES.client_secret, code])
      expect(running.stdout() + running.stderr()).not.toContain(secret);
    const status = await runProgram(['status', 'acme', '--json'], { env });
    expect(JSON.parse(status.stdout)).toMatchObject({
      status: 'active',
      credential_type: 'oauth2',
      optional_credentials: { access_token: 'added', refresh_token: 'added', client_secret: 'added' },
    });
    await expect(fetch(callback)).rejects.toThrow();
  }, 60_000);

  test('--json prints the connected credential, and a stored client id is not read again', async () => {
    const prepared = await setup();
    const { oidc, env } = prepared;
    const stored = await runProgram(['update', 'acme', '--create', '--stdin', '--name', 'work'], {
      env,
      input: client_json,
    });
    expect(stored.code).toBe(0);
    const running = start([...connectArgs, '--name', 'work', '--json'], prepared);
    await fetch(await oidc.approve(await running.authorizationUrl()));
    expect(await running.ended).toBe(0);
    expect(JSON.parse(running.stdout())).toMatchObject({
      service_id: 'acme',
      name: 'work',
      stack_id: 'default',
      is_refreshable: true,
      missing_scopes: [],
    });
  }, 60_000);

  test('reports that the person declined with exit code 4', async () => {
    const prepared = await setup({ decide: 'deny' });
    const running = start(connectArgs, prepared, client_json);
    const callback = await prepared.oidc.approve(await running.authorizationUrl());
    await fetch(callback);
    expect(await running.ended).toBe(4);
    expect(running.stderr()).toContain('declined');
    expect(running.stdout()).toBe('');
  }, 60_000);

  test('a forged state and other paths do not end it; the true callback does', async () => {
    const prepared = await setup();
    const { oidc, port } = prepared;
    const running = start(connectArgs, prepared, client_json);
    const url = await running.authorizationUrl();
    const base = `http://127.0.0.1:${port}`;
    const forged = await new PageClient(base).get(`${CALLBACK}?code=x&state=${'A'.repeat(43)}`);
    expect([forged.status, forged.text.includes('Connected')]).toEqual([303, false]);
    for (const path of ['/dashboard', '/dashboard/keys', '/v1/credentials', '/healthz'])
      expect((await fetch(base + path)).status, path).toBe(404);
    expect(running.child.exitCode).toBe(null);
    await fetch(await oidc.approve(url));
    expect(await running.ended).toBe(0);
  }, 60_000);

  test('a browser gets the URL from a file of the owner, not from an argument, and Ctrl-C ends it cleanly', async () => {
    const prepared = await setup();
    const { env, home, port } = prepared;
    const folder = temporaryFolder();
    const opened = join(folder, 'opened');
    writeFileSync(join(folder, 'xdg-open'), `#!/bin/sh\necho "$@" > ${opened}\n`);
    chmodSync(join(folder, 'xdg-open'), 0o755);
    const path = `${folder}:${process.env.PATH}`;
    const running = start(['connect', 'acme'], { env: { ...env, PATH: path } }, client_json);
    const url = await running.authorizationUrl();
    const file = join(home, 'run', 'connect.html');
    expect(readFileSync(opened, 'utf8').trim()).toBe(file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toContain(url.replaceAll('&', '&amp;'));
    running.child.kill('SIGINT');
    expect(await running.ended).toBe(130);
    expect(existsSync(file)).toBe(false);
    expect(running.stderr()).not.toMatch(/error|Error/);
    await expect(fetch(`http://127.0.0.1:${port}${CALLBACK}`)).rejects.toThrow();
  }, 60_000);

  test('a port that is in use is reported before a value is read', async () => {
    const prepared = await setup();
    const { env, port } = prepared;
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const { code, stderr } = await runProgram(connectArgs, { env, input: client_json });
    expect(code).toBe(13);
    expect(stderr).toContain(`Port ${port}`);
    expect(stderr).toContain('KEYHOLD_PORT');
    const status = await runProgram(['status', 'acme', '--json'], { env });
    expect(JSON.parse(status.stdout)).toMatchObject({ status: 'missing' });
  }, 60_000);
});

describe('keyhold connect in a terminal', () => {
  test('prompts for the missing client id with echo and for its secret without, then waits', async () => {
    const { env, oidc, home, port } = await setup();
    const secret = CLIENT_VALUES.client_secret;
    let shown = '';
    const running = keyhold(home, connectArgs, {
      env,
      terminal: true,
      typed: [
        [/client_id/, `${CLIENT_VALUES.client_id}\r`],
        [/client_secret/, `${secret}\r`],
      ],
      change: (app) => {
        app.stderr.on('data', (chunk: Buffer) => {
          shown += String(chunk);
        });
        return app;
      },
    });
    await expect.poll(() => shown, { timeout: STARTED_MS }).toContain('Waiting for Acme');
    const url = /^https:\/\/auth\.acme\.test\/auth\S+$/m.exec(shown)?.[0] ?? '';
    const callback = await oidc.approve(url);
    expect(callback.port).toBe(String(port));
    await fetch(callback);
    const { code, stderr } = await running;
    expect([code, stderr.includes(secret)]).toEqual([0, false]);
  }, 60_000);
});

describe('keyhold connect --device', () => {
  test('prints the code and the address, and ends when the person has confirmed it', async () => {
    const prepared = await setup();
    const running = start(['connect', 'acme', '--device'], prepared, client_json);
    await expect.poll(() => running.stderr(), { timeout: STARTED_MS }).toMatch(/Waiting for/);
    const lines = running.stderr().split('\n');
    const address = lines.find((line) => line.startsWith('https://auth.acme.test/')) ?? '';
    const code = lines[lines.indexOf('Enter this code:') + 1] ?? '';
    expect(code).toMatch(/^[\w-]{6,}$/);
    await prepared.oidc.enterCode(address, code);
    expect(await running.ended).toBe(0);
    expect(running.stdout()).toContain('Connected Acme.');
  }, 60_000);

  test('ends with exit code 4 when the person declines, and with 130 at Ctrl-C', async () => {
    const prepared = await setup();
    const running = start(['connect', 'acme', '--device'], prepared, client_json);
    await expect.poll(() => running.stderr(), { timeout: STARTED_MS }).toMatch(/Waiting for/);
    const lines = running.stderr().split('\n');
    const address = lines.find((line) => line.startsWith('https://auth.acme.test/')) ?? '';
    const code = lines[lines.indexOf('Enter this code:') + 1] ?? '';
    await prepared.oidc.enterCode(address, code, 'abort');
    expect([await running.ended, running.stdout()]).toEqual([4, '']);
    expect(running.stderr()).toContain('declined');
    const again = start(['connect', 'acme', '--device'], prepared);
    await expect.poll(() => again.stderr(), { timeout: STARTED_MS }).toMatch(/Waiting for/);
    again.child.kill('SIGINT');
    expect([await again.ended, again.stdout()]).toEqual([130, '']);
  }, 90_000);
});

describe('keyhold connect with a server', () => {
  test('opens the page of the service there, signed in, and no page of another site', async () => {
    const { env, home } = await setup();
    const server = await startServeProcess({ home, env: { ...env, KEYHOLD_PORT: '0' } });
    const running = start([...connectArgs, '--name', 'work'], { env });
    await expect.poll(() => running.stdout(), { timeout: STARTED_MS }).toContain('\n');
    const page_url = `${server.url}/dashboard/connect/acme?name=work`;
    expect(running.stderr().split('\n')).toContain(page_url);
    const file = readFileSync(running.stdout().trim(), 'utf8');
    const [, ticket = ''] = /name="ticket" value="([^"]+)"/.exec(file) ?? [];
    const [, next = ''] = /name="next" value="([^"]+)"/.exec(file) ?? [];
    expect(next).toBe('/dashboard/connect/acme?name=work');
    const from_file = { origin: 'null', 'sec-fetch-site': 'cross-site' };
    const browser = new PageClient(server.url);
    const signed_in = await browser.post('/dashboard/sign-in/ticket', { ticket, next }, from_file);
    expect([signed_in.status, signed_in.location]).toEqual([303, next]);
    expect((await browser.get(next)).status).toBe(200);
    expect(await running.ended).toBe(0);
    const again = start(connectArgs, { env });
    await expect.poll(() => again.stdout(), { timeout: STARTED_MS }).toContain('\n');
    const [, other = ''] =
      /name="ticket" value="([^"]+)"/.exec(readFileSync(again.stdout().trim(), 'utf8')) ?? [];
    const evil = { ticket: other, next: 'https://evil.example/dashboard' };
    const redirected = await browser.post('/dashboard/sign-in/ticket', evil, from_file);
    expect([redirected.status, redirected.location]).toEqual([303, '/dashboard']);
  }, 60_000);
});

describe('what keyhold connect refuses', () => {
  let home: string;
  beforeEach(() => {
    home = newHome();
  });
  afterEach(() => removeHome(home));

  test.each([
    ['an unknown service', 5, ['connect', 'no_such_service'], {}],
    ['a service without OAuth', 2, ['connect', 'openai'], {}],
    ['a service without a device code', 2, ['connect', 'slack', '--device'], {}],
    ['the vault of another server', 2, ['connect', 'github'], { KEYHOLD_URL: 'https://keyhold.example.com' }],
  ] as const)('%s: exit code %i, nothing on stdout, and no credential', async (_, code, argv, env) => {
    const run = await keyhold(home, argv, { env });
    expect([run.code, run.stdout]).toEqual([code, '']);
    expect(run.stderr).toMatch(/^error: /m);
    expect(run.stderr).not.toContain('INTERNAL');
  });

  test.each([
    ['nothing', ''],
    ['a field that comes from the provider', '{"github_token":"gho_x"}'],
    ['only the secret', '{"github_client_secret":"x"}'],
    ['text that is no object', 'my-client-id'],
  ])('%s on standard input for a missing client id: exit code 2', async (_, stdin) => {
    const port = String(await freePort());
    const run = await keyhold(home, ['connect', 'github'], { stdin, env: { KEYHOLD_PORT: port } });
    expect([run.code, run.stdout]).toEqual([2, '']);
    expect(run.stderr).toContain(`http://127.0.0.1:${port}${CALLBACK}`);
    expect(await keyholdOk(home, ['status'])).not.toContain('github');
  });

  test('completion offers the services that can be connected only', async () => {
    const offered = (await keyholdOk(home, ['__complete', '--', 'connect', ''])).split('\n');
    expect(offered).toContain('github');
    expect(offered).not.toContain('openai');
  });
});
