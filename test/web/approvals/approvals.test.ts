/** The pages of approvals: who may decide, what they show, and what a decision does. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import type { UseRequest } from '../../../src/vault/uses/use.ts';
import { type PageClient, startPages } from '../../kit/http/page_client.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';

const HOSTILE = `<script>alert(1)</script>"'&`;
const PERSON = ['credentials:read', 'credentials:write', 'approvals:decide'] as const;
const LIST = '/dashboard/approvals';
const POST: UseRequest = {
  kind: 'http',
  method: 'POST',
  origin: 'https://api.github.com',
  path: '/repos/acme/web/issues',
  hash: 'one',
  summary: 'POST https://api.github.com/repos/acme/web/issues?labels=bug',
  headers: { 'X-Note': 'hello' },
  body: '{"title":"<b>Broken</b>"}',
  reason: 'The user wants an issue.',
};

/** At the machine of the vault. */
const LOCAL_PERSON: Caller = {
  organization: 'local',
  user: 'me',
  scopes: new Set(['approvals:decide', 'credentials:read']),
  edge: 'cli',
  request_id: 'test',
};

/** A server, an agent with a session over MCP, and a person. */
async function started() {
  const server = await startPages();
  const { vault } = server;
  const agent: Caller = { ...server.caller(), edge: 'mcp', claimed_client: 'claude 1.0', session_id: 's1' };
  const person = await server.signedIn({ scopes: [...PERSON] });
  /** Opens the page and sends its controls, with the changes. */
  const decide = async (browser: PageClient, path: string, fields: Record<string, string> = {}) => {
    const { text } = await browser.get(path);
    const seen = /name="seen" value="([\w-]+)"/.exec(text)?.[1] ?? '';
    return browser.post(path, { decision: 'approve', seen, ...fields });
  };
  return { server, vault, agent, person, decide };
}

async function withRequest() {
  const scene = await started();
  const { approval_id } = await scene.vault.approvals.access.request(scene.agent, {
    service_id: 'github',
    reason: HOSTILE,
  });
  return { ...scene, path: `${LIST}/${approval_id}` };
}

/** A request with a stored credential that waits for a person. */
async function withUse() {
  const scene = await started();
  const { vault, agent, server } = scene;
  const named = { service_id: 'github' };
  await vault.store(server.caller(), { ...named, credential_type: 'bearer', credential_value: 'ghp_secret' });
  await vault.use_policies.set(server.caller(), { ...named, use_policy: { approve: 'always' } });
  const use = async (request: UseRequest = POST) => {
    const credential = await vault.uses.find(agent, named);
    await vault.uses.authorize(agent, credential, request);
    await vault.uses.begin(agent, credential, request);
  };
  const { message } = await errorOf(use());
  const id = /approvals show ([0-9a-f-]{36})/.exec(message)?.[1] ?? '';
  return { ...scene, use, id, path: `${LIST}/${id}` };
}

/** All that a browser without scripts sends of the page for an access request. */
const AS_REQUESTED = { ends: 'never', approve: 'never', stack: 'default', name: '' };
const ALL_METHODS = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** Accepts with these methods; URLSearchParams of the kit has one value for each name. */
async function accept(
  browser: PageClient,
  path: string,
  fields: Record<string, string>,
  methods: readonly string[] = ALL_METHODS,
) {
  const { text } = await browser.get(path);
  const seen = /name="seen" value="([\w-]+)"/.exec(text)?.[1] ?? '';
  const csrf_token = browser.csrf_token ?? '';
  const body = new URLSearchParams({ csrf_token, decision: 'approve', seen, ...AS_REQUESTED, ...fields });
  for (const method of methods) body.append('method', method);
  const headers = { origin: browser.url, 'sec-fetch-site': 'same-origin' };
  return browser.send(path, { method: 'POST', body, headers });
}

