/** The page of the audit log: who may read it, filters, sentences, the chart, verification, and hostile names. */
import { describe, expect, test } from 'vitest';
import { AUDIT_ACTIONS } from '../../src/contract/audit.ts';
import { ACTION_GROUPS, ACTION_TEXTS } from '../../src/web/pages/audit/actions.tsx';
import { type PageServer, startPages } from '../kit/http/page_client.ts';
import { flipBit, readAuditEntryRows, replaceAuditEntries } from '../kit/vault/database.ts';

const AUDIT = '/dashboard/audit';
const READER = { scopes: ['credentials:read', 'audit:read'] } as const;
const HOSTILE = `"><script>alert(1)</script><img src=x onerror=alert(1)>'&`;

/** A server whose user has stored, used and deleted credentials, and was refused. */
async function serverWithEntries(): Promise<PageServer> {
  const server = await startPages();
  const { vault, caller } = server;
  const github = { service_id: 'github' };
  await vault.store(caller(), { ...github, credential_type: 'bearer', credential_value: 'ghp_secret_value' });
  await vault.update(caller(), {
    service_id: 'linear',
    credentials: { linear_api_key: `lin_api_${'a'.repeat(40)}` },
    name: HOSTILE,
  });
  const credential = await vault.uses.find(caller(), github);
  const { finish } = await vault.uses.begin(caller(), credential, {
    kind: 'http',
    method: 'GET',
    origin: 'https://api.github.com',
    path: '/user',
    hash: 'hash',
    summary: 'GET https://api.github.com/user',
    reason: HOSTILE,
  });
  finish({ status: 200, bytes: 5 });
  const program = { ...caller(), edge: 'rest' as const, claimed_client: HOSTILE, scopes: new Set([]) };
  await vault.uses.find(program, github).catch(() => undefined);
  await vault.delete(caller(), github);
  return server;
}

/** The text of a page without tags, as a person reads it. */
function visible(html: string): string {
  return html
    .replaceAll(/<title>.*?<\/title>|<datalist.*?<\/datalist>/gs, '')
    .replaceAll(/<[^>]+>/g, '')
    .replaceAll(/\s+/g, ' ');
}

