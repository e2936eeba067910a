/** Values that are tested before they are stored, and values that are tested and not stored. */
import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { localCaller } from '../../src/contract/caller.ts';
import { freePort } from '../kit/servers/ports.ts';
import { type Handler, startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { digestState } from '../kit/vault/database.ts';
import { sealFor } from '../kit/vault/sealed.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

const GOOD = 'ghp_good_canary_5f21aa';
const OTHER = 'ghp_other_canary_77c0';
const BAD = 'ghp_bad_canary_90b1e4';
const GITHUB = { service_id: 'github' };
const login = (token: string) => ({ ...GITHUB, credentials: { github_token: token } });

/** Accepts `GOOD` and `OTHER`, refuses `BAD`, and fails for all other values. */
const respond: Handler = ({ headers }, response) => {
  const token = headers.authorization ?? '';
  const status = token.includes(BAD) ? 401 : [GOOD, OTHER].some((one) => token.includes(one)) ? 200 : 503;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(status === 200 ? { login: 'octo', id: 1 } : { message: 'no' }));
};

async function open(handler: Handler = respond) {
  const upstream = await startUpstream(['api.github.com'], handler);
  const home = temporaryFolder();
  const at = await openTestVault(home, upstreamEnv(home));
  const agent = () => localCaller('mcp', 'test');
  return { ...at, upstream, agent };
}

test('values that the service refuses are not stored, and the stored ones stay as they are', async () => {
  const { vault, agent, home, upstream } = await open();
  await vault.update(agent(), login(GOOD));
  await vault.uses.close();
  const { records } = await digestState(home);
  const refused = vault.update(agent(), { ...login(BAD), verify: true });
  await expect(refused).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    reason: 'not_verified',
    retry: false,
  });
  await expect(refused).rejects.toThrow('The service refuses the credential.');
  const failed = vault.update(agent(), { ...login('ghp_unknown_value'), verify: true });
  await expect(failed).rejects.toMatchObject({ reason: 'not_verified', retry: true });
  expect((await digestState(home)).records).toEqual(records);
  expect(upstream.requests).toHaveLength(2);
  const { entries } = await vault.listAudit(localCaller('cli', 'test'));
  expect(JSON.stringify(entries)).not.toContain('canary');
  expect(entries.filter(({ action }) => action === 'use').map(({ use }) => use?.kind)).toEqual([
    'test',
    'test',
  ]);
});

test('values that the service accepts are stored with the result of the test', async () => {
  const { vault, agent } = await open();
  const stored = await vault.store(agent(), {
    ...GITHUB,
    credential_type: 'bearer',
    credential_value: GOOD,
    verify: true,
  });
  expect(stored).toMatchObject({ status: 'stored', test: { result: 'valid', account: 'octo' } });
  const updated = await vault.update(agent(), { ...login(OTHER), verify: true });
  expect(updated).toMatchObject({ updated_fields: ['github_token'], test: { reason: 'accepted' } });
  const { last_test } = await vault.status(agent(), GITHUB);
  expect(last_test).toEqual(updated.test);
  // Other values were not tested.
  await vault.update(agent(), login(BAD));
  expect((await vault.status(agent(), GITHUB)).last_test).toBeNull();
});

test('a credential that changed during the test is not overwritten', async () => {
  let during: (() => Promise<unknown>) | undefined;
  const { vault, agent } = await open((request, response) => {
    void (during?.() ?? Promise.resolve()).then(() => respond(request, response));
  });
  await vault.update(agent(), login(GOOD));
  during = () => vault.update(agent(), login(BAD));
  await expect(vault.update(agent(), { ...login(OTHER), verify: true })).rejects.toMatchObject({
    code: 'CONFLICT',
    reason: 'changed_meanwhile',
  });
  during = undefined;
  expect((await vault.status(agent(), GITHUB)).last_test).toBeNull();
});

test('a protected credential keeps its values while verified ones wait for a person', async () => {
  const { vault, agent } = await open();
  const person = localCaller('cli', 'test');
  await vault.update(person, login(GOOD), { protect: true });
  const refused = vault.update(agent(), { ...login(BAD), verify: true });
  await expect(refused).rejects.toMatchObject({ reason: 'not_verified' });
  expect((await vault.status(agent(), GITHUB)).pending_approval).toBeNull();
  const waiting = await vault.update(agent(), { ...login(OTHER), verify: true });
  expect(waiting).toMatchObject({ status: 'pending_approval', test: { result: 'valid' } });
});

test('a sealed value is used up when it is stored, not when it is tested', async () => {
  const { vault, agent, upstream } = await open();
  const key = await vault.sealingKey(agent());
  const seal = (text: string) => sealFor(key, text, { service: 'github', field: 'github_token' });
  const bad = await seal(BAD);
  const verified = (value: string) => vault.update(agent(), { ...login(value), verify: true });
  await expect(verified(bad)).rejects.toMatchObject({ reason: 'not_verified' });
  const good = await seal(GOOD);
  await verified(good);
  const sent = upstream.requests.length;
  await expect(verified(good)).rejects.toMatchObject({ reason: 'sealed_value_unreadable' });
  expect(upstream.requests).toHaveLength(sent);
});

test('a caller without the scope of uses cannot verify', async () => {
  const { vault, agent, upstream } = await open();
  const caller = { ...agent(), scopes: new Set(['credentials:read', 'credentials:write'] as const) };
  await expect(vault.update(caller, { ...login(GOOD), verify: true })).rejects.toMatchObject({
    code: 'FORBIDDEN',
  });
  expect(upstream.requests).toEqual([]);
});

test('a kept secret is not sent to a host that an update names', async () => {
  const { vault, agent } = await open();
  const host = { host: '127.0.0.1', port: '5432' };
  const credentials = { ...host, username: 'u', password: GOOD, database: 'd' };
  await vault.update(agent(), { service_id: 'postgresql', credentials });
  const server = createServer();
  let connections = 0;
  server.on('connection', (socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const port = String((server.address() as { port: number }).port);
  const moved = { service_id: 'postgresql', credentials: { port }, verify: true };
  await expect(vault.update(agent(), moved)).rejects.toMatchObject({ reason: 'destination_changed' });
  expect(connections).toBe(0);
});

test('given values of private servers fail in the same way after the same time', async () => {
  const { tests, agent } = await open();
  const other = createServer((socket) => socket.on('error', () => undefined).end('220 mail\r\n'));
  const ports: number[] = [await freePort()];
  for (const server of [other]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    ports.push((server.address() as { port: number }).port);
  }
  const targets = [
    ...ports.map((port) => ({ host: '127.0.0.1', port: String(port) })),
    { host: '10.1.2.3', port: '5432' },
    { host: 'missing.invalid', port: '5432' },
  ];
  const outputs = [];
  for (const target of targets) {
    const credentials = { ...target, username: 'u', password: GOOD, database: 'd' };
    const output = await tests.testGiven(agent(), { service_id: 'postgresql', credentials });
    const { latency_ms, tested_at: _, ...rest } = output;
    expect(latency_ms).toBeGreaterThanOrEqual(295);
    expect(latency_ms).toBeLessThan(1_500);
    outputs.push(JSON.stringify(rest));
  }
  expect(new Set(outputs).size).toBe(1);
  expect(outputs[0]).toContain('"reason":"unreachable"');
});

test('more than ten tests of given values a minute are refused', async () => {
  const { tests, agent } = await open();
  const input = { ...GITHUB, credentials: { github_token: GOOD } };
  for (let count = 0; count < 10; count++)
    expect((await tests.testGiven(agent(), input)).result).toBe('valid');
  await expect(tests.testGiven(agent(), input)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
});
