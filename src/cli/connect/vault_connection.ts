/** The vault that a command works on: the local vault or the vault of a server, behind one interface. */
import type { Service } from '../../contract/service/service.ts';
import type { VaultClient } from '../../contract/vault_client.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import type { Vault } from '../../vault/vault.ts';
import { findService, loadCatalogue } from '../commands/find_service.ts';
import type { CliContext, PromptSecret } from '../context.ts';
import { assertNoProtection, type ProtectOption } from './protect_option.ts';
import { type ConnectionOptions, readApiKey, type ServerOption, serverOption } from './server_option.ts';

export interface VaultConnection {
  /**
   * Runs `act` with the vault. `new_or_existing` creates a missing local vault. `existing_or_older`: also a database that is
   * older than the anchor.
   */
  withVault<Result>(
    which: 'existing' | 'existing_or_older' | 'new_or_existing',
    act: (vault: VaultClient) => Promise<Result>,
  ): Promise<Result>;
  /** Runs `act` with the existing local vault; absent for a server. */
  readonly withLocalVault?: <Result>(act: (vault: Vault) => Promise<Result>) => Promise<Result>;
  /** The services of the vault. Rejects with VaultError. */
  services(): Promise<ServiceCatalogue>;
  /** The service with this id, or the only one whose id starts with it. Rejects with NOT_FOUND. */
  findService(typed: string): Promise<Service>;
  /** Whether the local vault and its root key are both missing. False for a server. */
  isVaultAbsent(): boolean;
}

/** Selects the vault by the options and the environment. Opens nothing and never prompts. Rejects with INVALID_INPUT. `protect`: see `addProtectOptions`. */
export async function connectVault(
  context: CliContext,
  { url, keyFile, protect }: ConnectionOptions & ProtectOption,
): Promise<VaultConnection> {
  const server = serverOption(context.env, url, keyFile);
  if (server === undefined) return localConnection(context, { protect });
  assertNoProtection(protect);
  return remoteConnection(context, server);
}

async function localConnection(context: CliContext, write: ProtectOption): Promise<VaultConnection> {
  const { localClient } = await import('../../vault/local_client.ts');
  const { createForWriting, isVaultAbsent } = await import('./presence.ts');
  // A command that opens the vault before and after a confirmation prompts for the passphrase once.
  let passphrase: ReturnType<PromptSecret> | undefined;
  const promptPassphrase: PromptSecret = (question) => {
    passphrase ??= context.promptSecret(question);
    return passphrase;
  };
  const policyFor = (which: Parameters<VaultConnection['withVault']>[0]) => {
    if (which === 'existing_or_older') return 'accept_older';
    return which === 'new_or_existing' ? createForWriting(context) : 'no';
  };
  return {
    withVault: (which, act) =>
      context.withVault(
        policyFor(which),
        (vault) =>
          act(localClient(vault, () => context.caller(), context.calls(vault), context.tests(vault), write)),
        promptPassphrase,
      ),
    withLocalVault: (act) => context.withVault('no', act, promptPassphrase),
    services: () => loadCatalogue(context),
    findService: async (typed) => findService(await loadCatalogue(context), typed, { allow_prefix: true }),
    isVaultAbsent: () => isVaultAbsent(context),
  };
}

function remoteConnection(context: CliContext, server: ServerOption): VaultConnection {
  let connecting: Promise<VaultClient> | undefined;
  const connect = () => {
    connecting ??= readApiKey(context, server).then((key) => context.connect(server.url, key));
    return connecting;
  };
  const services = async () => {
    // Requests all services: the argument may be a misplaced value and must not get into a URL.
    const definitions = await (await connect()).listServiceDefinitions();
    const { ServiceCatalogue } = await import('../../services/catalogue.ts');
    return ServiceCatalogue.of(definitions);
  };
  return {
    withVault: async (_which, act) => act(await connect()),
    services,
    async findService(typed) {
      // A custom service cannot use the id of a built-in one. The definitions of a server have about 180 kB.
      const { ServiceCatalogue } = await import('../../services/catalogue.ts');
      return (
        ServiceCatalogue.load().find(typed) ?? findService(await services(), typed, { allow_prefix: true })
      );
    },
    isVaultAbsent: () => false,
  };
}
