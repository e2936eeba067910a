/** `keyhold seal`: encrypts a value so that only the vault can open it. Prints the sealed text and nothing else. */
import { Command } from 'commander';
import { VaultError } from '../../contract/errors.ts';
import { VALUE_MAX_BYTES } from '../../contract/limits.ts';
import { type AccessOptions, takesServer } from '../connect/vault_connection.ts';
import type { CliApp } from '../context.ts';
import { examples } from '../terminal/examples.ts';
import { print, printJson } from '../terminal/output.ts';
import type { ValueOptions } from '../terminal/read_value.ts';

interface Options extends ValueOptions, AccessOptions {
  readonly key?: string;
  readonly json?: boolean;
}

export function sealCommand(app: CliApp): Command {
  const command = new Command('seal')
    .description(
      'Seal a value to the vault: "sealed:..." may be shown to a model, and only the vault opens it.',
    )
    .option('--key <base64>', 'public key of another vault (`keyhold status --json` prints it there)')
    .option('--stdin', 'read the value from standard input (the default without a terminal)')
    .option('--from-env <name>', 'take the value of this environment variable')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold seal', 'keyhold seal --from-env LINEAR_API_KEY'))
    .action((options: Options) => seal(app, options));
  return takesServer(command);
}

async function seal(app: CliApp, options: Options): Promise<void> {
  const { isSealedValue, sealValue } = await import('../../crypto/sealed_box.ts');
  const { loadSodium } = await import('../../crypto/sodium.ts');
  const { readValue } = await import('../terminal/read_value.ts');
  const sodium = await loadSodium();
  // Before the value is asked for: a wrong key or a missing vault need not cost anybody the typing.
  const key = options.key ?? (await publicKey(app, options));
  sealValue(sodium, key, '');
  const value = (await readValue(app, options, 'Value to seal')).reveal();
  if (isSealedValue(value)) {
    throw new VaultError('INVALID_INPUT', 'The value is sealed already. Use it as it is.', {
      reason: 'double_seal',
    });
  }
  if (Buffer.byteLength(value) > VALUE_MAX_BYTES) {
    throw new VaultError('INVALID_INPUT', `The value is larger than ${VALUE_MAX_BYTES / 1024} KiB.`);
  }
  const sealed = sealValue(sodium, key, value);
  if (options.json === true) return printJson(app, { sealed });
  await print(app, sealed);
}

async function publicKey(app: CliApp, options: Options): Promise<string> {
  const { vaultAccess } = await import('../connect/choose_connection.ts');
  const access = await vaultAccess(app, options);
  return access.withVault('existing', (vault) => vault.getPublicKey());
}
