/** The vault and the calls that every tool is given. */
import type { Calls } from '../contract/use/call.ts';
import type { Vault } from '../vault/vault.ts';

export interface ToolContext {
  readonly vault: Vault;
  readonly calls: Calls;
}
