/** Decides which vault a command works on, once. Opens nothing and asks nothing. */
import type { CliApp } from '../context.ts';
import { serverNamed } from './server_option.ts';
import type { AccessOptions, VaultAccess } from './vault_connection.ts';

/** The vault that the options and the environment name. Throws INVALID_INPUT. */
export async function vaultAccess(app: CliApp, { url, keyFile }: AccessOptions): Promise<VaultAccess> {
  const server = serverNamed(app.env, url, keyFile);
  if (server === undefined) return (await import('./local_connection.ts')).localAccess(app);
  return (await import('./remote_connection.ts')).remoteAccess(app, server);
}
