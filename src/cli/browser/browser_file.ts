/**
 * Opens a page in the person's browser through a file that only its owner can read, so that no secret of the page is in an
 * argument, which other users of the machine can see.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { VaultError } from '../../contract/errors.ts';
import type { CliContext } from '../context.ts';

/** How long a program that opens browsers may run before it counts as successful. */
const OPENED_AFTER_MS = 2_000;

export interface BrowserFile {
  readonly path: string;
  remove(): void;
}

/** Writes the page to `<home>/run/<name>.html`. Throws CONFLICT if another process writes the same file now. */
export async function writeBrowserFile(
  context: CliContext,
  name: 'open' | 'connect',
  page: string,
): Promise<BrowserFile> {
  const { createFile } = await import('../../io/atomic_file.ts');
  const path = join(context.settings().home, 'run', `${name}.html`);
  const remove = () => rmSync(path, { force: true });
  // Of an earlier run that was killed.
  remove();
  if (!createFile(path, page))
    throw new VaultError('CONFLICT', `Another \`keyhold ${name}\` has just made its file. Run it again.`);
  chmodSync(path, 0o600);
  return { path, remove };
}

/** The start of a page: a local file has no origin and no policy of ours, so that its script may run. */
export function browserPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
${body}
</html>
`;
}

export function escapeAttribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
}

/** Returns false if no browser can be started. The path of the file is no secret. */
export async function openBrowser(context: CliContext, file: BrowserFile): Promise<boolean> {
  const [program, ...args] = openerOf(process.platform);
  const child = spawn(program, [...args, file.path], { detached: true, stdio: 'ignore', env: context.env });
  child.unref();
  try {
    await once(child, 'spawn');
  } catch {
    return false;
  }
  const ended = await Promise.race([once(child, 'exit'), sleep(OPENED_AFTER_MS, undefined, { ref: false })]);
  return ended === undefined || ended[0] === 0;
}

function openerOf(platform: NodeJS.Platform): readonly [string, ...string[]] {
  if (platform === 'darwin') return ['open'];
  return platform === 'win32' ? ['cmd', '/c', 'start', ''] : ['xdg-open'];
}
