/**
 * Where a command finds the vault that it works on: a file of this machine, or a server. Both do the same things, so a
 * command is written once and never asks which it is.
 */
import { type Command, Option } from 'commander';
import type { VaultClient } from '../../contract/vault_client.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';

export interface VaultConnection {
  /** Runs `act` with the vault. With `new_or_existing` it is made where there is none yet. */
  withVault<Result>(
    which: 'existing' | 'new_or_existing',
    act: (vault: VaultClient) => Promise<Result>,
  ): Promise<Result>;
  /** The services of the vault. Rejects with VaultError. */
  services(): Promise<ServiceCatalogue>;
  /** Was nothing ever stored, for certain? Looks only; makes nothing. */
  isNothingThere(): boolean;
}

export interface ConnectionOptions {
  readonly url?: string;
  readonly keyFile?: string;
}

const GROUP = 'On a server:';

/** Lets a command work on the vault of a server as well. */
export function addServerOptions(command: Command): Command {
  const url = new Option('--url <url>', 'use the vault of this server (default: KEYHOLD_URL)');
  const key_file = new Option('--key-file <file>', 'read the API key from there (default: KEYHOLD_API_KEY)');
  return command.addOption(url.helpGroup(GROUP)).addOption(key_file.helpGroup(GROUP));
}
