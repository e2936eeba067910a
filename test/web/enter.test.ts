/** The page of a handle on a server: who sees it, what it shows, and that a value is never shown again. */
import { expect, test } from 'vitest';
import type { Caller } from '../../src/contract/caller.ts';
import { findCanary, newCanary } from '../kit/canary.ts';
import { type PageServer, startPages } from '../kit/http/page_client.ts';

const LINEAR = { service_id: 'linear', credential_type: 'bearer' } as const;
const SSH = { service_id: 'sftp' } as const;

/** A server with a person of the user `ana`, and an agent with another API key of the same user. */
async function startWithAgent() {
  const server = await startPages();
  const user = { organization: 'acme', user: 'ana' };
  const agent_key = await server.key(user);
  const agent: Caller = {
    ...(await server.vault.api_keys.authenticate(agent_key, 'mcp', 'test')),
    claimed_client: '<b>evil</b> 1.0',
  };
  return { server, vault: server.vault, agent, person: await server.signedIn(user) };
}

async function otherUser(server: PageServer, user: string) {
  return server.signedIn({ organization: 'acme', user });
}

test('a person who is not signed in signs in first and comes back to the page', async () => {
  const { server, vault, agent } = await startWithAgent();
  const { handle } = await vault.handles.create(agent, LINEAR);
  const path = `/dashboard/enter/${handle}`;
  const browser = server.browser();
  const { location, text } = await browser.get(path);
  expect(location).toBe(`/dashboard/sign-in?next=${encodeURIComponent(path)}`);
  expect(text).not.toContain('Linear');
  const key = await server.key({ organization: 'acme', user: 'ana' });
  expect((await browser.post('/dashboard/sign-in', { api_key: key, next: path })).location).toBe(path);
  expect((await browser.get(path)).status).toBe(200);
});

test('another user sees the page for an unknown handle, and changes nothing', async () => {
  const { server, vault, agent } = await startWithAgent();
  const { handle, code } = await vault.handles.create(agent, LINEAR);
  const bob = await otherUser(server, 'bob');
  const own = await bob.get(`/dashboard/enter/${handle}`);
  const unknown = await bob.get(`/dashboard/enter/${'A'.repeat(22)}`);
  const withoutRequest = (text: string) => text.replace(/<code>[^<]*<\/code>/g, '');
  expect(own.status).toBe(404);
  expect(withoutRequest(own.text)).toBe(withoutRequest(unknown.text));
  expect(own.text).not.toContain(code);
  const sent = await bob.post(`/dashboard/enter/${handle}`, { 'value.linear_api_key': 'lin_api_of_bob' });
  expect(sent.status).toBe(404);
  expect((await bob.post(`/dashboard/enter/${handle}`, { decision: 'decline' })).status).toBe(404);
  expect(await vault.handles.status(agent, handle)).toMatchObject({ state: 'pending' });
});

test('a value that another site sends, or a page without its CSRF token, is refused', async () => {
  const { vault, agent, person } = await startWithAgent();
  const { handle } = await vault.handles.create(agent, LINEAR);
  const path = `/dashboard/enter/${handle}`;
  const value = { 'value.linear_api_key': 'lin_api_forged' };
  const foreign = { origin: 'https://evil.example.com', 'sec-fetch-site': 'cross-site' };
  expect((await person.post(path, value, foreign)).status).toBe(403);
  expect((await person.post(path, { ...value, csrf_token: 'forged' })).status).toBe(403);
  expect(await vault.handles.status(agent, handle)).toMatchObject({ state: 'pending' });
});

test('the page shows the request, stores the entered value once, and never shows it', async () => {
  const { server, vault, agent, person } = await startWithAgent();
  const canary = newCanary();
  const { handle, code } = await vault.handles.create(agent, { ...LINEAR, name: 'work' });
  const path = `/dashboard/enter/${handle}`;
  const page = await person.get(path);
  for (const shown of [
    code,
    'Linear',
    'work',
    'https://api.linear.app',
    '&lt;b&gt;evil&lt;/b&gt; 1.0',
    'as it calls itself',
  ])
    expect(page.text).toContain(shown);
  expect(page.text).not.toContain('<b>evil');
  const refused = await person.post(path, { 'value.linear_api_key': `${canary.value}\n${canary.value}` });
  expect(refused.status).toBe(400);
  expect(refused.text).toContain('Enter all values again');
  const other_field = await person.post(path, { 'value.github_token': canary.value });
  expect(other_field.status).toBe(400);
  const saved = await person.post(path, { 'value.linear_api_key': canary.value, decision: 'save' });
  expect([saved.status, saved.location]).toEqual([303, `${path}/end`]);
  const end = await person.get(`${path}/end`);
  expect(end.text).toContain('You can close this page');
  const again = await person.get(path);
  expect([again.status, again.text.includes('used already')]).toEqual([410, true]);
  const replayed = await person.post(path, { 'value.linear_api_key': canary.value });
  expect(replayed.status).toBe(410);
  const pages = [page, refused, other_field, saved, end, again, replayed, await person.get('/dashboard')];
  expect(findCanary(JSON.stringify(pages.map(({ text, location }) => [text, location])), canary)).toEqual([]);
  expect(findCanary(JSON.stringify(server.log), canary)).toEqual([]);
  expect(JSON.stringify(server.log)).not.toContain(handle);
  expect(await vault.handles.status(agent, handle)).toMatchObject({ state: 'done' });
  const status = await vault.status(agent, { service_id: 'linear', name: 'work' });
  expect(status).toMatchObject({ status: 'active', modified_by: 'ana' });
});

test('a declined link ends with a plain page', async () => {
  const { vault, agent, person } = await startWithAgent();
  const { handle } = await vault.handles.create(agent, LINEAR);
  const path = `/dashboard/enter/${handle}`;
  await person.get(path);
  expect((await person.get(`${path}/end`)).location).toBe(path);
  expect((await person.post(path, { decision: 'decline', 'value.linear_api_key': 'x' })).location).toBe(
    `${path}/end`,
  );
  expect((await person.get(`${path}/end`)).text).toContain('Declined');
  expect((await person.get(path)).status).toBe(410);
  expect(await vault.status(agent, { service_id: 'linear' })).toMatchObject({ status: 'missing' });
});

test('a key is given as a file or as text, not as both, and a file that is too large is refused', async () => {
  const { vault, agent, person } = await startWithAgent();
  const service = vault.services.get(SSH.service_id);
  const key_field = service.fields.find(({ multiline }) => multiline === true)?.field_id ?? '';
  const { handle } = await vault.handles.create(agent, { ...SSH, fields: [key_field] });
  const path = `/dashboard/enter/${handle}`;
  expect((await person.get(path)).text).toContain('type="file"');
  const send = (file: string, text: string) => {
    const body = new FormData();
    body.set('csrf_token', person.csrf_token ?? '');
    body.set(`value.${key_field}`, text);
    body.set(`file.${key_field}`, new File([file], 'id_ed25519'));
    return person.send(path, { method: 'POST', body, headers: { origin: person.url } });
  };
  const key = `-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n-----END OPENSSH PRIVATE KEY-----\n`;
  expect((await send(key, key)).text).toContain('not both');
  expect((await send('x'.repeat(65 * 1024), '')).text).toContain('larger than 64 KiB');
  expect((await send(key, '')).status).toBe(303);
  expect(await vault.handles.status(agent, handle)).toMatchObject({ state: 'done' });
});
