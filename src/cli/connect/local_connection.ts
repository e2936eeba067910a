/** The vault of this machine, as the commands use it: opened for each use, and closed again. */
import { localClient } from '../../vault/local_client.ts';
import { loadCatalogue } from '../commands/find_service.ts';
import type { CliContext } from '../context.ts';
import { createForWriting, isVaultAbsent } from './presence.ts';
import type { VaultConnection } from './vault_connection.ts';

export function localConnection(context: CliContext): VaultConnection {
  return {
    withVault: (which, act) =>
      context.withVault(which === 'new_or_existing' ? createForWriting(context) : 'no', (vault) =>
        act(localClient(vault, () => context.caller())),
      ),
    services: () => loadCatalogue(context),
    isNothingThere: () => isVaultAbsent(context),
  };
}
