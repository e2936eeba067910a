/**
 * `keyhold open`: opens the pages of the running server in a browser, signed in as the person at this machine. A file that only
 * its owner can read sends a one-time ticket to the server, so that no secret is in a URL or in an argument.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { VaultError } from '../../contract/errors.ts';
import { assertLocal } from '../connect/server_option.ts';
import type { CliContext } from '../context.ts';
import { examples, note, print, printJson } from '../terminal/output.ts';

interface Options {
  readonly print?: boolean;
  readonly json?: boolean;
}

const HEALTH_TIMEOUT_MS = 3_000;
const POLL_MS = 200;

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
  const { home } = context.settings();
  const url = await runningServer(context, home);
  const file = join(home, 'run', 'open.html');
  await context.withVault('no', async (vault) => {
    const ticket = await vault.web_sessions.createTicket(context.caller());
    const remove = () => rmSync(file, { force: true });
    const removeAndExit = () => {
      remove();
      process.exit(130);
    };
    process.once('SIGINT', removeAndExit);
    process.once('SIGTERM', removeAndExit);
    try {
      const { TICKET_PATH } = await import('../../contract/pages.ts');
      await writePage(file, pageOf(url + TICKET_PATH, ticket));
      if (options.json === true) await printJson(context, { file, url });
      else if (options.print === true) await print(context, file);
      else if (!(await openBrowser(context, file)))
        await note(context, `No browser could be started. Open this file in one within a minute: ${file}`);
      // The file is of no use once the ticket was used or has expired.
      while (await vault.web_sessions.isTicketOpen(ticket)) await sleep(POLL_MS);
    } finally {
      process.removeListener('SIGINT', removeAndExit);
      process.removeListener('SIGTERM', removeAndExit);
      remove();
    }
  });
}

/** The URL of the running server. Rejects with UNAVAILABLE without one. */
async function runningServer(context: CliContext, home: string): Promise<string> {
  const [{ readServerUrl }, { Secret }] = await Promise.all([
    import('../../io/server_file.ts'),
    import('../../contract/secret.ts'),
  ]);
  const url = readServerUrl(home);
  if (url !== undefined) {
    // Sends no key.
    const client = await context.connect(new URL(url), new Secret('unused'), HEALTH_TIMEOUT_MS);
    if (
      await client.checkHealth().then(
        () => true,
        () => false,
      )
    )
      return url;
  }
  throw new VaultError(
    'UNAVAILABLE',
    'No server runs for this vault. Start it with `keyhold serve` in another terminal, then run `keyhold open` again.',
  );
}

async function writePage(file: string, page: string): Promise<void> {
  const { createFile } = await import('../../io/atomic_file.ts');
  // Of an earlier run that was killed.
  rmSync(file, { force: true });
  if (!createFile(file, page))
    throw new VaultError('CONFLICT', 'Another `keyhold open` has just made its file. Run it again.');
  chmodSync(file, 0o600);
}

/** A local file has no origin and no policy of ours, so that its script may run. Without scripts its button does the same. */
function pageOf(url: string, ticket: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>Open Keyhold</title>
<form method="post" action="${escapeAttribute(url)}">
<input type="hidden" name="ticket" value="${escapeAttribute(ticket)}">
<p>Keyhold opens its pages. <button type="submit">Open Keyhold</button></p>
</form>
<script>document.forms[0].submit()</script>
</html>
`;
}

function escapeAttribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
}

/** Returns false if no browser can be started. The path of the file is no secret: only its owner can read it. */
async function openBrowser(context: CliContext, file: string): Promise<boolean> {
  const [program, ...args] = openerOf(process.platform);
  const child = spawn(program, [...args, file], { detached: true, stdio: 'ignore', env: context.env });
  child.unref();
  try {
    await once(child, 'spawn');
  } catch {
    return false;
  }
  const ended = await Promise.race([once(child, 'exit'), sleep(2_000, undefined, { ref: false })]);
  return ended === undefined || ended[0] === 0;
}

function openerOf(platform: NodeJS.Platform): readonly [string, ...string[]] {
  if (platform === 'darwin') return ['open'];
  return platform === 'win32' ? ['cmd', '/c', 'start', ''] : ['xdg-open'];
}
