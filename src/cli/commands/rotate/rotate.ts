/** `keyhold rotate` and `keyhold change-passphrase`: the commands. They work on the vault of this machine only. */
import { Command } from 'commander';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/output.ts';

const JSON_OPTION = ['--json', 'print the result as JSON'] as const;
const ORGANIZATION_OPTION = ['--org <organization>', 'of this organization (default: your own)'] as const;

export function rotateCommand(context: CliContext): Command {
  const root = new Command('root')
    .description('Replace the root key: every key of the vault is wrapped again, in one transaction.')
    .option(
      '--to <source>',
      'where the new root key is, as in KEYHOLD_ROOT_KEY (default: a new key in the same file)',
    )
    .option(...JSON_OPTION)
    .addHelpText('after', examples('keyhold rotate root', 'keyhold rotate root --to env:KEYHOLD_NEW_KEY'))
    .action(async (options) => (await import('./rotate_root.ts')).rotateRoot(context, options));
  const data = new Command('data')
    .description(
      'Replace the data key of an organization, and encrypt its records again while others use them.',
    )
    .option(...ORGANIZATION_OPTION)
    .option('--all', 'of every organization, for the operator')
    .option(...JSON_OPTION)
    .addHelpText('after', examples('keyhold rotate data', 'keyhold rotate data --org acme'))
    .action(async (options) => (await import('./rotate_keys.ts')).rotateData(context, options));
  const box = new Command('box')
    .description(
      'Replace the key that values are sealed to. Values sealed to former keys stay usable until they expire.',
    )
    .option(...ORGANIZATION_OPTION)
    .option('--retire', 'keep the key, and accept no value that is sealed to a former one any more')
    .option(...JSON_OPTION)
    .addHelpText('after', examples('keyhold rotate box', 'keyhold rotate box --retire'))
    .action(async (options) => (await import('./rotate_keys.ts')).rotateBox(context, options));
  const signing = new Command('signing')
    .description('Replace the keys that sign the anchor file and sign-ins with an identity provider.')
    .option(...JSON_OPTION)
    .addHelpText('after', examples('keyhold rotate signing'))
    .action(async (options) => (await import('./rotate_keys.ts')).rotateSigning(context, options));
  return new Command('rotate')
    .description(
      'Replace keys of the vault while it is in use. A rotation that was stopped is finished by running it again.',
    )
    .addCommand(root)
    .addCommand(data)
    .addCommand(box)
    .addCommand(signing)
    .addHelpText('after', examples('keyhold rotate root', 'keyhold rotate data --all'));
}

export function changePassphraseCommand(context: CliContext): Command {
  return new Command('change-passphrase')
    .description('Change the passphrase of a vault that opens with one.')
    .option(
      '--stdin',
      'read the new passphrase from standard input; the present one is then in KEYHOLD_PASSPHRASE',
    )
    .option('--from-env <name>', 'read the new passphrase from this environment variable')
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      examples('keyhold change-passphrase', 'keyhold change-passphrase --from-env NEW_PASSPHRASE'),
    )
    .action(async (options) => (await import('./rotate_root.ts')).changePassphrase(context, options));
}
