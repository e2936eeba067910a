/** A stored value is in no page, response, log line, audit entry and file after every page and every form, also refused ones. */
import { expect, test } from 'vitest';
import { SCOPES } from '../../src/contract/caller.ts';
import { findCanary, findCanaryInFiles, newCanary } from '../kit/canary.ts';
import { type PageClient, type PageResponse, startPages } from '../kit/http/page_client.ts';

const PAGES_MAX = 80;
const TIMEOUT_MS = 120_000;

interface Form {
  readonly action: string;
  readonly fields: readonly string[];
}

const headersOf = ({ headers }: PageResponse) => JSON.stringify([...headers]);

/** The paths that a page links to. */
function linksOf(text: string): string[] {
  return [...text.matchAll(/href="(\/dashboard[^"#]*)"/g)].map(([, path = '']) =>
    path.replaceAll('&amp;', '&'),
  );
}

function formsOf(text: string): Form[] {
  return [...text.matchAll(/<form[^>]*action="([^"]+)"[^>]*>(.*?)<\/form>/gs)].map(
    ([, action = '', content = '']) => ({
      action: action.replaceAll('&amp;', '&'),
      fields: [...content.matchAll(/name="([^"]+)"/g)].map(([, name = '']) => name),
    }),
  );
}

/** Requests all pages that links lead to, at most a number of them. */
async function crawl(browser: PageClient, first: readonly string[]) {
  const responses = new Map<string, PageResponse>();
  const waiting = [...first];
  for (let path = waiting.shift(); path !== undefined && responses.size < PAGES_MAX; path = waiting.shift()) {
    if (responses.has(path) || path.includes('sign-out')) continue;
    const response = await browser.get(path);
    responses.set(path, response);
    waiting.push(...linksOf(response.text).filter((link) => !/\/tools\/(?!linear)/.test(link)));
  }
  return responses;
}

test(
  'a stored value is on no page, and in no response to a POST, log line, audit entry or file',
  async () => {
    const server = await startPages();
    const scopes = SCOPES.filter((scope) => scope !== 'values:reveal');
    const browser = await server.signedIn({ scopes });
    const [stored, entered] = [newCanary(), newCanary()];
    const linear = { service_id: 'linear', credential_type: 'bearer' } as const;
    await server.vault.store(server.caller(), { ...linear, credential_value: stored.value });
    const seen: string[] = [];
    const keep = (response: PageResponse) => seen.push(headersOf(response), response.text);
    const pages = await crawl(browser, ['/dashboard', '/dashboard/tools/linear', '/dashboard/no-such-page']);
    for (const response of pages.values()) keep(response);
    const forms = new Map<string, Form>();
    for (const { text } of pages.values()) for (const form of formsOf(text)) forms.set(form.action, form);
    // Other fields, such as the name of a stack, are shown again; a client id is in the URL of its provider (RFC 6749, 4.1.1).
    const isSecret = (field: string) => field.startsWith('value.') && !field.endsWith('client_id');
    const textFor = (field: string) => (isSecret(field) ? entered.value : 'text');
    const fill = ({ fields }: Form) =>
      Object.fromEntries(fields.filter((one) => one !== 'csrf_token').map((one) => [one, textFor(one)]));
    const posts = [...forms.values()].filter(({ action }) => !action.includes('sign-out'));
    // Without the token of the page, from another site, and as the page sends it, with values in every field for one.
    for (const form of posts) {
      keep(await browser.post(form.action, { ...fill(form), csrf_token: 'wrong' }));
      keep(await browser.post(form.action, fill(form), { origin: 'https://evil.example.com' }));
      keep(await browser.post(form.action, fill(form)));
      keep(await browser.post(form.action, {}));
    }
    // A form may have revoked the API key of the session, or deleted the credential.
    const other = await server.signedIn({ scopes });
    await server.vault.store(server.caller(), { ...linear, credential_value: stored.value });
    for (const made of [true, false]) {
      const { handle } = await server.vault.handles.create(server.caller(), { ...linear, name: 'other' });
      const path = `/dashboard/enter/${handle}`;
      keep(await other.get(path));
      const field = made ? 'value.linear_api_key' : 'value.unknown_field';
      const sent = await other.post(path, { [field]: entered.value });
      expect(sent.status === 303).toBe(made);
      keep(sent);
      keep(await other.get(path));
    }
    for (const response of (await crawl(other, [...pages.keys()])).values()) keep(response);
    const { entries } = await server.vault.listAudit(server.caller());
    const searched = {
      responses: seen.join('\n'),
      log: JSON.stringify(server.log),
      audit: JSON.stringify(entries),
    };
    for (const canary of [stored, entered]) {
      for (const [name, text] of Object.entries(searched))
        expect([name, findCanary(text, canary)]).toEqual([name, []]);
      expect(findCanaryInFiles(server.home, canary)).toEqual([]);
    }
    expect([pages.size > 10, posts.length > 3, seen.length > 100]).toEqual([true, true, true]);
  },
  TIMEOUT_MS,
);
