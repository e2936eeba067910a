/** Starts the built `keyhold serve` for the tests of one file, with a new vault and its bootstrap key. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PROGRAM } from '../kit/child/built_program.ts';
import { removeFolder } from '../kit/remove_folder.ts';

export interface Served {
  /** The URL of the MCP endpoint. */
  readonly url: string;
  /** A key with all scopes but `values:reveal`. */
  readonly key: string;
  readonly home: string;
  /** The output of the server on standard error. */
  log(): string;
  /** Stops the server, and removes its vault. */
  close(): Promise<void>;
}

/** Rejects if the server exits before it listens. */
export async function startServe(): Promise<Served> {
  const home = mkdtempSync(join(tmpdir(), 'keyhold-interop-'));
  const child = spawn(process.execPath, [PROGRAM, 'serve'], {
    env: {
      PATH: process.env.PATH,
      HOME: home,
      KEYHOLD_HOME: home,
      KEYHOLD_PORT: '0',
      KEYHOLD_RATE_LIMIT: '0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const ended = once(child, 'close');
  const ready = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended]);
  const [, origin] = /^keyhold listening on (\S+)$/.exec(String(ready[0])) ?? [];
  if (origin === undefined) throw new Error(`keyhold serve did not start: ${log}`);
  return {
    url: `${origin}/mcp`,
    key: readFileSync(join(home, 'keys', 'admin.key'), 'utf8').trim(),
    home,
    log: () => log,
    close: async () => {
      child.kill('SIGTERM');
      await ended;
      await removeFolder(home);
    },
  };
}
