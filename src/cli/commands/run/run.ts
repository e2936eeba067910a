/**
 * `keyhold run`: runs a command with the values of credentials in its environment, under the names that its tools read.
 * The one command that gives values to another program; it prints none.
 */
import { Command } from 'commander';
import { VaultError } from '../../../contract/errors.ts';
import type { ChildEnd } from '../../../use/run/child.ts';
import type { Vault } from '../../../vault/vault.ts';
import { assertLocal } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { Exit } from '../../errors/exit.ts';
import { examples, note } from '../../terminal/output.ts';
import type { RunOptions } from './plan.ts';

export function runCommand(context: CliContext): Command {
  return new Command('run')
    .description('Run a command with the values of credentials in its environment.')
    .argument('[command...]', 'the command and its arguments, after --')
    .passThroughOptions()
    .option('--service <ids>', 'only these services, with commas between them (default: all of the stack)')
    .option('--stack <stack>', 'the stack they are in (default: default)')
    .option('--name <name>', 'which credential of each service')
    .option('--raw', 'do not redact the output (output to a terminal is never redacted)')
    .option('--dry-run', 'only show which variables the command would get, without values')
    .option('--json', 'with --dry-run: print JSON')
    .addHelpText(
      'after',
      examples(
        'keyhold run --service github -- git push',
        'keyhold run --service aws,stripe -- python3 report.py',
        'keyhold run --service github --dry-run',
      ),
    )
    .action((words: readonly string[], options: RunOptions) => run(context, words, options));
}

async function run(
  context: CliContext,
  [command, ...args]: readonly string[],
  options: RunOptions,
): Promise<void> {
  assertLocal(context.env, 'run', 'The values of a server never leave it; use `keyhold call` instead.');
  if (options.dryRun === true) {
    const { dryRun } = await import('./dry_run.ts');
    return dryRun(context, options);
  }
  if (options.json === true)
    throw new VaultError('INVALID_INPUT', '--json is for --dry-run: the output is that of the command.');
  if (command === undefined)
    throw new VaultError('INVALID_INPUT', 'Name the command after --, as in `keyhold run -- npm test`.');
  const end = await startAndWait(context, command, args, options);
  const { isForeground } = await import('../../../use/run/signals.ts');
  // A shell ends a script only if Ctrl-C ended this process too, not for its exit code.
  if (end.signal === 'SIGINT' && isForeground()) process.kill(process.pid, 'SIGINT');
  if (end.code !== 0) throw new Exit(end.code);
}

async function startAndWait(
  context: CliContext,
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<ChildEnd> {
  const [{ findProgram, ProgramError }, { runWithCredentials }, { planRun }, producer] = await Promise.all([
    import('../../../use/run/program.ts'),
    import('../../../use/run/run.ts'),
    import('./plan.ts'),
    context.valueProducer(),
  ]);
  try {
    const program = findProgram(command, context.env.PATH);
    return await context.withVault('no', async (vault: Vault) => {
      const caller = context.caller();
      const plan = await planRun(vault, caller, options, context.accessTokens(vault));
      const redacted = (stream: NodeJS.WriteStream) =>
        options.raw === true || stream.isTTY === true ? undefined : stream;
      return runWithCredentials(vault, caller, {
        ...plan,
        program,
        command,
        args,
        producer,
        env: context.env,
        own_names: ownNames(context),
        stdout: redacted(context.stdout),
        stderr: redacted(context.stderr),
      });
    });
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    await note(context, `error: ${error.message} Nothing was started.`);
    throw new Exit(error.exit_code);
  }
}

/** The variables with the root key, or with the token that decrypts it. */
function ownNames(context: CliContext): readonly string[] {
  const { root_key } = context.settings();
  if (root_key.kind === 'transit') return ['BAO_TOKEN', 'VAULT_TOKEN'];
  return root_key.kind === 'env' ? [root_key.name] : [];
}
