/** Notifications by webhook: their causes and content, and that no caller waits for them. */
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { compose } from '../../../src/app/compose.ts';
import { Notifier } from '../../../src/app/notify/notifier.ts';
import type { Waiting } from '../../../src/contract/approval.ts';
import type { Caller } from '../../../src/contract/caller.ts';
import type { UseRequest } from '../../../src/vault/uses/use.ts';
import { findCanary, newCanary } from '../../kit/canary.ts';
import { startProgram } from '../../kit/child/built_program.ts';
import { collectingLog, type LogLine, startServeProcess } from '../../kit/http/http_server.ts';
import { connectStdioClient } from '../../kit/mcp/stdio_client.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { test_engine } from '../../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { startReceiver } from './webhook_receiver.ts';

const GITHUB = { service_id: 'github' };
const ACCESS = { ...GITHUB, reason: 'Read issues.' };
const POST: UseRequest = {
  kind: 'http',
  method: 'POST',
  origin: 'https://api.github.com',
  path: '/repos/acme/web/issues',
  hash: 'of the request',
  summary: 'POST https://api.github.com/repos/acme/web/issues?email=ann',
  body: '{"title":"a secret plan"}',
};
const DELIVERY = { timeout: 10_000 };
/** Less than the time limit of a delivery. */
const CALL_MAX_MS = 2_000;

async function openAgent(env: NodeJS.ProcessEnv) {
  const { vault, home, caller } = await openTestVault(temporaryFolder(), env);
  const agent: Caller = { ...caller(), edge: 'mcp', claimed_client: 'agent 1.0' };
  const person: Caller = { ...caller(), edge: 'cli' };
  const use = async (hash = POST.hash) => {
    const credential = await vault.uses.find(agent, GITHUB);
    return outcomeOf(vault.uses.authorize(agent, credential, { ...POST, hash }));
  };
  return { vault, home, agent, person, use };
}

