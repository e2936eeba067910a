/** The page of a service: every definition as controls, hostile definitions, and storing what a person enters. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startPages } from '../kit/http/page_client.ts';
import { INTRANET } from '../kit/vault/custom_service.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const HOSTILE = `"><script>alert(1)</script><img src=x onerror=alert(1)>'&`;
const CANARY = 'canary0123456789canary';

test('texts of a hostile definition are escaped, and an unknown service is a page that does not exist', async () => {
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  const field = { ...INTRANET.fields[0], name: HOSTILE, description: HOSTILE, example: HOSTILE };
  const choice = {
    ...field,
    field_id: 'region',
    required: false,
    secret: false,
    choices: [{ value: HOSTILE, name: HOSTILE }],
  };
  const hostile = { ...INTRANET, name: HOSTILE, description: HOSTILE, fields: [field, choice] };
  writeFileSync(join(home, 'services', 'intranet.json'), JSON.stringify(hostile));
  const server = await startPages({ home });
  const credentials = { token: CANARY };
  await server.vault.update(server.caller(), { service_id: 'intranet', credentials, name: HOSTILE });
  const browser = await server.signedIn();
  const { status, text } = await browser.get('/dashboard/tools/intranet');
  expect(status).toBe(200);
  expect(text).toContain('&lt;script&gt;alert(1)');
  expect(text).not.toMatch(/<script>alert|<img|javascript:|\sstyle=/);
  expect(text).not.toContain(CANARY);
  expect((await browser.get('/dashboard/tools/no_such_service')).status).toBe(404);
});

test('a definition with a link that is not https is not loaded', async () => {
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  const fields = [{ ...INTRANET.fields[0], help_url: 'javascript:alert(1)' }];
  writeFileSync(join(home, 'services', 'intranet.json'), JSON.stringify({ ...INTRANET, fields }));
  await expect(startPages({ home })).rejects.toThrow('help_url: must be an https URL');
});

test('the page of every built-in service has a control for each of its fields', async () => {
  const server = await startPages();
  const browser = await server.signedIn();
  for (const { slug, fields } of server.vault.services.list()) {
    const { status, text } = await browser.get(`/dashboard/tools/${slug}`);
    const names = [...text.matchAll(/ name="value\.([^"]+)"/g)].map(([, name]) => name);
    expect([slug, status, [...new Set(names)].sort()]).toEqual([
      slug,
      200,
      fields.map(({ field_id }) => field_id).sort(),
    ]);
  }
});

test('browsers compile the pattern of each control, which matches the example of the field', async () => {
  const server = await startPages();
  const browser = await server.signedIn();
  let count = 0;
  for (const { slug, fields } of server.vault.services.list()) {
    if (!fields.some(({ secret, pattern }) => !secret && pattern !== undefined)) continue;
    const { text } = await browser.get(`/dashboard/tools/${slug}`);
    for (const [control] of text.matchAll(/<input[^>]* pattern="[^>]*>/g)) {
      const [, field_id] = / name="value\.([^"]+)"/.exec(control) ?? [];
      const [, pattern = ''] = / pattern="([^"]*)"/.exec(control) ?? [];
      const whole = new RegExp(`^(?:${pattern.replaceAll('&amp;', '&')})$`, 'v');
      const { example = '' } = fields.find((field) => field.field_id === field_id) ?? {};
      for (const value of example === '' ? [] : [example, ` ${example} `])
        expect([slug, field_id, value, whole.test(value)]).toEqual([slug, field_id, value, true]);
      expect([slug, field_id, whole.test('not valid/')]).toEqual([slug, field_id, false]);
      count++;
    }
  }
  expect(count).toBeGreaterThan(20);
});

test('refused values are shown beside their field and never repeated, and nothing is stored', async () => {
  const server = await startPages();
  const browser = await server.signedIn();
  const path = '/dashboard/tools/linear';
  await browser.get(path);
  const bad = await browser.post(path, { 'value.linear_api_key': `${CANARY}\nsecond` });
  expect([bad.status, bad.text.includes('id="field-value.linear_api_key-error"')]).toEqual([400, true]);
  expect(bad.text).not.toContain(CANARY);
  const empty = await browser.post(path);
  expect([empty.status, empty.text.includes('is missing')]).toEqual([400, true]);
  const good = { 'value.linear_api_key': `lin_api_${'a'.repeat(40)}` };
  expect((await browser.post(path, { ...good, expires_at: 'soon' })).status).toBe(400);
  expect((await browser.post(path, { ...good, csrf_token: 'wrong' })).status).toBe(403);
  expect((await server.vault.listCredentials(server.caller(), {})).credentials).toEqual([]);
});

test('a person stores a credential by slug or UUID, and a second one under a name', async () => {
  const server = await startPages();
  const browser = await server.signedIn();
  const path = '/dashboard/tools/linear';
  await browser.get(path);
  const good = { 'value.linear_api_key': `lin_api_${'a'.repeat(40)}` };
  const stored = await browser.post(path, { ...good, expires_at: '2090-01-01T00:00' });
  expect([stored.status, stored.location]).toEqual([
    303,
    expect.stringMatching(/^\/dashboard\/credentials\//),
  ]);
  const again = await browser.post(path, good);
  expect([again.status, again.text.includes('A credential of this name exists')]).toEqual([409, true]);
  const { id } = server.vault.services.get('linear');
  expect((await browser.post(`/dashboard/tools/${id}`, { ...good, name: 'work' })).status).toBe(303);
  const { text } = await browser.get(path);
  expect(text.match(/href="\/dashboard\/credentials\//g)).toHaveLength(2);
  expect(text).not.toContain('aaaa');
  const status = await server.vault.status(server.caller(), { service_id: 'linear' });
  expect(status.expires_at).toBe('2090-01-01T00:00:00.000Z');
});

test('a file is stored as the value of a field with lines, and one that is too large or beside a text is refused', async () => {
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  const fields = [{ ...INTRANET.fields[0], multiline: true }];
  writeFileSync(join(home, 'services', 'intranet.json'), JSON.stringify({ ...INTRANET, fields }));
  const server = await startPages({ home });
  const browser = await server.signedIn();
  const path = '/dashboard/tools/intranet';
  expect((await browser.get(path)).text).toContain('enctype="multipart/form-data"');
  const send = (text: string, file: string) => {
    const body = new FormData();
    body.set('csrf_token', browser.csrf_token ?? '');
    body.set('value.token', text);
    body.set('file.token', new File([file], 'key.pem'));
    const headers = { origin: browser.url, 'sec-fetch-site': 'same-origin' };
    return browser.send(path, { method: 'POST', body, headers });
  };
  const large = await send('', 'x'.repeat(70 * 1024));
  expect([large.status, large.text.includes('The file is larger than')]).toEqual([400, true]);
  const both = await send('first', 'second');
  expect([both.status, both.text.includes('not both')]).toEqual([400, true]);
  const intranet = { service_id: 'intranet' };
  expect((await server.vault.status(server.caller(), intranet)).status).toBe('missing');
  expect((await send('', 'line one\nline two')).status).toBe(303);
  const stored = await server.vault.status(server.caller(), intranet);
  expect(stored.required_credentials).toEqual({ token: 'added' });
});
