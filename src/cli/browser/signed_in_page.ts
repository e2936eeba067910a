/**
 * Opens a page of the running server, signed in as the person at this machine: a file that only its owner can read sends a
 * one-time ticket to the server.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CliContext } from '../context.ts';
import { note, print, printJson } from '../terminal/output.ts';
import { browserPage, escapeAttribute, openBrowser, writeBrowserFile } from './browser_file.ts';
import { untilInterrupted } from './interrupt.ts';

export interface PageOptions {
  /** Prints the path of the file, and opens no browser. */
  readonly print?: boolean | undefined;
  /** Prints the path as JSON, and opens no browser. */
  readonly json?: boolean | undefined;
}

const HEALTH_TIMEOUT_MS = 3_000;
const POLL_MS = 200;

/** The URL of the running server of this home; `undefined` without one. */
export async function runningServer(context: CliContext): Promise<string | undefined> {
  const [{ readServerUrl }, { Secret }] = await Promise.all([
    import('../../io/server_file.ts'),
    import('../../contract/secret.ts'),
  ]);
  const url = readServerUrl(context.settings().home);
  if (url === undefined) return undefined;
  // Sends no key.
  const client = await context.connect(new URL(url), new Secret('unused'), HEALTH_TIMEOUT_MS);
  return client.checkHealth().then(
    () => url,
    () => undefined,
  );
}

/** Opens the page with the path `next`, and returns when the ticket was used or has expired. */
export async function openSignedIn(
  context: CliContext,
  url: string,
  next: string,
  options: PageOptions,
): Promise<void> {
  await context.withVault('no', async (vault) => {
    const ticket = await vault.web_sessions.createTicket(context.caller());
    const { TICKET_PATH } = await import('../../contract/pages.ts');
    const file = await writeBrowserFile(context, 'open', pageOf(url + TICKET_PATH, ticket, next));
    try {
      await untilInterrupted(async () => {
        if (options.json === true) await printJson(context, { file: file.path, url });
        else if (options.print === true) await print(context, file.path);
        else if (!(await openBrowser(context, file)))
          await note(
            context,
            `No browser could be started. Open this file in one within a minute: ${file.path}`,
          );
        // The file is of no use once the ticket was used or has expired.
        while (await vault.web_sessions.isTicketOpen(ticket)) await sleep(POLL_MS);
      });
    } finally {
      file.remove();
    }
  });
}

/** Without scripts its button does the same. */
function pageOf(url: string, ticket: string, next: string): string {
  return browserPage(
    'Open Keyhold',
    `<form method="post" action="${escapeAttribute(url)}">
<input type="hidden" name="ticket" value="${escapeAttribute(ticket)}">
<input type="hidden" name="next" value="${escapeAttribute(next)}">
<p>Keyhold opens its pages. <button type="submit">Open Keyhold</button></p>
</form>
<script>document.forms[0].submit()</script>`,
  );
}
