/**
 * `keyhold init`: creates the vault and prints its files. Never changes an existing vault. In a database it is the only command
 * that creates one, and it also creates the bootstrap API key of the servers.
 */
import { Command } from 'commander';
import { VaultError } from '../../contract/errors.ts';
import { describeStore } from '../../io/store_location.ts';
import type { Settings } from '../../settings/settings.ts';
import type { Vault } from '../../vault/vault.ts';
import { assertLocal } from '../connect/server_option.ts';
import type { CliContext, PromptSecret } from '../context.ts';
import { examples, print, printJson } from '../terminal/output.ts';

interface Options {
  readonly json?: boolean;
}

export function initCommand(context: CliContext): Command {
  return new Command('init')
    .description('Create the vault and its root key. An existing vault stays unchanged.')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold init', 'KEYHOLD_HOME=/srv/keyhold keyhold init'))
    .action((options: Options) => init(context, options));
}

async function init(context: CliContext, { json }: Options): Promise<void> {
  assertLocal(context.env, 'init', 'A server creates its own vault when it starts.');
  const { store, root_key } = context.settings();
  const describe = async (vault: Vault) => ({
    public_key: await vault.publicKey(context.caller()),
    // Also of a vault whose `init` was interrupted. A server with its own file creates the key when it starts.
    api_key_file: store.kind === 'sqlite' ? undefined : await context.createBootstrapKey(vault),
  });
  let created = false;
  let described: Awaited<ReturnType<typeof describe>>;
  try {
    described = await context.withVault('no', describe);
  } catch (error) {
    if (!(error instanceof VaultError && error.reason === 'vault_missing')) throw error;
    created = true;
    described = await context.withVault('yes', describe, promptNewPassphrase(context, 'no vault was made'));
  }
  const { public_key, api_key_file } = described;
  if (json) {
    const { kind, ...where } = root_key;
    await printJson(context, {
      created,
      vault: describeStore(store),
      root_key: { source: kind, ...where },
      public_key,
      ...(store.kind === 'sqlite' ? {} : { api_key_file: api_key_file ?? null }),
    });
    return;
  }
  const { rootKeyText } = await import('../../settings/keys/root_key.ts');
  const lines = [
    created
      ? `Created the vault: ${describeStore(store)}`
      : `The vault already exists and was not changed: ${describeStore(store)}`,
    ...rootKeyAdvice(root_key, rootKeyText(root_key)),
    ...(store.kind === 'sqlite' ? [] : serverAdvice(root_key, api_key_file)),
    'Next: `keyhold install` connects an MCP client; `keyhold store SERVICE` stores a credential.',
  ];
  await print(context, lines);
}

function serverAdvice(root_key: Settings['root_key'], api_key_file: string | undefined): string[] {
  return [
    ...(api_key_file === undefined
      ? []
      : [
          `The API key of the operator, for \`keyhold serve\`: ${api_key_file}. Store it elsewhere, then delete the file.`,
        ]),
    ...(root_key.kind === 'file'
      ? ['Each machine that uses the database needs a copy of the root key file, with mode 600.']
      : []),
  ];
}

function rootKeyAdvice(root_key: Settings['root_key'], source: string): string[] {
  switch (root_key.kind) {
    case 'file':
      return [
        `Its root key:  ${root_key.path}`,
        'Back up that file, apart from the vault: the vault cannot be opened without it, and anyone with both can open the vault.',
      ];
    case 'env':
      return [
        `Its root key:  the environment variable ${root_key.name}`,
        'Keep a copy of the key, apart from the vault: the vault cannot be opened without it.',
      ];
    case 'keychain':
      return [
        'Its root key:  an entry of the service "keyhold" in the keychain of your user; `keyhold doctor` names it',
        'Keep a copy of the entry, apart from the vault: the vault cannot be opened without it.',
      ];
    case 'transit':
    case 'aws-kms':
      return [
        `Its root key:  encrypted by ${source}, in the vault itself`,
        'Protect that key from deletion: the vault cannot be opened without it. Test a restore before you rely on it.',
      ];
    case 'passphrase':
      return ['The vault opens only with your passphrase. A lost passphrase cannot be recovered or reset.'];
  }
}

/** Prompts twice for a new passphrase and compares the inputs. Repeated calls return the first result. */
export function promptNewPassphrase(context: CliContext, unchanged: string): PromptSecret {
  const promptTwice = async () => {
    const first = await context.promptSecret('New passphrase for the vault');
    if (first === undefined) return undefined;
    const second = await context.promptSecret('The same passphrase once more');
    if (second?.reveal() === first.reveal()) return first;
    throw new VaultError(
      'INVALID_INPUT',
      `The two passphrases differ, so ${unchanged}. Run the command again.`,
    );
  };
  let passphrase: ReturnType<PromptSecret> | undefined;
  return () => {
    passphrase ??= promptTwice();
    return passphrase;
  };
}
