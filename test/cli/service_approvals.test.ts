/** `keyhold services approve`, and what commands and servers do with definitions that are not approved. */
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Finding } from '../../src/cli/commands/doctor/finding.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import { INTRANET } from '../kit/vault/custom_service.ts';

const VALUE = { stdin: 'tok-0123456789' };
const EVIL = { ...INTRANET, hosts: ['intranet.example.com', 'evil.example.org'] };
let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

const file = () => path.join(home, 'services', 'intranet.json');
function dropIn(definition: object): void {
  fs.mkdirSync(path.dirname(file()), { recursive: true, mode: 0o700 });
  fs.writeFileSync(file(), JSON.stringify(definition));
}
const add = (definition: object, ...options: string[]) =>
  keyhold(home, ['services', 'add', '-', ...options], { stdin: JSON.stringify(definition) });
const approve = (...options: string[]) => keyhold(home, ['services', 'approve', 'intranet', ...options]);

async function definitionsFinding(): Promise<Finding | undefined> {
  const { stdout } = await keyhold(home, ['doctor', '--json']);
  return (JSON.parse(stdout) as { checks: Finding[] }).checks.find(({ check }) => check === 'definitions');
}

describe('a definition file that was dropped in', () => {
  test('is refused by store, and list, show and doctor report it', async () => {
    await keyholdOk(home, ['init']);
    dropIn(INTRANET);
    const stored = await keyhold(home, ['store', 'intranet'], VALUE);
    expect(stored.code).toBe(4);
    expect(stored.stderr).toContain('`keyhold services approve intranet`');
    expect(await keyholdOk(home, ['services', 'list', 'intranet'])).toContain(
      'intranet: not approved, so not used',
    );
    expect(await keyholdOk(home, ['services', 'show', 'intranet'])).toMatch(
      /state +not approved, so not used/,
    );
    expect(await keyholdJson(home, ['services', 'list', 'intranet'])).toMatchObject({
      services: [{ service_id: 'intranet', state: 'new' }],
    });
    expect(await definitionsFinding()).toMatchObject({
      state: 'warn',
      message: expect.stringContaining('intranet (new)'),
    });
  });

  test('is reported as not approved before there is a vault, and no vault is created', async () => {
    dropIn(INTRANET);
    expect(await keyholdJson(home, ['services', 'show', 'intranet'])).toMatchObject({ state: 'new' });
    expect(fs.existsSync(path.join(home, 'data'))).toBe(false);
  });

  test('is reported as unknown if the vault does not open without a passphrase', async () => {
    const env = { KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: 'correct horse' };
    await keyholdOk(home, ['init'], { env });
    dropIn(INTRANET);
    const without = { env: { KEYHOLD_ROOT_KEY: 'passphrase' } };
    expect(await keyholdJson(home, ['services', 'show', 'intranet'], without)).toMatchObject({
      state: 'unknown',
    });
  });

  test('is approved only with a confirmation or --yes', async () => {
    dropIn(INTRANET);
    const without = await approve();
    expect(without).toMatchObject({ code: 2, stdout: '' });
    expect(without.stderr).toContain('sends to    intranet.example.com');
    expect(without.stderr).toContain('add --yes');
    const no = await keyhold(home, ['services', 'approve', 'intranet'], {
      terminal: true,
      typed: [[/Approve this definition\?/, 'n']],
    });
    expect(no.stderr).toContain('Nothing was approved.');
    expect((await keyhold(home, ['store', 'intranet'], VALUE)).code).toBe(4);
    const yes = await keyhold(home, ['services', 'approve', 'intranet'], {
      terminal: true,
      typed: [[/Approve this definition\?/, 'y']],
    });
    expect(yes.stdout).toContain('Approved Intranet (intranet).');
    await keyholdOk(home, ['store', 'intranet'], VALUE);
    expect(JSON.parse((await approve('--json')).stdout)).toEqual({
      service_id: 'intranet',
      state: 'approved',
      changed: false,
    });
    expect(await definitionsFinding()).toMatchObject({ state: 'ok' });
  });

  test('is not approved with a host that the operator does not list', async () => {
    dropIn({ ...INTRANET, hosts: ['intranet.corp.internal'] });
    const refused = await approve('--yes');
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(
      'intranet.json: hosts[0]: has a host of this machine or a local network',
    );
    await keyholdOk(home, ['services', 'approve', 'intranet', '--yes'], {
      env: { KEYHOLD_EGRESS_ALLOW: 'intranet.corp.internal' },
    });
    await keyholdOk(home, ['store', 'intranet'], VALUE);
  });
});