describe('a session of an API key without the right to decide', () => {
  test('sees why it decides on nothing, and neither sees nor decides on approvals', async () => {
    const { server, path } = await withRequest();
    const browser = await server.signedIn({ scopes: ['credentials:read', 'credentials:write'] });
    const shown = await Promise.all([browser.get(LIST), browser.get(path)]);
    for (const { status, text } of shown) {
      expect(status).toBe(403);
      expect(text).toContain('This sign-in decides on nothing');
      expect(text).toContain('keyhold open');
      expect(text).not.toContain('alert(1)');
    }
    const sent = [
      await browser.post(path, { decision: 'approve' }),
      await browser.post(path, { decision: 'deny' }),
      await browser.get(`${path}/revoke`),
      await browser.post(`${path}/revoke`),
    ];
    expect(sent.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
  });

  test('cannot decide on a request that its own API key made, and the page names another way', async () => {
    const { server, vault, decide } = await started();
    const key = await server.key({ scopes: [...PERSON, 'credentials:use'] });
    const agent = await vault.api_keys.authenticate(key, 'mcp', 'test');
    const request = { service_id: 'github', reason: 'r' };
    const { approval_id } = await vault.approvals.access.request(agent, request);
    const browser = await server.browser().signIn(key);
    const refused = await decide(browser, `${LIST}/${approval_id}`, { ...AS_REQUESTED, method: 'GET' });
    expect(refused.status).toBe(403);
    expect(refused.text).toContain('Use another key');
  });
});

test('an approval of another user is a page that does not exist', async () => {
  const { server, path } = await withRequest();
  const other = await server.signedIn({ user: 'other', scopes: [...PERSON] });
  expect((await other.get(path)).status).toBe(404);
  expect((await other.post(path, { decision: 'approve' })).status).toBe(404);
});

describe('an access request', () => {
  test('shows the texts of an agent as text, and is denied', async () => {
    const { person, path, decide } = await withRequest();
    expect((await person.get(LIST)).text).toContain(path);
    const { text } = await person.get(path);
    expect(text).toContain('&lt;script&gt;alert(1)');
    expect(text).not.toContain('<script>alert');
    expect((await decide(person, path, { decision: 'deny' })).location).toBe(LIST);
    const { text: list } = await person.get(LIST);
    expect(list).toContain('Nothing waits for you');
    expect(list).toContain('Denied');
  });

  test.each<readonly [string, Record<string, string>, readonly string[]]>([
    ['no method', {}, []],
    ['an unknown method', {}, ['GET', 'TRACE']],
    ['an unknown end', { ends: '3650' }, ALL_METHODS],
    ['an unknown rule of approvals', { approve: 'sometimes' }, ALL_METHODS],
    ['uses a minute that are no number', { per_minute: '1e9' }, ALL_METHODS],
    ['too many uses a minute', { per_minute: '6001' }, ALL_METHODS],
    ['a path that servers interpret differently', { paths: '/a/../b' }, ALL_METHODS],
    ['a name that looks like another text', { name: 'a\u202eb' }, ALL_METHODS],
    ['an unknown decision', { decision: 'perhaps' }, ALL_METHODS],
  ])('is not accepted with %s', async (_, fields, methods) => {
    const { vault, agent, person, path } = await withRequest();
    const refused = await accept(person, path, fields, methods);
    expect(refused.status).toBe(400);
    expect(refused.text).toContain('Nothing was approved.');
    expect(await vault.approvals.access.statusFor(agent, { service_id: 'github' })).toMatchObject({
      state: 'pending',
    });
  });

  test('is not accepted into a stack of another user', async () => {
    const { server, vault, person, path } = await withRequest();
    const other = { ...server.caller(), user: 'other' };
    const { stack_id } = await vault.stacks.create(other, { stack_name: 'Theirs' });
    expect((await accept(person, path, { stack: stack_id })).status).toBe(404);
  });

  test('is accepted once, narrowed; the person enters the value next, and the limits hold', async () => {
    const { server, vault, agent, person, path } = await withRequest();
    const narrowed = {
      paths: '/repos/acme\n/user',
      per_minute: '30',
      ends: '7',
      approve: 'always',
      name: 'work',
    };
    const { location } = await accept(person, path, narrowed, ['GET']);
    expect(location).toMatch(/^\/dashboard\/enter\/[\w-]{22}$/);
    const page = await person.get(location ?? '');
    expect(page.text).toContain('You accepted the request of an agent');
    expect([404, 409]).toContain((await accept(person, path, {})).status);
    expect(await vault.approvals.access.statusFor(agent, { service_id: 'github' })).toMatchObject({
      state: 'approved',
      accepted_as: { stack_id: 'default', name: 'work' },
    });
    const entered = await person.post(location ?? '', { 'value.github_token': `ghp_${'a'.repeat(36)}` });
    expect(entered.location).toBe(`${location}/end`);
    const status = await vault.status(agent, { service_id: 'github', name: 'work' });
    expect(status).toMatchObject({
      status: 'active',
      use_policy: {
        methods: ['GET'],
        path_prefixes: ['/repos/acme', '/user'],
        calls_per_minute: 30,
        approve: 'always',
      },
    });
    const ends = Date.parse(status.use_policy?.expires_at ?? '') - Date.now();
    expect(Math.round(ends / 86_400_000)).toBe(7);
    expect((await vault.verifyAudit(server.caller())).findings).toEqual([]);
  });

  test('is accepted by a person who may not store credentials, and the page reports that the values are missing', async () => {
    const { server, vault, agent, path } = await withRequest();
    const browser = await server.signedIn({ scopes: ['credentials:read', 'approvals:decide'] });
    expect((await accept(browser, path, {})).location).toBe(LIST);
    const { text } = await browser.get(LIST);
    expect(text).toContain('Accepted, but the values are still missing.');
    expect(text).toContain('credentials:write');
    expect(await vault.approvals.access.statusFor(agent, { service_id: 'github' })).toMatchObject({
      state: 'approved',
    });
  });

  test('is not accepted with limits for a credential that exists, because they would not apply', async () => {
    const { server, vault, person, path } = await withRequest();
    const stored = { service_id: 'github', credential_type: 'bearer', credential_value: 'ghp_1' } as const;
    await vault.store(server.caller(), stored);
    const refused = await accept(person, path, {}, ['GET']);
    expect(refused.status).toBe(409);
    expect(refused.text).toContain('exists already');
    expect((await accept(person, path, {})).location).toBe(LIST);
  });

  test('for a service with OAuth continues to the page that connects the account', async () => {
    const { vault, agent, person } = await started();
    const request = { service_id: 'spotify', reason: 'r', name: 'mine' };
    const { approval_id } = await vault.approvals.access.request(agent, request);
    const path = `${LIST}/${approval_id}`;
    expect((await person.get(path)).text).toContain('I connect an account with OAuth');
    const { location } = await accept(person, path, { name: 'mine', next: 'connect' });
    expect(location).toBe('/dashboard/connect/spotify?stack=default&name=mine');
  });
});

describe('a request with a credential', () => {
  test('is shown whole: caller, method, destination, path, query, headers, body and reason', async () => {
    const { person, path } = await withUse();
    const { text } = await person.get(path);
    for (const part of [
      'mcp, client claude 1.0',
      '<dd>POST</dd>',
      '<dd>https://api.github.com</dd>',
      '<dd>/repos/acme/web/issues</dd>',
      '<dd>?labels=bug</dd>',
      'X-Note: hello',
      '{&quot;title&quot;:&quot;&lt;b&gt;Broken&lt;/b&gt;&quot;}',
      'The user wants an issue.',
      'Until the session of the agent ends',
    ])
      expect(text).toContain(part);
    expect(text).not.toContain('ghp_secret');
  });

  test('is not shown without a query if its URL is too long, and invisible characters are visible', async () => {
    const { vault, agent, person, use } = await withUse();
    const long = `${POST.summary}&x=${'a'.repeat(2_000)}`;
    const body = '{"to":"\u202egro.elpmaxe\u202c"}\n';
    await outcomeOf(use({ ...POST, hash: 'two', summary: long, body, reason: 'Read\u200b it' }));
    const waiting = await vault.approvals.list({ ...LOCAL_PERSON, user: agent.user });
    const id = waiting.find(({ reason }) => reason?.startsWith('Read'))?.id;
    const { text } = await person.get(`${LIST}/${id}`);
    expect(text).toContain('<dd>The URL is too long to show whole.');
    expect(text).toContain('\\u{202e}gro.elpmaxe\\u{202c}&quot;}\n</pre>');
    expect(text).toContain('Read\\u{200b} it');
    expect(text).not.toMatch(/[\u202e\u202c\u200b]/);
  });

  test.each<readonly [string, Record<string, string>]>([
    ['an unknown time', { term: 'forever' }],
    ['an unknown extent', { each: 'service' }],
  ])('is not approved with %s', async (_, fields) => {
    const { person, path, decide, use } = await withUse();
    expect((await decide(person, path, fields)).status).toBe(400);
    expect(await outcomeOf(use())).toBe('FORBIDDEN approval_required');
  });

  test('is not approved from a page that shows something else', async () => {
    const { person, path, decide } = await withUse();
    expect((await decide(person, path, { seen: 'A'.repeat(43) })).status).toBe(409);
    expect((await decide(person, path, { seen: '' })).status).toBe(409);
  });

  test('is denied, and the agent is refused', async () => {
    const { person, path, decide, use } = await withUse();
    await decide(person, path, { decision: 'deny' });
    expect(await outcomeOf(use())).toBe('FORBIDDEN approval_denied');
  });

  test('is approved once, and the second use is refused', async () => {
    const { person, path, decide, use } = await withUse();
    expect((await decide(person, path)).location).toBe(LIST);
    expect((await person.get(LIST)).text).toContain('0 of 1 uses');
    expect([await outcomeOf(use()), await outcomeOf(use())]).toEqual(['ok', 'FORBIDDEN approval_used']);
  });

  test('is granted for its session and endpoint, listed with its extent, and revoked', async () => {
    const { vault, agent, person, id, path, decide, use } = await withUse();
    const other = {
      ...POST,
      hash: 'two',
      body: 'another',
      summary: 'POST https://api.github.com/repos/acme/web/issues',
    };
    await decide(person, path, { term: 'session', each: 'endpoint' });
    expect(await outcomeOf(use(other))).toBe('ok');
    const credential = await vault.uses.find(agent, { service_id: 'github' });
    const elsewhere = { ...agent, session_id: 's2' };
    expect(await outcomeOf(vault.uses.authorize(elsewhere, credential, other))).toBe(
      'FORBIDDEN approval_required',
    );
    const { text } = await person.get(LIST);
    expect(text).toContain('POST https://api.github.com/repos/acme/web/issues with any query and body');
    expect(text).toContain('in its session');
    expect(text).toMatch(/1 of \d+ uses/);
    expect(text).toContain(`${LIST}/${id}/revoke`);
    const confirmation = await person.get(`${path}/revoke`);
    expect(confirmation.text).toContain('Revoke this approval?');
    expect((await person.post(`${path}/revoke`)).location).toBe(LIST);
    expect(await outcomeOf(use(other))).toBe('FORBIDDEN approval_required');
    expect((await person.post(`${path}/revoke`)).status).toBe(404);
  });

  test('is granted for an hour and its host', async () => {
    const { vault, person, id, path, decide, use } = await withUse();
    await decide(person, path, { term: 'hour', each: 'host' });
    const other = { ...POST, method: 'DELETE' as const, path: '/x', hash: 'x', summary: 'DELETE x' };
    expect(await outcomeOf(use(other))).toBe('ok');
    const [granted] = (await vault.approvals.listDecided(LOCAL_PERSON, 'in_force')).filter(
      (one) => one.id === id,
    );
    const minutes = (Date.parse(granted?.expires_at ?? '') - Date.now()) / 60_000;
    expect(Math.round(minutes)).toBe(60);
  });
});

describe('values for a protected credential', () => {
  async function withValues() {
    const scene = await started();
    const { vault, server, agent } = scene;
    const person = { ...server.caller(), edge: 'cli' as const };
    const named = { service_id: 'github', credential_type: 'bearer' } as const;
    await vault.store(person, { ...named, credential_value: 'ghp_of_the_person' }, { protect: true });
    await vault.store(agent, { ...named, credential_value: 'ghp_of_the_agent' });
    const [approval] = await vault.approvals.list(person);
    return { ...scene, path: `${LIST}/${approval?.id}` };
  }

  test('are shown without the values, and stored when the person accepts', async () => {
    const { vault, agent, person, path, decide } = await withValues();
    const { text } = await person.get(path);
    expect(text).toContain('github_token');
    expect(text).not.toMatch(/ghp_of_the/);
    expect((await decide(person, path)).location).toBe(LIST);
    expect((await vault.status(agent, { service_id: 'github' })).pending_approval).toBeNull();
  });

  test('are deleted when the person denies', async () => {
    const { vault, agent, person, path, decide } = await withValues();
    expect((await decide(person, path, { decision: 'deny' })).location).toBe(LIST);
    expect((await person.get(path)).status).toBe(404);
    expect(await vault.status(agent, { service_id: 'github' })).toMatchObject({ pending_approval: null });
  });
});
