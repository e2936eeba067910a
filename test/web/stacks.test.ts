/** The pages of stacks: creating, sharing and deleting one, and stacks that the person may not see. */
import { expect, test } from 'vitest';
import { startPages } from '../kit/http/page_client.ts';

const HOSTILE = `"><script>alert(1)</script>'&`;

test('a stack is created, shared, renamed and deleted, by those who may', async () => {
  const server = await startPages();
  const owner = await server.signedIn({ user: 'ann' });
  const member = await server.signedIn({ user: 'bob' });
  await owner.get('/dashboard/stacks');
  const path = (await owner.post('/dashboard/stacks', { stack_name: HOSTILE })).location ?? '';
  expect(path).toMatch(/^\/dashboard\/stacks\/stack_[0-9a-f-]+$/);
  expect((await member.get(path)).status).toBe(404);
  expect((await owner.post(`${path}/share`, { role: 'use' })).status).toBe(400);
  expect((await owner.post(`${path}/share`, { user: 'bob', unit: '', role: 'use' })).location).toBe(path);
  const shared = await owner.get(path);
  expect(shared.text).toContain('<td>bob</td>');
  expect(shared.text).not.toContain('<script>alert');
  const seen = await member.get(path);
  expect([seen.status, seen.text.includes('Owned by ann'), seen.text.includes(`${path}/share"`)]).toEqual([
    200,
    true,
    false,
  ]);
  expect((await member.post(`${path}/rename`, { stack_name: 'Mine' })).status).toBe(403);
  expect((await member.post(`${path}/delete`)).status).toBe(403);
  await owner.post(`${path}/rename`, { stack_name: 'Staging' });
  expect((await owner.get('/dashboard/stacks')).text).toContain('>Staging</span>');
  expect((await member.get(`${path}/unshare?user=bob`)).text).toContain('End the share?');
  expect((await member.post(`${path}/unshare`, { user: 'bob' })).location).toBe('/dashboard/stacks');
  expect((await member.get(path)).status).toBe(404);
  expect((await owner.get(`${path}/delete`)).text).toContain('Delete Staging?');
  expect((await owner.post(`${path}/delete`)).location).toBe('/dashboard/stacks');
  expect((await owner.get(path)).status).toBe(404);
});

test('a POST without the token of the session changes no stack', async () => {
  const server = await startPages();
  const owner = await server.signedIn({ user: 'ann' });
  await owner.get('/dashboard/stacks');
  expect((await owner.post('/dashboard/stacks', { stack_name: 'X', csrf_token: 'wrong' })).status).toBe(403);
  expect((await owner.get('/dashboard/stacks')).text).not.toContain('>X</span>');
});
