/** Locks on the vault file, and another SQLite that opens it: neither may make the open vaults of a process lose writes. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { useVaultProcesses } from '../../kit/child/vault_process.ts';
import { openTestVault, type TestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const writers = useVaultProcesses();

const put = ({ vault, caller }: TestVault, name: string) =>
  vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: name, name });
const names = async ({ vault, caller }: TestVault) =>
  (await vault.listCredentials(caller(), {})).credentials.map(({ name }) => name).sort();

test.skipIf(process.platform !== 'linux')(
  'two vaults of one process on the same file keep the locks that other processes see',
  async () => {
    // POSIX drops all locks of a process on a file when the process closes any descriptor of it (fcntl).
    const locks = () =>
      readFileSync('/proc/locks', 'utf8')
        .split('\n')
        .filter((line) => line.includes(` ${process.pid} `))
        .map((line) => line.replace(/^\d+: /, ''))
        .sort();
    const home = temporaryFolder();
    const first = await openTestVault(home);
    await put(first, 'a');
    // The read transaction ends with the event-loop iteration.
    await yieldToEventLoop();
    const before = locks();
    expect(before.length).toBeGreaterThan(0);
    const second = await openTestVault(home);
    await names(second);
    await yieldToEventLoop();
    expect(locks()).toEqual(before);
    await second.vault.close();
    await put(first, 'b');
    await yieldToEventLoop();
    expect(locks()).toEqual(before);
  },
);

test.skipIf(!hasSqliteShell())(
  'two vaults of one process lose nothing if another SQLite reads the file between their writes',
  async () => {
    const home = temporaryFolder();
    const first = await openTestVault(home);
    const second = await openTestVault(home);
    await put(first, 'a');
    const path = join(home, 'data', 'vault.db');
    expect(execFileSync('sqlite3', [path, 'SELECT count(*) FROM record'], { encoding: 'utf8' })).toBe('1\n');
    await put(first, 'b');
    await put(second, 'c');
    const other = writers.startWriter(home, { task: 'store_once', name: 'd' });
    await other.waitFor('finished');
    for (const opened of [first, second]) expect(await names(opened)).toEqual(['a', 'b', 'c', 'd']);
  },
);

/** Whether the `sqlite3` shell is installed; it often has an older SQLite than Keyhold. */
function hasSqliteShell(): boolean {
  try {
    return execFileSync('sqlite3', ['-version'], { stdio: ['ignore', 'pipe', 'ignore'] }).length > 0;
  } catch {
    return false;
  }
}
