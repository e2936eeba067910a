/** The vault of this machine, as the commands use it: opened for each use, and closed again. */
import { localDoor } from '../../vault/local_client.ts';
import { loadCatalogue } from '../commands/find_service.ts';
import type { CliApp } from '../context.ts';
import { createForWriting, isNothingThere } from './presence.ts';
import type { VaultAccess } from './vault_connection.ts';

export function localAccess(app: CliApp): VaultAccess {
  return {
    withVault: (which, act) =>
      app.withVault(which === 'new_or_existing' ? createForWriting(app) : 'no', (vault) =>
        act(localDoor(vault, () => app.caller())),
      ),
    services: () => loadCatalogue(app),
    isNothingThere: () => isNothingThere(app),
  };
}