describe('a webhook gets a signed notification', () => {
  test('when a use, an access request, protected values and a handle begin to wait, once for each', async () => {
    const receiver = await startReceiver();
    const { vault, agent, person, use } = await openAgent(receiver.env);
    const old = newCanary();
    const canary = newCanary();
    const value = ({ word }: { word: string }) =>
      ({ ...GITHUB, credential_type: 'bearer', credential_value: `ghp_${word}` }) as const;
    await vault.store(person, value(old), { protect: true });
    await vault.use_policies.set(person, { ...GITHUB, use_policy: { approve: 'writes' } });
    expect([await use(), await use()]).toEqual(Array(2).fill('FORBIDDEN approval_required'));
    await vault.store(agent, value(canary));
    const linear = { service_id: 'linear', reason: 'Read tickets.' };
    const { code, approval_id } = await vault.approvals.access.request(agent, linear);
    await vault.approvals.access.request(agent, linear);
    const handle = await vault.handles.create(agent, { service_id: 'openai' });
    await expect.poll(() => receiver.received.length, DELIVERY).toBe(4);
    const data = receiver.received.map(({ body }) => body.data);
    const base = { organization: 'local', user: 'me', url: null };
    expect(data).toMatchObject([
      {
        ...base,
        kind: 'request',
        summary: 'mcp, client agent 1.0 requests POST https://api.github.com/repos/acme/web/issues',
        code: null,
      },
      { ...base, kind: 'stored_values', summary: 'new values for github: github_token' },
      { ...base, kind: 'access_request', summary: 'an agent requests Linear', code, approval_id },
      {
        ...base,
        kind: 'handle',
        approval_id: null,
        summary: 'an agent requests values for OpenAI: openai_api_key',
        code: handle.code,
        expires_at: handle.expires_at,
      },
    ]);
    for (const { id, is_signed, path, body, text } of receiver.received) {
      expect([is_signed, path, body.type]).toEqual([true, '/hooks/keyhold?team=1', 'request.waiting']);
      expect(id).toMatch(/^msg_\w{26}$/);
      expect(Math.abs(Date.parse(body.timestamp) - Date.now())).toBeLessThan(60_000);
      expect(Date.parse(String(body.data.expires_at))).toBeGreaterThan(Date.now());
      for (const secret of [old, canary]) expect(findCanary(text, secret)).toEqual([]);
      for (const hidden of [handle.handle, 'email=ann', 'secret plan']) expect(text).not.toContain(hidden);
    }
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(4);
  });

  test('not if a person requests a page on the web, and not if a request is refused', async () => {
    const receiver = await startReceiver();
    const { vault, agent } = await openAgent(receiver.env);
    await vault.handles.create({ ...agent, edge: 'web', is_person: true }, GITHUB);
    expect(await outcomeOf(vault.approvals.access.request(agent, { ...ACCESS, reason: '' }))).toBe(
      'INVALID_INPUT',
    );
    await vault.approvals.access.request(agent, ACCESS);
    await expect.poll(() => receiver.received.length, DELIVERY).toBe(1);
    expect(receiver.received[0]?.body.data.kind).toBe('access_request');
  });

  test('again with the same id after the status 503, and three times at most without success', async () => {
    const receiver = await startReceiver((before) => (before === 1 ? 204 : 503));
    const { vault, agent } = await openAgent(receiver.env);
    await vault.approvals.access.request(agent, ACCESS);
    await expect.poll(() => receiver.received.length, DELIVERY).toBe(2);
    await vault.approvals.access.request(agent, { ...ACCESS, service_id: 'linear' });
    await expect.poll(() => receiver.received.length, DELIVERY).toBe(5);
    await sleep(1_500);
    const ids = receiver.received.map(({ id, is_signed }) => is_signed && id);
    expect(ids).toEqual([ids[0], ids[0], ids[2], ids[2], ids[2]]);
    expect(new Set(ids).size).toBe(2);
  });

  test('from keyhold mcp, which exits within seconds although the receiver never responds', async () => {
    const receiver = await startReceiver(() => undefined);
    const env = { KEYHOLD_HOME: temporaryFolder(), ...receiver.env };
    const client = await connectStdioClient(startProgram(['mcp'], { env }));
    expect((await client.call('request_access', ACCESS)).error).toBeUndefined();
    await expect.poll(() => receiver.received.length, DELIVERY).toBe(1);
    const started = performance.now();
    expect(await client.end()).toBe(0);
    const span_ms = performance.now() - started;
    expect(span_ms).toBeGreaterThan(500);
    expect(span_ms).toBeLessThan(4_500);
    expect(receiver.received[0]?.is_signed).toBe(true);
  });

  test('from keyhold serve, with the URL of a page that exists', async () => {
    const receiver = await startReceiver();
    const server = await startServeProcess({ env: receiver.env });
    const headers = { authorization: `Bearer ${server.admin_key}`, 'content-type': 'application/json' };
    const post = { method: 'POST', headers, body: JSON.stringify(ACCESS) };
    const response = await fetch(`${server.url}/v1/access-requests`, post);
    const { approval_id } = (await response.json()) as { approval_id: string };
    await expect.poll(() => receiver.received.length, DELIVERY).toBe(1);
    const url = `${server.url}/dashboard/approvals/${approval_id}`;
    expect(receiver.received[0]).toMatchObject({ is_signed: true, body: { data: { url, approval_id } } });
    const page = await fetch(url, { redirect: 'manual' });
    expect(page.headers.get('location')).toContain(encodeURIComponent(new URL(url).pathname));
    expect((await server.end()).code).toBe(0);
  });
});

