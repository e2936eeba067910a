/** Decides which vault a command works on, once. Opens nothing and asks nothing. */
import type { CliContext } from '../context.ts';
import { serverOption } from './server_option.ts';
import type { ConnectionOptions, VaultConnection } from './vault_connection.ts';

/** The vault that the options and the environment name. Throws INVALID_INPUT. */
export async function connectVault(
  context: CliContext,
  { url, keyFile }: ConnectionOptions,
): Promise<VaultConnection> {
  const server = serverOption(context.env, url, keyFile);
  if (server === undefined) return (await import('./local_connection.ts')).localConnection(context);
  return (await import('./remote_connection.ts')).remoteConnection(context, server);
}
