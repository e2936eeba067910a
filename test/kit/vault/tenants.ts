/** A vault with organizations and users that authenticate with API keys, and a clock that tests advance. */

import { onTestFinished } from 'vitest';
import { compose } from '../../../src/app/compose.ts';
import type { CreateKeyInput, NewApiKey } from '../../../src/contract/api_key.ts';
import { type Caller, SCOPES, type Scope } from '../../../src/contract/caller.ts';
import type { Connections } from '../../../src/contract/connection.ts';
import type { Calls } from '../../../src/contract/use/call.ts';
import type { Tests } from '../../../src/contract/use/test.ts';
import { newRequestId } from '../../../src/crypto/request_id.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { test_engine } from './database.ts';
import { approveDefinitions, createPolicy, temporaryFolder } from './temp_vault.ts';

/** A clock that only moves when a test advances it. */
export class Clock {
  #now_ms: number;

  constructor(now_ms = Date.now()) {
    this.#now_ms = now_ms;
  }

  now(): Date {
    return new Date(this.#now_ms);
  }

  /** The time `ms` from now as ISO 8601. */
  in(ms: number): string {
    return new Date(this.#now_ms + ms).toISOString();
  }

  advance(ms: number): void {
    this.#now_ms += ms;
  }
}

/** Every scope, including `values:reveal`. */
export const ALL_SCOPES: readonly Scope[] = SCOPES;

export class Tenants {
  readonly home: string;
  readonly clock: Clock;
  readonly vault: Vault;
  readonly calls: Calls;
  readonly tests: Tests;
  readonly connections: Connections;

  constructor(
    home: string,
    clock: Clock,
    vault: Vault,
    { calls, tests, connections }: Pick<Tenants, 'calls' | 'tests' | 'connections'>,
  ) {
    this.calls = calls;
    this.tests = tests;
    this.connections = connections;
    this.home = home;
    this.clock = clock;
    this.vault = vault;
  }

  /** The operator of the installation. */
  operator(): Caller {
    const scopes = new Set(SCOPES.filter((scope) => scope !== 'values:reveal'));
    return { organization: 'local', user: 'me', scopes, edge: 'library', request_id: newRequestId() };
  }

  /** Creates a key as the operator on the command line, who may grant every scope. */
  newKey(input: CreateKeyInput): Promise<NewApiKey> {
    return this.vault.api_keys.create({ ...this.operator(), edge: 'cli' }, input);
  }

  /** Authenticates with this key. */
  caller(key: string): Promise<Caller> {
    return this.vault.api_keys.authenticate(key, 'rest', newRequestId());
  }

  /**
   * Creates a user of an organization, and the organization if it is missing, with every scope but `org:admin` by
   * default.
   */
  async user(organization: string, user: string, more: CreateKeyInput = {}): Promise<Caller> {
    const scopes = SCOPES.filter((scope) => scope !== 'org:admin');
    const { key } = await this.newKey({ organization, user, scopes, ...more });
    return this.caller(key);
  }

  /** Creates an administrator of an organization. */
  admin(organization: string, user = 'admin'): Promise<Caller> {
    return this.user(organization, user, { scopes: [...SCOPES] });
  }
}

/**
 * Opens a vault in `home`, creating it if it is missing, and closes it when the test ends. Two can be open on one
 * home.
 */
export async function openTenants(
  home: string = temporaryFolder(),
  clock: Clock = new Clock(),
  env: NodeJS.ProcessEnv = {},
): Promise<Tenants> {
  const composition = compose({
    env: { KEYHOLD_HOME: home, ...test_engine.settings(home), ...env },
    promptSecret: async () => undefined,
    given_test_delay_ms: 300,
    now: () => clock.now(),
  });
  const vault = await composition.openVault(await createPolicy(home), 'library');
  onTestFinished(() => vault.close());
  onTestFinished(() => composition.closeEgress());
  await approveDefinitions(vault);
  return new Tenants(home, clock, vault, {
    calls: composition.calls(vault),
    tests: composition.tests(vault),
    connections: composition.connections(vault),
  });
}

/** A copy of the caller without some scopes. */
export function withoutScopes(caller: Caller, ...removed: Scope[]): Caller {
  return { ...caller, scopes: new Set([...caller.scopes].filter((scope) => !removed.includes(scope))) };
}

/** A UUID that no record has. */
export const UNKNOWN_ID = '01890a5d-0000-7000-8000-0000000000aa';

/** Creates the organization `acme` with the users ann and bob and an administrator. */
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

/** Reveals the values of a credential through the vault. */
export async function revealValues(
  { vault }: Tenants,
  caller: Caller,
  id: string,
): Promise<Record<string, string>> {
  const values = await vault.credentials.reveal(caller, id);
  return Object.fromEntries([...values].map(([field, value]) => [field, value.reveal()]));
}
