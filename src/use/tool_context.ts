/** The vault, the calls, the tests and the pages that every tool is given. */
import type { Pages } from '../contract/pages.ts';
import type { Calls } from '../contract/use/call.ts';
import type { Tests } from '../contract/use/test.ts';
import type { Vault } from '../vault/vault.ts';

export interface ToolContext {
  readonly vault: Vault;
  readonly calls: Calls;
  readonly tests: Tests;
  readonly pages: Pages;
}
