/** What a command is given: the world it runs in, so that it can be run by a test as well as by a shell. */
import type { Caller } from '../contract/caller.ts';
import type { Logger } from '../contract/logger.ts';
import type { Secret } from '../contract/secret.ts';
import type { VaultClient } from '../contract/vault_client.ts';
import type { Settings } from '../settings/settings.ts';
import type { CreatePolicy } from '../vault/open_vault.ts';
import type { Vault } from '../vault/vault.ts';
import type { InstallEnvironment } from './commands/install/install.ts';

/** The door to a server's vault, and what a server tells of itself. */
export interface RemoteClient extends VaultClient {
  /** Rejects where it is not well. Sends no key. */
  checkHealth(): Promise<void>;
  /** Whom the API key stands for. */
  whoAmI(): Promise<{
    readonly organization: string;
    readonly user: string;
    readonly scopes: readonly string[];
    readonly server_version: string;
  }>;
}

/** Asks in the terminal without showing what is typed; `undefined` where there is no terminal, or nobody answers. */
export type PromptSecret = (question: string) => Promise<Secret | undefined>;

export interface CliContext {
  readonly version: string;
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** Parsed when first asked for; throws VaultError for a wrong one. */
  settings(): Settings;
  /** A local caller with a request id of its own. */
  caller(): Caller;
  /** Where causes go that are not shown. Rejects with VaultError for a wrong setting. */
  log(): Promise<Logger>;
  /**
   * Opens the vault of this machine, runs `act`, closes it again. `ask_passphrase` is asked instead of the terminal,
   * where the root key is a passphrase and KEYHOLD_PASSPHRASE does not hold it.
   */
  withVault<Result>(
    create: CreatePolicy,
    act: (vault: Vault) => Promise<Result>,
    ask_passphrase?: PromptSecret,
  ): Promise<Result>;
  /** The vault of a server. Sends nothing before it is used. Throws VaultError for what cannot be right. */
  connect(url: URL, key: Secret, timeout_ms?: number): Promise<RemoteClient>;
  readonly askSecret: PromptSecret;
  /** Serves MCP over stdin and stdout until the client goes. */
  serveMcp(): Promise<void>;
  /** Serves HTTP until the process is told to stop. `settings` win over the environment. */
  serve(settings: Readonly<Record<string, string>>): Promise<void>;
  install(): InstallEnvironment;
}