describe('a caller', () => {
  test('has its result at once if the receiver never responds or refuses connections', async () => {
    const slow = await startReceiver(() => undefined);
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const address = closed.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    await new Promise((resolve) => closed.close(resolve));
    for (const url of [slow.url, `http://127.0.0.1:${port}/`]) {
      const { vault, agent } = await openAgent({ ...slow.env, KEYHOLD_NOTIFY_WEBHOOK: url });
      for (const service_id of ['github', 'linear', 'openai']) {
        const started = performance.now();
        await vault.approvals.access.request(agent, { ...ACCESS, service_id });
        expect(performance.now() - started).toBeLessThan(CALL_MAX_MS);
      }
    }
    expect(slow.received.length).toBeLessThanOrEqual(1);
  });

  test('causes no request if no notification is set', async () => {
    const receiver = await startReceiver();
    const { vault, agent } = await openAgent({});
    await vault.approvals.access.request(agent, ACCESS);
    await vault.handles.create(agent, GITHUB);
    await sleep(300);
    expect(receiver.received).toEqual([]);
  });

  test('cannot open the vault with an invalid setting', async () => {
    const home = temporaryFolder();
    const settings = { KEYHOLD_HOME: home, ...test_engine.settings(home) };
    const app = compose({
      env: { ...settings, KEYHOLD_NOTIFY_WEBHOOK: 'https://hooks.example' },
      promptSecret: async () => undefined,
      now: () => new Date(),
    });
    expect(await outcomeOf(app.openVault('if_new', 'mcp'))).toBe('INVALID_INPUT setting_invalid');
    await app.closeEgress();
  });
});

describe('the notifier', () => {
  const waiting = (user: string, summary: string): Waiting => ({
    kind: 'handle',
    approval_id: null,
    organization: 'acme',
    user,
    summary,
    code: null,
    created_at: '2026-01-01T00:00:00.000Z',
    expires_at: '2026-01-02T00:00:00.000Z',
  });

  test('sends 20 notifications a minute of a user and one that more wait', async () => {
    const receiver = await startReceiver();
    const { vault, agent, person, use } = await openAgent(receiver.env);
    await vault.store(person, { ...GITHUB, credential_type: 'bearer', credential_value: 'ghp_0123456789' });
    await vault.use_policies.set(person, { ...GITHUB, use_policy: { approve: 'writes' } });
    for (let at = 0; at < 25; at++) expect(await use(`${at}`)).toBe('FORBIDDEN approval_required');
    await expect.poll(() => receiver.received.length, DELIVERY).toBe(21);
    await vault.approvals.access.request(agent, ACCESS);
    await sleep(300);
    const kinds = receiver.received.map(({ body }) => body.data.kind);
    expect(kinds).toEqual([...Array(20).fill('request'), 'more']);
    expect(receiver.received[20]?.body.data).toMatchObject({ approval_id: null, code: null, url: null });
  });

  test('keeps at most 100 notifications for a channel and logs one failure a minute, without the message of the error', async () => {
    const canary = newCanary();
    const lines: LogLine[] = [];
    const delivered: string[] = [];
    const notifier = new Notifier({
      channels: {
        stuck: (_, signal) =>
          new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('end')))),
        failing: async ({ user }) => {
          delivered.push(user);
          throw new Error(canary.value);
        },
      },
      baseUrl: () => 'https://vault.example',
      log: collectingLog(lines),
    });
    for (let at = 0; at < 150; at++) notifier.notify(waiting(`user${at}`, canary.value));
    await sleep(50);
    expect(delivered).toHaveLength(100);
    const started = performance.now();
    await notifier.close();
    expect(performance.now() - started).toBeLessThan(4_000);
    notifier.notify(waiting('late', 'late'));
    await sleep(50);
    expect(delivered).not.toContain('late');
    expect(lines.map(({ fields, message }) => [fields.channel, message])).toEqual([
      ['stuck', 'notifications are dropped: too many wait'],
      ['failing', 'notifications are dropped: too many wait'],
    ]);
    expect(findCanary(JSON.stringify(lines), canary)).toEqual([]);
  });

  test('logs the failure of a delivery once a minute, without the message of the error', async () => {
    const canary = newCanary();
    const lines: LogLine[] = [];
    const failing = async () => {
      throw new Error(canary.value);
    };
    const notifier = new Notifier({
      channels: { failing },
      baseUrl: () => undefined,
      log: collectingLog(lines),
    });
    for (let at = 0; at < 10; at++) notifier.notify(waiting('ann', canary.value));
    await notifier.close();
    expect(lines).toMatchObject([
      { level: 'warn', message: 'a notification failed', fields: { channel: 'failing' } },
    ]);
    expect(findCanary(JSON.stringify(lines), canary)).toEqual([]);
  });
});
