/**
 * `keyhold mcp`: the tools over stdin and stdout. Loads what the first answers need, and nothing else: settings, keys,
 * database and services come with the first call of a tool.
 */
import { TOOLS } from '../../tools/catalogue.ts';
import { localCaller } from '../contract/caller.ts';
import { VERSION } from '../contract/version.ts';
import { newRequestId } from '../crypto/request_id.ts';
import { serveMcpOverStdio } from '../mcp/stdio.ts';
import type { Vault } from '../vault/vault.ts';
import type { App } from './compose.ts';

/** Resolves when the client has gone and the vault is closed. */
export async function runMcp(): Promise<void> {
  let composition: Promise<App> | undefined;
  const composed = () => {
    composition ??= import('./compose.ts').then(({ compose }) =>
      // Nobody can be asked: stdin belongs to the protocol.
      compose({ env: process.env, askSecret: async () => undefined, now: () => new Date() }),
    );
    return composition;
  };
  // Opened by the first call that needs it, and tried again by the next one for as long as it fails.
  let opening: Promise<Vault> | undefined;
  const open = async () => (await composed()).openVault('if_new', 'mcp');
  await serveMcpOverStdio<Vault>({
    version: VERSION,
    tools: TOOLS,
    context: () => {
      opening ??= open().catch((error: unknown) => {
        opening = undefined;
        throw error;
      });
      return opening;
    },
    caller: () => localCaller('mcp', newRequestId()),
    log: async () => (await composed()).log(),
  });
  await (await opening?.catch(() => undefined))?.close();
}
