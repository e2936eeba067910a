/** The vault of a server, as the commands use it. The API key is read once, and goes nowhere but to the server. */
import type { VaultClient } from '../../contract/vault_client.ts';
import type { CliContext } from '../context.ts';
import { readApiKey } from './read_api_key.ts';
import type { ServerOption } from './server_option.ts';
import type { VaultConnection } from './vault_connection.ts';

export function remoteConnection(context: CliContext, server: ServerOption): VaultConnection {
  let connecting: Promise<VaultClient> | undefined;
  const connect = () => {
    connecting ??= readApiKey(context, server).then((key) => context.connect(server.url, key));
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