describe('the audit log on a page', () => {
  test('names the missing scope to a person who may not read it, and logs the refusal', async () => {
    const server = await startPages();
    const { status, text } = await (await server.signedIn({ scopes: ['credentials:read'] })).get(AUDIT);
    expect([status, text.includes('<code>audit:read</code>')]).toEqual([403, true]);
    const limited = await server.signedIn({ ...READER, scopes: [...READER.scopes], stack_id: 'default' });
    expect((await limited.get(AUDIT)).status).toBe(403);
    expect((await limited.post(`${AUDIT}/verify`)).status).toBe(403);
    const { entries } = await server.vault.listAudit(server.caller(), { outcome: 'denied' });
    expect(entries.map(({ action }) => action)).toEqual(['verify_audit', 'list_audit', 'list_audit']);
  });

  test('refuses filters that the page does not make, and does not repeat them', async () => {
    const browser = await (await startPages()).signedIn({ scopes: [...READER.scopes] });
    for (const query of [
      'action=drop',
      'outcome=maybe',
      'from=yesterday',
      'from=2026-02-31',
      'to=9999-12-31',
      'before=-1',
      'before=1e3',
      `service=${'x'.repeat(200)}`,
    ]) {
      const { status, text } = await browser.get(`${AUDIT}?${query}`);
      expect([query, status, text.includes('<main')]).toEqual([query, 400, true]);
      expect(text).not.toContain('yesterday');
    }
  });

  test('shows user, action, credential, destination, outcome and reason of each entry in a sentence, and never a value', async () => {
    const server = await serverWithEntries();
    await server.vault.uses.close();
    const { status, text } = await (await server.signedIn({ scopes: [...READER.scopes] })).get(AUDIT);
    expect(status).toBe(200);
    const read = visible(text);
    expect(read).toContain('me stored the credential of GitHub');
    expect(read).toContain('me used the credential of GitHub with GET https://api.github.com/user');
    expect(read).toContain('The use of the credential of GitHub by me ended with status 200');
    expect(read).toContain(
      'me was not allowed to use the credential of GitHub: missing scope credentials:use',
    );
    expect(read).toContain('me deleted the credential of GitHub');
    expect(read).toContain('me signed in to the pages with an API key');
    expect(text).not.toContain('ghp_secret_value');
    expect(text).not.toMatch(/<script>alert|<img|\sstyle=/);
    expect(read).toContain('&lt;script&gt;alert(1)');
  });

  test('filters by action, service, outcome and days, and keeps the filter in the links to other pages', async () => {
    const server = await serverWithEntries();
    const browser = await server.signedIn({ scopes: [...READER.scopes] });
    const sentences = async (query: string) => {
      const { text } = await browser.get(`${AUDIT}?${query}`);
      return [...text.matchAll(/class="entry-sentence">(.*?)<\/span>/gs)].map(([, html = '']) =>
        visible(html),
      );
    };
    expect(await sentences('action=delete')).toEqual(['me deleted the credential of GitHub']);
    expect(await sentences('service=GitHub&outcome=denied')).toHaveLength(1);
    const today = new Date().toISOString().slice(0, 10);
    expect((await sentences(`service=github&from=${today}&to=${today}`)).length).toBeGreaterThanOrEqual(4);
    expect(await sentences('to=2020-01-01')).toEqual([]);
    expect((await browser.get(`${AUDIT}?to=2020-01-01`)).text).toContain('No entry matches');
    const pages = Array.from({ length: 55 }, (_, at) =>
      server.vault.stacks.create(server.caller(), { stack_name: `Stack ${at}` }),
    );
    await Promise.all(pages);
    const { text } = await browser.get(`${AUDIT}?action=create_stack`);
    const [, next = ''] = /href="([^"]*before=\d+)"/.exec(text) ?? [];
    expect(next).toContain('action=create_stack');
    expect(await sentences(next.replaceAll('&amp;', '&').split('?')[1] ?? '')).toHaveLength(5);
  });

  test('shows uses and refusals of each day as a chart and as a table', async () => {
    const server = await serverWithEntries();
    const browser = await server.signedIn({ scopes: [...READER.scopes] });
    const chart = async (query: string) =>
      /aria-label="(Column chart: [^"]*)"/.exec((await browser.get(`${AUDIT}${query}`)).text)?.[1];
    expect(await chart('')).toMatch(/^Column chart: 1 use, 1 refused in total\./);
    expect(await chart('?service=github')).toMatch(/1 use, 1 refused in total/);
    expect(await chart('?service=linear')).toBe('Column chart: no uses.');
    expect(await chart('?action=use')).toBeUndefined();
    const { text } = await browser.get(AUDIT);
    expect(text.match(/<g class="chart-day">/g)).toHaveLength(30);
    expect(text).toMatch(/<th scope="row">[^<]+<\/th><td>1<\/td><td>1<\/td>/);
  });

  test('leaves the chart out past the limit of reads of the log, and refuses searches', async () => {
    const server = await startPages({
      settings: { limits: { requests_per_minute: 8, auth_failures_per_minute: 0 } },
    });
    const browser = await server.signedIn({ scopes: [...READER.scopes] });
    for (let read = 0; read < 4; read++) expect((await browser.get(AUDIT)).text).toContain('Uses per day');
    const { status, text } = await browser.get(AUDIT);
    expect([status, text.includes('The chart is left out')]).toEqual([200, true]);
    expect((await browser.get(`${AUDIT}?action=store`)).status).toBe(429);
  });

  test('verifies the log by POST, and lists the findings', async () => {
    const server = await serverWithEntries();
    const browser = await server.signedIn({ scopes: [...READER.scopes] });
    expect((await browser.get(`${AUDIT}/verify`)).status).toBe(404);
    const verified = await browser.post(`${AUDIT}/verify`);
    expect([verified.status, verified.location]).toEqual([303, AUDIT]);
    expect((await browser.get(AUDIT)).text).toMatch(/The audit log is intact: \d+ entries and 1 credential /);
    expect((await browser.get(AUDIT)).text).not.toContain('is intact');
    const rows = await readAuditEntryRows(server.home);
    const changed = rows.map((row) =>
      row.position === 3 ? { ...row, sealed: flipBit(row.sealed, 200) } : row,
    );
    await replaceAuditEntries(server.home, changed);
    const { status, text } = await browser.post(`${AUDIT}/verify`);
    expect([status, text.includes('was changed without Keyhold')]).toEqual([200, true]);
    expect(visible(text)).toContain('Findings: 2');
    expect(visible(text)).toContain('Entry 3 was changed or moved.');
  });
});

test('every action of the log has texts, and its group is in the filter', () => {
  expect(Object.keys(ACTION_TEXTS).sort()).toEqual([...AUDIT_ACTIONS].sort());
  for (const { group, label } of Object.values(ACTION_TEXTS)) {
    expect(ACTION_GROUPS).toContain(group);
    expect(label).not.toBe('');
  }
});
