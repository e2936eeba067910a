/** The texts of the tools, which are all that many clients show to a model: ids, missing fields, names and the next call. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../src/contract/caller.ts';
import type { ListedService } from '../../src/contract/credential.ts';
import type { ToolContext } from '../../src/use/tool_context.ts';
import { TOOLS } from '../../tools/catalogue.ts';
import { openTestVault } from '../kit/vault/temp_vault.ts';

interface ListResult {
  readonly services: readonly ListedService[];
  readonly more_service_ids: readonly string[];
  readonly next_cursor: string | null;
  readonly total: number;
  readonly public_key: string;
}

/** At four bytes a token, this is far below the 10,000 tokens at which clients warn or cut. */
const LIST_MAX_BYTES = 20_000;

async function call(context: ToolContext, caller: Caller, name: string, input: object) {
  const tool = TOOLS.find((one) => one.name === name);
  if (tool === undefined) throw new Error(`no tool ${name}`);
  return tool.call(context, caller, input);
}

async function open() {
  const { caller, ...context } = await openTestVault();
  return {
    vault: context.vault,
    text: async (name: string, input: object) => (await call(context, caller(), name, input)).text,
    list: async (input: object) => {
      const { structured, text } = await call(context, caller(), 'list_services', input);
      return { ...(structured as ListResult), text };
    },
  };
}

const GMAIL = { service_id: 'gmail', credential_type: 'bearer', credential_value: 'ya29.x' };
const LINEAR = { service_id: 'linear', credential_type: 'api_key', credential_value: 'lin_api_1' };

describe('list_services', () => {
  test('list_services without a query returns 15 services in detail and the ids of the others, in few bytes', async () => {
    const { vault, list } = await open();
    const result = await list({});
    expect(result.services).toHaveLength(15);
    expect(result.total).toBe(vault.services.list().length);
    expect(result.more_service_ids).toHaveLength(result.total - 15);
    expect(result.services.every(({ fields }) => fields.every(({ description }) => description))).toBe(true);
    expect(Buffer.byteLength(JSON.stringify(result))).toBeLessThan(LIST_MAX_BYTES);
  });

  test('the cursor of list_services lists every service once', async () => {
    const { vault, list } = await open();
    const seen: string[] = [];
    let cursor: string | null = '0';
    for (let input: object = {}; cursor !== null; input = { cursor }) {
      const result = await list(input);
      seen.push(...result.services.map(({ service_id }) => service_id));
      cursor = result.next_cursor;
    }
    expect(seen.toSorted()).toEqual(
      vault.services
        .list()
        .map(({ slug }) => slug)
        .toSorted(),
    );
  });

  test.each(['', '0', '-1', '1.5', 'x', '123456'])('list_services rejects the cursor %j', async (cursor) => {
    const { list } = await open();
    await expect(list({ cursor })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });

  test('list_services lists connected services first', async () => {
    const { text, list } = await open();
    await text('store_credential', { ...LINEAR, service_id: 'youtube' });
    const [first] = (await list({})).services;
    expect(first).toMatchObject({ service_id: 'youtube', connected: true });
  });

  test('the text of list_services has field ids, further ids, the cursor and the public key', async () => {
    const { list } = await open();
    const { text, public_key, more_service_ids } = await list({});
    expect(text).toContain(public_key);
    expect(text).toContain('cursor "15"');
    for (const id of more_service_ids) expect(text).toContain(id);
    expect((await list({ query: 'gmail' })).text).toContain(
      'gmail (Gmail): required gmail_oauth_token, gmail_client_id; optional gmail_client_secret, gmail_signature',
    );
  });
});

describe('store_credential and update_credentials', () => {
  test('the text of store_credential names the required fields that are missing', async () => {
    const { text } = await open();
    const stored = await text('store_credential', GMAIL);
    expect(stored).toContain('Still missing: gmail_client_id; set them with update_credentials.');
    expect(await text('store_credential', LINEAR)).not.toContain('missing');
  });

  test('the hints keep the name and the stack, without repeating them', async () => {
    const { vault, text } = await open();
    const { caller } = { caller: (await openTestVault()).caller };
    const { stack_id } = await vault.stacks.create(caller(), { stack_name: 'Sandbox' });
    const where = { name: 'hunter2', stack_id };
    const stored = await text('store_credential', { ...GMAIL, ...where });
    expect(stored).toContain('update_credentials (same name and stack_id).');
    const updated = await text('update_credentials', {
      service_id: 'gmail',
      credentials: { gmail_client_id: '1-a.apps.googleusercontent.com' },
      ...where,
    });
    expect(updated).toContain('get_credential_status shows them (same name and stack_id).');
    const status = await text('get_credential_status', { service_id: 'gmail', ...where });
    expect(status).toContain('update_credentials (same name and stack_id) changes it.');
    for (const one of [stored, updated, status]) expect(one).not.toMatch(/hunter2|stack_[0-9a-f]/);
    const list = await text('get_credential_status', { stack_id });
    expect(list).toContain('get_credential_status (same stack_id) with a service_id');
  });
});

describe('get_credential_status', () => {
  test('the text for a missing credential names those that are stored under a name', async () => {
    const { text } = await open();
    expect(await text('get_credential_status', { service_id: 'linear' })).toContain('Nothing is stored yet.');
    await text('store_credential', { ...LINEAR, name: 'work' });
    await text('store_credential', { ...LINEAR, name: 'home' });
    const unnamed = await text('get_credential_status', { service_id: 'linear' });
    expect(unnamed).toContain(
      'Nothing is stored without a name. Stored are: "home" (active), "work" (active).',
    );
    const other = await text('get_credential_status', { service_id: 'linear', name: 'hunter2' });
    expect(other).toContain(
      'Nothing is stored under this name. Stored are: "home" (active), "work" (active).',
    );
    expect(other).not.toContain('hunter2');
  });

  test('the text names the fields that are added and those that are missing', async () => {
    const { text } = await open();
    await text('store_credential', GMAIL);
    const status = await text('get_credential_status', { service_id: 'gmail' });
    expect(status).toContain('Added: gmail_oauth_token. Missing: gmail_client_id');
  });
});
