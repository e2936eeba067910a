/** Opens real vaults in temporary folders. */

import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type ComposeOptions, compose } from '../../../src/app/compose.ts';
import { type Caller, localCaller } from '../../../src/contract/caller.ts';
import type { Connections } from '../../../src/contract/connection.ts';
import type { Pages } from '../../../src/contract/pages.ts';
import type { Calls } from '../../../src/contract/use/call.ts';
import type { Tests } from '../../../src/contract/use/test.ts';
import type { CreatePolicy } from '../../../src/vault/open_vault.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { removeFolder } from '../remove_folder.ts';
import { test_engine } from './database.ts';

/** Instead of five seconds. */
const GIVEN_TEST_DELAY_MS = 300;

/** A new empty folder, removed when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'keyhold-test-'));
  onTestFinished(async () => {
    await removeFolder(folder);
    await test_engine.forget(folder);
  });
  return folder;
}

/** Copies the home of a closed vault with its stored data. The copy is removed when the test ends. */
export async function copyHome(home: string): Promise<string> {
  const copy = join(temporaryFolder(), 'home');
  cpSync(home, copy, { recursive: true });
  await test_engine.copy(home, copy);
  return copy;
}

/**
 * A vault on a remote engine is created with the policy of `keyhold init` only, and one that a test has changed is opened as
 * `keyhold audit verify` does: others refuse a database that is older than the anchor.
 */
export async function createPolicy(home: string): Promise<CreatePolicy> {
  if (!test_engine.is_remote) return 'if_new';
  return (await test_engine.open(home).exists()) ? 'accept_older' : 'yes';
}

export interface TestVault {
  readonly home: string;
  readonly vault: Vault;
  readonly calls: Calls;
  readonly tests: Tests;
  readonly connections: Connections;
  /** Of a server that does not run. */
  readonly pages: Pages;
  /** A local caller with a new request id. */
  caller(): Caller;
}

/** Approves all definitions in the folder of services, as a person does with `keyhold services approve`. */
export async function approveDefinitions(vault: Vault): Promise<void> {
  const person = localCaller('cli', 'test');
  for (const { service } of vault.services.customDefinitions())
    await vault.definitions.approve(person, service.slug);
}

/**
 * Opens a vault in `home`, creating it if it is missing, and closes it when the test ends. Definitions that the test wrote into
 * the folder of services are approved.
 */
export async function openTestVault(
  home: string = temporaryFolder(),
  env: NodeJS.ProcessEnv = {},
  create?: CreatePolicy,
  options: Partial<Pick<ComposeOptions, 'given_test_delay_ms' | 'now'>> = {},
): Promise<TestVault> {
  const composition = compose({
    env: { KEYHOLD_HOME: home, ...test_engine.settings(home), ...env },
    promptSecret: async () => undefined,
    now: () => new Date(),
    given_test_delay_ms: GIVEN_TEST_DELAY_MS,
    ...options,
  });
  const vault = await composition.openVault(create ?? (await createPolicy(home)), 'library');
  onTestFinished(() => vault.close());
  onTestFinished(() => composition.closeEgress());
  await approveDefinitions(vault);
  const calls = composition.calls(vault);
  const tests = composition.tests(vault);
  const connections = composition.connections(vault);
  const url = async () => 'http://127.0.0.1:8787';
  const pages = { baseUrl: url, dashboardUrl: url };
  return { home, vault, calls, tests, connections, pages, caller: () => composition.caller('library') };
}
