/** The vault of a server, as the commands use it. The API key is read once, and goes nowhere but to the server. */
import type { VaultDoor } from '../../contract/vault_client.ts';
import type { CliApp } from '../context.ts';
import { readApiKey } from './read_api_key.ts';
import type { NamedServer } from './server_option.ts';
import type { VaultAccess } from './vault_connection.ts';

export function remoteAccess(app: CliApp, server: NamedServer): VaultAccess {
  let connecting: Promise<VaultDoor> | undefined;
  const connect = () => {
    connecting ??= readApiKey(app, server).then((key) => app.connect(server.url, key));
    return connecting;
  };
  return {
    withVault: async (_which, act) => act(await connect()),
    async services() {
      // All of them, and looked through here: what was typed may be a value, and gets into no URL.
      const services = await (await connect()).listServiceDefinitions();
      const { ServiceCatalogue } = await import('../../services/catalogue.ts');
      return ServiceCatalogue.of(services);
    },
    isNothingThere: () => false,
  };
}
