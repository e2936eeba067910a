/**
 * A vault with tenants: organizations and users that come in by API keys, a clock that tests move, and the raw rows of
 * every kind of record.
 */

import { onTestFinished } from 'vitest';
import { compose } from '../../../src/app/compose.ts';
import type { CreateKeyInput, NewApiKey } from '../../../src/contract/api_key.ts';
import { type Caller, SCOPES, type Scope } from '../../../src/contract/caller.ts';
import { newRequestId } from '../../../src/crypto/request_id.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { test_engine } from './database.ts';
import { temporaryFolder } from './temp_vault.ts';

/** A clock that stands until it is moved. */
export class Clock {
  #now_ms: number;

  constructor(now_ms = Date.now()) {
    this.#now_ms = now_ms;
  }

  now(): Date {
    return new Date(this.#now_ms);
  }

  /** The time so far from now, as inputs take it. */
  in(ms: number): string {
    return new Date(this.#now_ms + ms).toISOString();
  }

  advance(ms: number): void {
    this.#now_ms += ms;
  }
}

/** Every scope, `values:reveal` too. */
export const ALL_SCOPES: readonly Scope[] = SCOPES;

export class Tenants {
  readonly home: string;
  readonly clock: Clock;
  readonly vault: Vault;

  constructor(home: string, clock: Clock, vault: Vault) {
    this.home = home;
    this.clock = clock;
    this.vault = vault;
  }

  /** Who runs the installation, at the machine itself. */
  operator(): Caller {
    const scopes = new Set(SCOPES.filter((scope) => scope !== 'values:reveal'));
    return { organization: 'local', user: 'me', scopes, edge: 'library', request_id: newRequestId() };
  }

  /** A key made by the operator. */
  newKey(input: CreateKeyInput): Promise<NewApiKey> {
    return this.vault.api_keys.create(this.operator(), input);
  }

  /** Who comes in with this key. */
  caller(key: string): Promise<Caller> {
    return this.vault.api_keys.authenticate(key, 'rest', newRequestId());
  }

  /** A user of an organization, both made where they are new, with every scope but `org:admin` unless told. */
  async user(organization: string, user: string, more: CreateKeyInput = {}): Promise<Caller> {
    const scopes = SCOPES.filter((scope) => scope !== 'org:admin');
    const { key } = await this.newKey({ organization, user, scopes, ...more });
    return this.caller(key);
  }

  /** Who administers an organization. */
  admin(organization: string, user = 'admin'): Promise<Caller> {
    return this.user(organization, user, { scopes: [...SCOPES] });
  }
}

/** Opens (and makes) a vault in `home`, which is closed when the test is over. Two may be open on one home. */
export async function openTenants(
  home: string = temporaryFolder(),
  clock: Clock = new Clock(),
): Promise<Tenants> {
  const composition = compose({
    env: { KEYHOLD_HOME: home, ...test_engine.settings(home) },
    askSecret: async () => undefined,
    now: () => clock.now(),
  });
  const vault = await composition.openVault('if_new', 'library');
  onTestFinished(() => vault.close());
  return new Tenants(home, clock, vault);
}

/** The same caller with some scopes taken away. */
export function withoutScopes(caller: Caller, ...gone: Scope[]): Caller {
  return { ...caller, scopes: new Set([...caller.scopes].filter((scope) => !gone.includes(scope))) };
}

/** A UUID that nobody has. */
export const UNKNOWN_ID = '01890a5d-0000-7000-8000-0000000000aa';

/** The organization `acme` with the users ann and bob and an administrator. */
export async function createAcme() {
  const tenants = await openTenants();
  const keys = await Promise.all(
    ['ann', 'bob'].map((user) => tenants.newKey({ organization: 'acme', user, scopes: SCOPES.slice(0, -1) })),
  );
  const [ann, bob] = await Promise.all(keys.map(({ key }) => tenants.caller(key)));
  const [ann_key, bob_key] = keys;
  if (ann === undefined || bob === undefined || ann_key === undefined || bob_key === undefined)
    throw new Error('no keys');
  return {
    tenants,
    credentials: tenants.vault.credentials,
    ann,
    bob,
    admin: await tenants.admin('acme'),
    ids: { ann: ann_key.user_id, bob: bob_key.user_id, unit: ann_key.unit_id },
  };
}

/** The values of a credential as the vault itself reveals them. */
export async function revealValues(
  { vault }: Tenants,
  caller: Caller,
  id: string,
): Promise<Record<string, string>> {
  const values = await vault.credentials.reveal(caller, id);
  return Object.fromEntries([...values].map(([field, value]) => [field, value.reveal()]));
}
