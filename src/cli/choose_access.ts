/** Decides which vault a command works on, once. Opens nothing and asks nothing. */
import type { CliApp } from './app.ts';
import { serverNamed } from './server_named.ts';
import type { AccessOptions, VaultAccess } from './vault_access.ts';

/** The vault that the options and the environment name. Throws INVALID_INPUT. */
export async function vaultAccess(app: CliApp, { url, keyFile }: AccessOptions): Promise<VaultAccess> {
  const server = serverNamed(app.env, url, keyFile);
  if (server === undefined) return (await import('./local_access.ts')).localAccess(app);
  return (await import('./remote_access.ts')).remoteAccess(app, server);
}
