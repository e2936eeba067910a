import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CredentialStatus } from '../../../src/contract/credential.ts';
import type { FieldDefinition } from '../../../src/contract/service/fields.ts';
import type { CredentialMeta } from '../../../src/vault/credentials/codec.ts';
import { credentialStatus } from '../../../src/vault/credentials/status.ts';
import { check, PROPERTY_TIMEOUT_MS } from '../../kit/property.ts';

const NOW = new Date('2026-06-15T12:00:00.000Z');
const at = (seconds: number) => new Date(NOW.getTime() + seconds * 1_000).toISOString();

function field(field_id: string, required: boolean): FieldDefinition {
  return { field_id, name: field_id, description: field_id, required, secret: true, max_length: 100 };
}

function credential(change: Partial<CredentialMeta> = {}): CredentialMeta {
  return {
    user: 'me',
    stack: 'default',
    service: 'gmail',
    name: null,
    id: '01890a5d-0000-7000-8000-000000000001',
    revision: 1,
    type: 'bearer',
    fields: [],
    created_at: at(-60),
    updated_at: at(-30),
    modified_by: 'me',
    inactive: false,
    expires_at: null,
    last_used_at: null,
    ...change,
  };
}

const gmail = { fields: [field('token', true), field('client', true), field('signature', false)] };

describe('the status of a credential', () => {
  test('the status without a credential is missing for each field', () => {
    expect(credentialStatus(gmail, undefined, NOW)).toEqual({
      required_credentials: { token: 'missing', client: 'missing' },
      optional_credentials: { signature: 'missing' },
      all_credentials_added: false,
      required_credentials_added: false,
      credential_id: null,
      status: 'missing',
      credential_type: null,
      destination: null,
      use_policy: null,
      protected: false,
      pending_approval: null,
      updated_at: null,
      modified_by: null,
      expires_at: null,
      last_used_at: null,
      last_test: null,
    });
  });

  test('the status without a credential is missing even if no field is required', () => {
    const status = credentialStatus({ fields: [field('note', false)] }, undefined, NOW);
    expect([status.status, status.required_credentials_added]).toEqual(['missing', false]);
  });

  test('the status is incomplete if a required field is missing, whatever optional fields are present', () => {
    const status = credentialStatus(gmail, credential({ fields: ['token', 'signature'] }), NOW);
    expect(status).toMatchObject({
      status: 'incomplete',
      required_credentials_added: false,
      all_credentials_added: false,
    });
  });

  test('the status is incomplete until one group of fields is complete beside the required ones', () => {
    const service = {
      fields: [field('site', true), field('token', false), field('client', false), field('refresh', false)],
      requires: [['token'], ['client', 'refresh']],
    };
    const stateWith = (fields: string[]) => credentialStatus(service, credential({ fields }), NOW).status;
    expect(stateWith(['site'])).toBe('incomplete');
    expect(stateWith(['token'])).toBe('incomplete');
    expect(stateWith(['site', 'client'])).toBe('incomplete');
    expect(stateWith(['site', 'token'])).toBe('active');
    expect(stateWith(['site', 'client', 'refresh'])).toBe('active');
  });

  test('the status is active with every required field; all_credentials_added needs every field', () => {
    const required = credentialStatus(gmail, credential({ fields: ['client', 'token'] }), NOW);
    expect(required).toMatchObject({
      status: 'active',
      required_credentials_added: true,
      all_credentials_added: false,
    });
    const all = credentialStatus(gmail, credential({ fields: ['client', 'token', 'signature'] }), NOW);
    expect(all).toMatchObject({
      status: 'active',
      required_credentials_added: true,
      all_credentials_added: true,
    });
  });

  test.each([
    ['inactive before anything else', { inactive: true, expires_at: at(-1) }, 'inactive'],
    ['expired before incomplete', { expires_at: at(-1) }, 'expired'],
    ['expired at the very moment', { expires_at: at(0), fields: ['token', 'client'] }, 'expired'],
    ['active until then', { expires_at: at(1), fields: ['token', 'client'] }, 'active'],
    ['incomplete until then', { expires_at: at(1) }, 'incomplete'],
  ] as const)('the status is %s', (_, change, expected) => {
    expect(credentialStatus(gmail, credential(change), NOW).status).toBe(expected);
  });

  test('the status counts fields that the service no longer has as optional', () => {
    const status = credentialStatus(
      gmail,
      credential({ fields: ['token', 'client', 'signature', 'old'] }),
      NOW,
    );
    expect(status.optional_credentials).toEqual({ signature: 'added', old: 'added' });
    expect(status.all_credentials_added).toBe(true);
  });

  test('the status of a credential whose service was removed shows its fields', () => {
    const status = credentialStatus(undefined, credential({ fields: ['token'] }), NOW);
    expect(status).toMatchObject({
      required_credentials: {},
      optional_credentials: { token: 'added' },
      status: 'active',
    });
  });
});