describe('a definition file that was swapped after services add', () => {
  test('is refused for use and storing until approve, which shows what changed', async () => {
    await add(INTRANET, '--yes');
    await keyholdOk(home, ['store', 'intranet'], VALUE);
    dropIn({ ...EVIL, injection: { in: 'query', query: { key: '{token}' } } });
    const called = await keyhold(home, ['call', 'intranet', 'GET', '/me']);
    expect(called.code).toBe(4);
    expect(called.stderr).toContain('was changed after it was approved');
    expect((await keyhold(home, ['store', 'intranet'], VALUE)).code).toBe(4);
    expect(await keyholdOk(home, ['services', 'list', 'intranet'])).toContain('intranet: changed after');
    expect((await definitionsFinding())?.message).toContain('intranet (changed)');
    const shown = (await approve()).stderr;
    expect(shown).toContain('+ sends to    evil.example.org');
    expect(shown).toContain('- secrets in  header Authorization: Bearer {token}');
    expect(shown).toContain('+ secrets in  query key: {token}');
    expect((await approve('--yes')).code).toBe(0);
    // The credential is still bound to the hosts that it was stored for.
    expect(await keyholdJson(home, ['status', 'intranet'])).toMatchObject({ status: 'needs_review' });
    expect(await keyholdJson(home, ['audit', 'verify'])).toMatchObject({ ok: true });
  });

  test('is refused by a server that starts with it, and has no effect on one that runs', async () => {
    await add(INTRANET, '--yes');
    await keyholdOk(home, ['store', 'intranet'], VALUE);
    const store = (url: string, key: string) =>
      keyhold(home, ['store', 'intranet'], { ...VALUE, env: { KEYHOLD_URL: url, KEYHOLD_API_KEY: key } });
    const first = await startServeProcess({ home });
    expect((await store(first.url, first.admin_key)).code).toBe(0);
    dropIn(EVIL);
    const listed = await fetch(`${first.url}/v1/service-definitions`, {
      headers: { Authorization: `Bearer ${first.admin_key}` },
    });
    expect(await listed.text()).not.toContain('evil.example.org');
    const second = await startServeProcess({ home });
    const refused = await fetch(`${second.url}/v1/credentials`, {
      method: 'PUT',
      headers: { Authorization: `Bearer ${first.admin_key}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({
        service_id: 'intranet',
        credential_type: 'bearer',
        credential_value: 'tok-0123456789',
      }),
    });
    expect(refused.status).toBe(403);
    const text = await refused.text();
    expect(text).toContain('keyhold services approve intranet');
    expect(text).not.toContain('evil.example.org');
    const definitions = await fetch(`${second.url}/v1/service-definitions`, {
      headers: { Authorization: `Bearer ${first.admin_key}` },
    });
    expect(await definitions.text()).not.toContain('"intranet"');
  });
});

describe('services add over a service that exists', () => {
  test('shows the differences, and changes nothing without a confirmation', async () => {
    await add(INTRANET, '--yes');
    const before = fs.readFileSync(file(), 'utf8');
    const shown = await add(EVIL);
    expect(shown.code).toBe(2);
    expect(shown.stderr).toContain('Changes:\n+ sends to    evil.example.org');
    expect(fs.readFileSync(file(), 'utf8')).toBe(before);
    expect((await add(INTRANET)).stderr).toContain('Equal to the present definition.');
  });

  test('replaces it, and credentials wait for a review if its hosts changed', async () => {
    await add(INTRANET, '--yes');
    await keyholdOk(home, ['store', 'intranet'], VALUE);
    expect((await add({ ...INTRANET, description: 'Other text.' }, '--yes')).stdout).toContain('Replaced');
    expect(await keyholdJson(home, ['status', 'intranet'])).toMatchObject({ status: 'active' });
    await add(EVIL, '--yes');
    expect(await keyholdJson(home, ['status', 'intranet'])).toMatchObject({ status: 'needs_review' });
    expect(fs.readdirSync(path.dirname(file()))).toEqual(['intranet.json']);
  });
});

test('services remove removes the approval: the same file is refused when it is there again', async () => {
  await add(INTRANET, '--yes');
  await keyholdOk(home, ['services', 'remove', 'intranet', '--yes']);
  dropIn(INTRANET);
  expect((await keyhold(home, ['store', 'intranet'], VALUE)).code).toBe(4);
});

test('services approve refuses a built-in and an unknown service, and creates no vault', async () => {
  const built_in = await keyhold(home, ['services', 'approve', 'linear', '--yes']);
  expect(built_in.code).toBe(2);
  expect(built_in.stderr).toContain('needs no approval');
  expect((await keyhold(home, ['services', 'approve', 'nosuch', '--yes'])).code).toBe(5);
  expect(fs.existsSync(home)).toBe(false);
});
