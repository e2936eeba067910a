/** The vault, the calls and the tests that every tool is given. */
import type { Calls } from '../contract/use/call.ts';
import type { Tests } from '../contract/use/test.ts';
import type { Vault } from '../vault/vault.ts';

export interface ToolContext {
  readonly vault: Vault;
  readonly calls: Calls;
  readonly tests: Tests;
}
