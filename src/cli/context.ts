/** The dependencies of every command: streams, environment, vault and prompts. Tests pass their own. */
import type { Caller } from '../contract/caller.ts';
import type { Connected, Connections } from '../contract/connection.ts';
import type { Logger } from '../contract/logger.ts';
import type { Secret } from '../contract/secret.ts';
import type { Calls } from '../contract/use/call.ts';
import type { Tests } from '../contract/use/test.ts';
import type { VaultClient } from '../contract/vault_client.ts';
import type { Settings } from '../settings/settings.ts';
import type { AccessTokens } from '../use/access_tokens.ts';
import type { ValueProducer } from '../use/values/value_producer.ts';
import type { BackupAccess } from '../vault/backup/access.ts';
import type { RootKeySource } from '../vault/keys/root_key.ts';
import type { MoveDestination } from '../vault/move/moves.ts';
import type { CreatePolicy } from '../vault/open_vault.ts';
import type { Vault } from '../vault/vault.ts';
import type { InstallEnvironment } from './commands/install/install.ts';

/** The client of a server: its vault, and what the server reports about itself. */
export interface RemoteClient extends VaultClient {
  /** Rejects if the server is not healthy. Sends no key. */
  checkHealth(): Promise<void>;
  /** The user that the API key authenticates. */
  whoAmI(): Promise<{
    readonly organization: string;
    readonly user: string;
    readonly scopes: readonly string[];
    readonly server_version: string;
  }>;
}

/** Receives the callbacks of providers on this machine, for connections of this process. */
export interface CallbackListener {
  /** Of the redirect URI: `http://127.0.0.1:<KEYHOLD_PORT>`. */
  readonly base_url: string;
  /** Ends with the callback that has this state (RFC 6749, section 4.1.2), as `Connections.finish` does. Other callbacks do not end it. */
  outcome(state: string): Promise<Connected>;
  /** Lets the page of the outcome load first. */
  close(): Promise<void>;
}

/** Prompts without echo. Returns `undefined` without a terminal or for an empty input. */
export type PromptSecret = (question: string) => Promise<Secret | undefined>;

export interface CliContext {
  readonly version: string;
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** Parsed on first use. Throws VaultError for an invalid setting. */
  settings(): Settings;
  /** A new local caller with its own request id. */
  caller(): Caller;
  /** The log for causes that are not printed. Rejects with VaultError for an invalid setting. */
  log(): Promise<Logger>;
  /**
   * Opens the local vault, runs `act` and closes the vault. `promptPassphrase` replaces the prompt for a passphrase that is
   * not in KEYHOLD_PASSPHRASE.
   */
  withVault<Result>(
    create: CreatePolicy,
    act: (vault: Vault) => Promise<Result>,
    promptPassphrase?: PromptSecret,
  ): Promise<Result>;
  /** Creates the bootstrap API key of a vault that never had a key. Resolves with the path of its file, `undefined` otherwise. */
  createBootstrapKey(vault: Vault): Promise<string | undefined>;
  /** The source of a root key, from a text as in KEYHOLD_ROOT_KEY. Rejects with INVALID_INPUT. */
  rootKeySource(text: string): Promise<RootKeySource>;
  /** The client of a server. Sends nothing before its first call. Rejects with VaultError for an invalid argument. */
  connect(url: URL, key: Secret, timeout_ms?: number): Promise<RemoteClient>;
  /** Requests with the credentials of an open local vault. */
  calls(vault: Vault): Calls;
  /** Tests of the credentials of an open local vault. */
  tests(vault: Vault): Tests;
  /** Connects credentials of an open local vault with OAuth. */
  connections(vault: Vault): Connections;
  /** Rejects with UNAVAILABLE if another program listens on the port. */
  listenForCallback(vault: Vault): Promise<CallbackListener>;
  /** Refreshes the access tokens of an open local vault. */
  accessTokens(vault: Vault): AccessTokens;
  /** Makes the values of uses from the stored ones. Rejects with INVALID_INPUT for an invalid setting. */
  valueProducer(): Promise<ValueProducer>;
  readonly backups: BackupAccess;
  /** The store that a text as in KEYHOLD_STORE names. Rejects with INVALID_INPUT; also for the present store. */
  moveDestination(text: string): Promise<MoveDestination>;
  readonly promptSecret: PromptSecret;
}

/** The dependencies of the commands that run other parts of the program, in addition. */
export interface ProgramContext extends CliContext {
  /** Serves MCP over stdin and stdout until the client disconnects. */
  serveMcp(): Promise<void>;
  /** Serves HTTP until a shutdown signal. `settings` override the environment. */
  serve(settings: Readonly<Record<string, string>>): Promise<void>;
  install(): Promise<InstallEnvironment>;
}
