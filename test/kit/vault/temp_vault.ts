/** Real vaults in folders that are gone after the test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { compose } from '../../../src/app/compose.ts';
import type { Caller } from '../../../src/contract/caller.ts';
import type { CreatePolicy } from '../../../src/vault/open_vault.ts';
import type { Vault } from '../../../src/vault/vault.ts';

/** A new empty folder, removed when the test is over. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'keyhold-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface TestVault {
  readonly home: string;
  readonly vault: Vault;
  /** A local caller with a request id of its own. */
  caller(): Caller;
}

/** Opens (and makes) a vault in `home`, which is closed when the test is over. */
export async function openTestVault(
  home: string = temporaryFolder(),
  env: NodeJS.ProcessEnv = {},
  create: CreatePolicy = 'if_new',
): Promise<TestVault> {
  const composition = compose({
    env: { KEYHOLD_HOME: home, ...env },
    askSecret: async () => undefined,
    now: () => new Date(),
  });
  const vault = await composition.openVault(create, 'library');
  onTestFinished(() => vault.close());
  return { home, vault, caller: () => composition.caller('library') };
}