const ids = fc.constantFrom(
  'a',
  'b',
  'c',
  'd',
  'constructor',
  'toString',
  'hasOwnProperty',
  '__proto__',
  '0',
  '1',
);
const times = fc.option(fc.integer({ min: -3, max: 3 }).map(at), { nil: null });
const services = fc.option(
  fc.uniqueArray(fc.tuple(ids, fc.boolean()), { selector: ([id]) => id, maxLength: 8 }),
  { nil: undefined },
);
const metas = fc.option(
  fc.record({ fields: fc.uniqueArray(ids), inactive: fc.boolean(), expires_at: times }),
  { nil: undefined },
);

test('the status equals a reference model for any service and any credential', {
  timeout: PROPERTY_TIMEOUT_MS,
}, () => {
  check(fc.tuple(services, metas), ([definition, stored]) => {
    const service = definition && { fields: definition.map(([id, required]) => field(id, required)) };
    const status = credentialStatus(service, stored && credential(stored), NOW);

    // The model uses sets.
    const has = new Set<string>(stored?.fields);
    const must = new Set((definition ?? []).filter(([, required]) => required).map(([id]) => id));
    const may = new Set([
      ...(definition ?? []).filter(([, required]) => !required).map(([id]) => id),
      ...has,
    ]);
    for (const id of must) may.delete(id);
    const lacks = [...must].filter((id) => !has.has(id));
    const complete = stored !== undefined && lacks.length === 0;

    expect(listed(status.required_credentials)).toEqual(expectedList(must, has));
    expect(listed(status.optional_credentials)).toEqual(expectedList(may, has));
    expect(status.required_credentials_added).toBe(complete);
    expect(status.all_credentials_added).toBe(complete && [...may].every((id) => has.has(id)));
    expect(status.status).toBe(expectedState(stored, complete));
    expect(status.credential_id === null).toBe(stored === undefined);
    expect(Object.getPrototypeOf(status.optional_credentials)).toBe(Object.prototype);
    // `__proto__` is not a valid field id; the schema accepts all other names.
    if (!must.has('__proto__') && !may.has('__proto__'))
      expect(CredentialStatus.parse(status)).toEqual(status);
  });
});

function listed(presences: Readonly<Record<string, string>>): string[] {
  return Object.entries(presences)
    .map(([id, presence]) => `${id} ${presence}`)
    .sort();
}

function expectedList(fields: ReadonlySet<string>, has: ReadonlySet<string>): string[] {
  return [...fields].map((id) => `${id} ${has.has(id) ? 'added' : 'missing'}`).sort();
}

function expectedState(
  stored: { readonly inactive: boolean; readonly expires_at: string | null } | undefined,
  complete: boolean,
): string {
  if (stored === undefined) return 'missing';
  if (stored.inactive) return 'inactive';
  if (stored.expires_at !== null && !(new Date(stored.expires_at) > NOW)) return 'expired';
  return complete ? 'active' : 'incomplete';
}
