/** The page of a destination that a changed definition adds: what it shows, its confirmation, and what a decision does. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PageClient, type PageServer, startPages } from '../../kit/http/page_client.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { INTRANET } from '../../kit/vault/custom_service.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';

const SERVICE = { service_id: 'intranet' };
const PERSON = ['credentials:read', 'credentials:write', 'approvals:decide'] as const;
const LIST = '/dashboard/approvals';
const BOUND = 'https://intranet.example.com';
const OTHER = 'https://collector.evil-example.com';
const VALUE = 'tok-c4n4ry-0123456789';
const CONFIRMED = { decision: 'approve', confirmed: 'yes' };

/** A server that reads the definition with these hosts, as after a restart. */
function startWith(home: string, hosts: readonly string[]): Promise<PageServer> {
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'intranet.json'), JSON.stringify({ ...INTRANET, hosts }));
  return startPages({ home });
}

/** A credential that is bound to one host, of a service that has another host now. */
async function withChangedHost() {
  const home = temporaryFolder();
  const before = await startWith(home, ['intranet.example.com']);
  await before.vault.update(before.caller(), { ...SERVICE, credentials: { token: VALUE } });
  const server = await startWith(home, ['collector.evil-example.com']);
  const status = () => server.vault.status(server.caller(), SERVICE);
  const path = `${LIST}/${(await status()).credential_id}`;
  const person = await server.signedIn({ scopes: [...PERSON] });
  return { home, server, person, path, status };
}

function seenOf(text: string): string {
  return /name="seen" value="([\w-]+)"/.exec(text)?.[1] ?? '';
}

test('a changed destination is neither shown to nor decided by other users and keys that are not of a person', async () => {
  const { server, person, path, status } = await withChangedHost();
  const seen = seenOf((await person.get(path)).text);
  const other = await server.signedIn({ user: 'bob', scopes: [...PERSON] });
  const agent = await server.signedIn({ scopes: ['credentials:read', 'credentials:write'] });
  for (const [browser, expected] of [
    [other, 404],
    [agent, 403],
  ] as const) {
    const shown = await browser.get(path);
    const sent = await browser.post(path, { ...CONFIRMED, seen });
    expect([shown.status, sent.status]).toEqual([expected, expected]);
    expect(shown.text + sent.text).not.toContain(OTHER);
  }
  expect(await status()).toMatchObject({ status: 'needs_review', destination: [BOUND] });
});

test('a changed destination is not approved without the confirmation, nor denied, and no use is allowed', async () => {
  const { server, person, path, status } = await withChangedHost();
  const seen = seenOf((await person.get(path)).text);
  const unconfirmed = await person.post(path, { decision: 'approve', seen });
  expect(unconfirmed.status).toBe(400);
  expect(unconfirmed.text).toContain('Confirm that the new destination may receive the values.');
  expect(unconfirmed.text).toContain('Nothing was approved.');
  expect((await person.post(path, { ...CONFIRMED, decision: 'deny', seen })).status).toBe(400);
  expect((await person.post(path, CONFIRMED)).status).toBe(409);
  expect(await status()).toMatchObject({ status: 'needs_review', destination: [BOUND] });
  expect(await outcomeOf(server.vault.uses.find(server.caller(), SERVICE))).toBe('FORBIDDEN needs_review');
  expect((await person.get(LIST)).text).toContain(path);
});

test('a destination that changes again while the page is open is not approved', async () => {
  const { home, person, path } = await withChangedHost();
  const seen = seenOf((await person.get(path)).text);
  const restarted = await startWith(home, ['intranet.example.com', 'third.example.com']);
  const browser = new PageClient(restarted.url);
  for (const [name, value] of person.cookies) browser.cookies.set(name, value);
  browser.csrf_token = person.csrf_token;
  const refused = await browser.post(path, { ...CONFIRMED, seen });
  expect(refused.status).toBe(409);
  expect(refused.text).toContain('It has changed since you opened this page.');
  expect(refused.text).toContain('<dd>https://third.example.com</dd>');
  const status = await restarted.vault.status(restarted.caller(), SERVICE);
  expect(status).toMatchObject({ status: 'needs_review', destination: [BOUND] });
  expect((await browser.post(path, { ...CONFIRMED, seen: seenOf(refused.text) })).location).toBe(LIST);
});

test('the page shows the destination before and after, and a confirmed one is bound, used and in the audit log', async () => {
  const { server, person, path, status } = await withChangedHost();
  expect((await person.get(LIST)).text).toContain(path);
  const { text } = await person.get(path);
  for (const part of [
    `<dt>From</dt><dd>${BOUND}</dd>`,
    `<dt>To</dt><dd>${OTHER}</dd>`,
    `<dt>New</dt><dd>${OTHER}</dd>`,
    `<dt>No longer</dt><dd>${BOUND}</dd>`,
  ])
    expect(text).toContain(part);
  expect(text).not.toContain('value="deny"');
  expect((await person.post(path, { ...CONFIRMED, seen: seenOf(text) })).location).toBe(LIST);
  const list = (await person.get(LIST)).text;
  expect(list).toContain('Approved: ');
  expect(list).toContain('Nothing waits for you');
  expect(await status()).toMatchObject({ status: 'active', destination: [OTHER] });
  expect(await outcomeOf(server.vault.uses.find(server.caller(), SERVICE))).toBe('ok');
  expect((await person.post(path, { ...CONFIRMED, seen: seenOf(text) })).status).toBe(404);
  const named = { action: 'approve_destination', outcome: 'allowed' } as const;
  const { entries } = await server.vault.listAudit(server.caller(), named);
  expect(entries).toMatchObject([{ edge: 'web' }]);
  expect(text + list).not.toContain('c4n4ry');
});
