/** The bytes at rest contain no value, no name, and no ciphertext that was replaced or deleted. */

import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { findTexts } from '../../kit/canary.ts';
import {
  openTestDatabase,
  readAuditEntryRows,
  readBytesAtRest,
  readCredentialRows,
  test_engine,
} from '../../kit/vault/database.ts';
import { openTestVault, type TestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const CANARIES = {
  value: 'sk-canary-"value"-ä€🔑-1f',
  other_value: 'canary?value&two=3/4',
  replaced: 'canary~replaced~value-5',
  stack: 'canary stack é/6',
  name: 'canary+name 🔑 7',
  user: 'canary-user-8',
};
/** Ids that are not secret but must not be visible either. */
const IDS = ['canary_service', 'canary_field_one', 'canary_field_two'];

const DEFINITION = {
  slug: 'canary_service',
  name: 'Canary',
  description: 'A service whose name would show.',
  category: 'other',
  fields: ['canary_field_one', 'canary_field_two'].map((field_id) => {
    return {
      field_id,
      name: field_id,
      description: field_id,
      required: true,
      secret: true,
      max_length: 8_192,
    };
  }),
  value_field: { bearer: 'canary_field_one' },
  credential_types: ['bearer'],
  hosts: [],
  injection: { in: 'none' },
};

/** Time for the background scrub: half a second after the last write, plus a slow machine. */
const SCRUB_WITHIN_MS = 30_000;

async function until(holds: () => Promise<boolean>): Promise<boolean> {
  const give_up_at = Date.now() + SCRUB_WITHIN_MS;
  while (!(await holds()) && Date.now() < give_up_at) await sleep(50);
  return holds();
}

/** Names of the files that contain `bytes`. */
async function filesWith(home: string, ...bytes: readonly Buffer[]): Promise<string[]> {
  return [...(await readBytesAtRest(home))]
    .filter(([, file]) => bytes.some((one) => file.includes(one)))
    .map(([name]) => name);
}

describe('the bytes at rest of a vault', () => {
  test.each(['aes-256-gcm', 'xchacha20-poly1305'])(
    'the bytes at rest have no value and no name in any encoding, open or closed (%s)',
    async (cipher) => {
      const home = temporaryFolder();
      fs.mkdirSync(path.join(home, 'services'), { recursive: true });
      fs.writeFileSync(path.join(home, 'services', 'canary.json'), JSON.stringify(DEFINITION));
      const { vault, caller } = await openTestVault(home, { KEYHOLD_CIPHER: cipher });
      const user = () => ({ ...caller(), user: CANARIES.user });
      const where = { service_id: 'canary_service', stack_id: CANARIES.stack, name: CANARIES.name };
      await vault.store(user(), { ...where, credential_type: 'bearer', credential_value: CANARIES.replaced });
      const credentials = { canary_field_one: CANARIES.value, canary_field_two: CANARIES.other_value };
      await vault.update(user(), { ...where, credentials });
      await vault.update({ ...user(), scopes: new Set() }, { ...where, credentials }).catch(() => undefined);
      await vault
        .update(user(), { ...where, credentials: { canary_field_one: `${CANARIES.value}\ud800` } })
        .catch(() => undefined);
      const looked_for = [
        ...Object.values(CANARIES),
        ...IDS,
        'gmail',
        'linear',
        'credential_id',
        'modified_by',
      ];
      expect(findTexts(looked_for, await readBytesAtRest(home))).toEqual([]);
      await vault.scrub();
      expect(findTexts(looked_for, await readBytesAtRest(home))).toEqual([]);
      await vault.delete(user(), where);
      await vault.close();
      expect(findTexts(looked_for, await readBytesAtRest(home))).toEqual([]);
      expect(await readCredentialRows(home)).toEqual([]);
      // With the entries of the approved definition and of the stack that the first credential created.
      expect(await readAuditEntryRows(home)).toHaveLength(7);
    },
  );

  test('the search finds a value in every encoding', () => {
    const text = CANARIES.value;
    const bytes = Buffer.from(text);
    const hidden: [string, Buffer][] = [
      ['plain', bytes],
      ['hex', Buffer.from(bytes.toString('hex'))],
      ['base64', Buffer.from(bytes.toString('base64'))],
      ['base64 of something longer', Buffer.from(Buffer.from(`{"a":"${text}"}`).toString('base64'))],
      ['base64url of something longer', Buffer.from(Buffer.from(`ab${text}cd`).toString('base64url'))],
      ['URL-encoded', Buffer.from(encodeURIComponent(text))],
      ['JSON', Buffer.from(JSON.stringify({ text }))],
      ['UTF-16', Buffer.from(text, 'utf16le')],
    ];
    for (const [name, file] of hidden) {
      expect([
        name,
        findTexts([text], new Map([[name, Buffer.concat([Buffer.alloc(50), file])]])).length > 0,
      ]).toEqual([name, true]);
    }
  });
});

const LINEAR = { service_id: 'linear' };
const LONG = 'x'.repeat(6_000);

/** Changes to a credential, after which its old ciphertext must be deleted. */
const ENDS: readonly (readonly [string, (made: TestVault) => Promise<unknown>])[] = [
  [
    'updated',
    ({ vault, caller }) => vault.update(caller(), { ...LINEAR, credentials: { linear_api_key: 'new' } }),
  ],
  [
    'updated with a longer value',
    ({ vault, caller }) => vault.update(caller(), { ...LINEAR, credentials: { linear_api_key: LONG } }),
  ],
  [
    'stored again',
    ({ vault, caller }) =>
      vault.store(caller(), { ...LINEAR, credential_type: 'bearer', credential_value: 'new' }),
  ],
  ['deleted', ({ vault, caller }) => vault.delete(caller(), LINEAR)],
];

/** A vault with some credentials, and parts of the ciphertext of the one that will be replaced. */
async function withOldCiphertext(value: string) {
  const made = await openTestVault();
  const { vault, caller, home } = made;
  for (const name of ['a', 'b', 'c']) {
    await vault.store(caller(), {
      ...LINEAR,
      credential_type: 'bearer',
      credential_value: `of-${name}`,
      name,
    });
  }
  const { credential_id } = await vault.store(caller(), {
    ...LINEAR,
    credential_type: 'bearer',
    credential_value: value,
  });
  await vault.scrub();
  const id = Buffer.from(credential_id.replaceAll('-', ''), 'hex');
  const row = (await readCredentialRows(home)).find((one) => one.id.equals(id));
  if (row === undefined) throw new Error('no row');
  const pieces = [row.sealed_meta, row.sealed_values].map((sealed) => sealed.subarray(20, 52));
  expect(await filesWith(home, ...pieces)).toHaveLength(1);
  return { made, pieces };
}

// PostgreSQL keeps deleted rows until it reuses their space, and its log for as long as it is configured to.
describe.skipIf(test_engine.is_remote).each(ENDS)('a credential that was %s', (_, end) => {
  test.each([
    ['short', 'old'],
    ['long', 'y'.repeat(7_000)],
  ])('the old ciphertext is deleted by scrub (%s value)', async (__, value) => {
    const { made, pieces } = await withOldCiphertext(value);
    await end(made);
    await made.vault.scrub();
    expect(await filesWith(made.home, ...pieces)).toEqual([]);
    expect(await openTestDatabase(made.home).pendingBytes()).toBe(0);
    expect((await made.vault.health()).ok).toBe(true);
  });

  test('the old ciphertext is removed in the background', async () => {
    const { made, pieces } = await withOldCiphertext('old');
    await end(made);
    expect(await until(async () => (await filesWith(made.home, ...pieces)).length === 0)).toBe(true);
    expect(await until(async () => (await openTestDatabase(made.home).pendingBytes()) === 0)).toBe(true);
  });

  test('the old ciphertext is deleted if the vault is closed at once', async () => {
    const { made, pieces } = await withOldCiphertext('old');
    await end(made);
    await made.vault.close();
    expect(await filesWith(made.home, ...pieces)).toEqual([]);
    expect(openTestDatabase(made.home).isClosedCleanly()).toBe(true);
  });
});
