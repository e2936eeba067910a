/** `keyhold test`: finds out whether services accept the stored credentials. Several are tested at the same time. */
import { Command } from 'commander';
import { VaultError } from '../../../contract/errors.ts';
import type { Service } from '../../../contract/service/service.ts';
import { addServerOptions, type ConnectionOptions } from '../../connect/server_option.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { Exit } from '../../errors/exit.ts';
import { sameOptions } from '../../terminal/next_command.ts';
import { examples, note, print, printJson } from '../../terminal/output.ts';

interface Options extends ConnectionOptions {
  readonly all?: boolean;
  readonly name?: string;
  readonly stack?: string;
  readonly json?: boolean;
}

export function testCommand(context: CliContext): Command {
  const command = new Command('test')
    .description('Test whether services accept the stored credentials.')
    .argument('[services...]', 'ids of services; the start of one is enough when only one starts so')
    .option('--all', 'test all credentials of all stacks, or with --stack of one')
    .option('--name <name>', 'only credentials with this name')
    .option('--stack <stack>', 'the stack they are in (default: default)')
    .option('--json', 'print an array with the result of each credential')
    .addHelpText(
      'after',
      `
A test is a use of the credential: it is sent to the service that it is bound to, and audited. Exits with 0 if all
credentials are valid, 3 if a service refuses one, 14 if a result is unknown; a credential that cannot be tested
exits with the code of its error.
${examples('keyhold test linear', 'keyhold test github stripe --json', 'keyhold test --all')}`,
    )
    .action((typed: readonly string[], options: Options) => runTests(context, typed, options));
  return addServerOptions(command);
}

async function runTests(context: CliContext, typed: readonly string[], options: Options): Promise<void> {
  if ((options.all === true) === typed.length > 0)
    throw new VaultError('INVALID_INPUT', 'Name one or more services, or give --all.');
  const connection = await connectVault(context, options);
  const services: Service[] = [];
  for (const word of typed) services.push(await connection.findService(word));
  if (options.all === true && connection.isVaultAbsent()) return printNothingStored(context, options);
  const [{ selectAll, selectServices }, { testEach }, { exitCodeOf, renderResults }] = await Promise.all([
    import('./selection.ts'),
    import('./test_each.ts'),
    import('./report.ts'),
  ]);
  const { results, is_cut } = await connection.withVault('existing', async (vault) => {
    const { selected, is_cut } =
      options.all === true ? await selectAll(vault, options) : await selectServices(vault, services, options);
    return { results: await testEach(context, vault, selected), is_cut };
  });
  if (results.length === 0) return printNothingStored(context, options);
  if (options.json === true) await printJson(context, results);
  else await print(context, await renderResults(context, results));
  if (is_cut)
    await note(
      context,
      'A stack has more than 100 credentials; only the newest 100 were considered. For another: keyhold test SERVICE --name NAME.',
    );
  const code = exitCodeOf(results, is_cut);
  if (code !== 0) throw new Exit(code);
}

async function printNothingStored(context: CliContext, options: Options): Promise<void> {
  if (options.json === true) return printJson(context, []);
  await print(context, [
    'There are no credentials to test.',
    `Next: keyhold store SERVICE${sameOptions(options)} (\`keyhold services list\` shows the services)`,
  ]);
}
