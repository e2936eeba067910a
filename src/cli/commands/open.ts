/**
 * `keyhold open`: opens the pages of the running server in a browser, signed in as the person at this machine. No secret is in
 * a URL or in an argument.
 */
import { Command } from 'commander';
import { VaultError } from '../../contract/errors.ts';
import { assertLocal } from '../connect/server_option.ts';
import type { CliContext } from '../context.ts';
import { examples } from '../terminal/output.ts';

interface Options {
  readonly print?: boolean;
  readonly json?: boolean;
}

export function openCommand(context: CliContext): Command {
  return new Command('open')
    .description('Open the pages of the running `keyhold serve` in a browser, signed in as you.')
    .option('--print', 'print the path of the file that signs you in, and open no browser')
    .option('--json', 'print the path as JSON, and open no browser')
    .addHelpText('after', examples('keyhold open', 'keyhold open --print'))
    .action((options: Options) => openPages(context, options));
}

async function openPages(context: CliContext, options: Options): Promise<void> {
  assertLocal(context.env, 'open', 'Open the address of that server in a browser and sign in there.');
  const { openSignedIn, runningServer } = await import('../browser/signed_in_page.ts');
  const url = await runningServer(context);
  if (url === undefined)
    throw new VaultError(
      'UNAVAILABLE',
      'No server runs for this vault. Start it with `keyhold serve` in another terminal, then run `keyhold open` again.',
    );
  await openSignedIn(context, url, '/dashboard', options);
}
