/** `keyhold seal`: encrypts a value to the vault's public key. Prints only the sealed text. */
import { Command } from 'commander';
import { VaultError } from '../../contract/errors.ts';
import { VALUE_MAX_BYTES } from '../../contract/limits.ts';
import { addServerOptions, type ConnectionOptions } from '../connect/server_option.ts';
import { connectVault } from '../connect/vault_connection.ts';
import type { CliContext } from '../context.ts';
import { examples, print, printJson } from '../terminal/output.ts';
import type { ValueOptions } from '../terminal/read_value.ts';

interface Options extends ValueOptions, ConnectionOptions {
  readonly key?: string;
  readonly json?: boolean;
}

export function sealCommand(context: CliContext): Command {
  const command = new Command('seal')
    .description(
      'Seal a value to the vault: a model may see "sealed:...", and only the vault can decrypt it.',
    )
    .option('--key <base64>', 'public key of another vault (`keyhold status --json` prints it there)')
    .option('--stdin', 'read the value from standard input (the default without a terminal)')
    .option('--from-env <name>', 'take the value of this environment variable')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold seal', 'keyhold seal --from-env LINEAR_API_KEY'))
    .action((options: Options) => seal(context, options));
  return addServerOptions(command);
}

async function seal(context: CliContext, options: Options): Promise<void> {
  const { isSealedValue, sealValue } = await import('../../crypto/sealed_box.ts');
  const { loadSodium } = await import('../../crypto/sodium.ts');
  const { readValue } = await import('../terminal/read_value.ts');
  const sodium = await loadSodium();
  // Checks the key before the prompt, so that an invalid key or a missing vault is reported first.
  const key = options.key ?? (await publicKey(context, options));
  sealValue(sodium, key, '');
  const value = (await readValue(context, options, 'Value to seal')).reveal();
  if (isSealedValue(value)) {
    throw new VaultError('INVALID_INPUT', 'The value is sealed already. Use it as it is.', {
      reason: 'double_seal',
    });
  }
  if (Buffer.byteLength(value) > VALUE_MAX_BYTES) {
    throw new VaultError('INVALID_INPUT', `The value is larger than ${VALUE_MAX_BYTES / 1024} KiB.`);
  }
  const sealed = sealValue(sodium, key, value);
  if (options.json === true) return printJson(context, { sealed });
  await print(context, sealed);
}

async function publicKey(context: CliContext, options: Options): Promise<string> {
  const connection = await connectVault(context, options);
  return connection.withVault('existing', (vault) => vault.getPublicKey());
}
