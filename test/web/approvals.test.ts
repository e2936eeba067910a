/** The pages of approvals: who may decide, and what a decision does. */
import { expect, test } from 'vitest';
import { startPages } from '../kit/http/page_client.ts';

const HOSTILE = `<script>alert(1)</script>"'&`;
const PERSON = ['credentials:read', 'credentials:write', 'approvals:decide'] as const;

async function withRequest() {
  const server = await startPages();
  const agent = { ...server.caller(), edge: 'mcp' as const };
  const input = { service_id: 'github', reason: HOSTILE };
  const { approval_id } = await server.vault.approvals.access.request(agent, input);
  return { server, path: `/dashboard/approvals/${approval_id}` };
}

test('a session of an API key without approvals:decide neither sees nor decides on approvals', async () => {
  const { server, path } = await withRequest();
  const browser = await server.signedIn({ scopes: ['credentials:read', 'credentials:write'] });
  const pages = [await browser.get('/dashboard/approvals'), await browser.get(path)];
  pages.push(
    await browser.post(path, { decision: 'approve' }),
    await browser.post(path, { decision: 'deny' }),
  );
  expect(pages.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
});

test('a person sees the texts of an agent as text, and denies', async () => {
  const { server, path } = await withRequest();
  const browser = await server.signedIn({ scopes: [...PERSON] });
  expect((await browser.get('/dashboard/approvals')).text).toContain(path);
  const { text } = await browser.get(path);
  expect(text).toContain('&lt;script&gt;alert(1)');
  expect(text).not.toContain('<script>alert');
  expect((await browser.post(path, { decision: 'deny' })).location).toBe('/dashboard/approvals');
  expect((await browser.get('/dashboard/approvals')).text).toContain('Nothing waits for you');
});

test('a person accepts access to a service, once', async () => {
  const { server, path } = await withRequest();
  const browser = await server.signedIn({ scopes: [...PERSON] });
  await browser.get(path);
  expect((await browser.post(path, { decision: 'approve', term: 'no such' })).status).toBe(400);
  expect((await browser.post(path, { decision: 'approve' })).status).toBe(303);
  const again = await browser.post(path, { decision: 'approve' });
  expect([404, 409]).toContain(again.status);
});

test('an approval of another user is a page that does not exist', async () => {
  const { server, path } = await withRequest();
  const other = await server.signedIn({ user: 'other', scopes: [...PERSON] });
  expect((await other.get(path)).status).toBe(404);
  expect((await other.post(path, { decision: 'approve' })).status).toBe(404);
});
