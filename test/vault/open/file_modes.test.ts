/** Modes of the files that the first use creates: readable by the owner only, whatever the umask is. */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PROGRAM } from '../../kit/child/built_program.ts';
import { modeOf } from '../../kit/file_system.ts';
import { connectStdioClient } from '../../kit/mcp/stdio_client.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';

/** Starts `keyhold mcp` with this umask. */
function startUnder(umask: string, home: string) {
  const child = spawn('/bin/sh', ['-c', `umask ${umask} && exec "$0" "$1" mcp`, process.execPath, PROGRAM], {
    env: { PATH: process.env.PATH, HOME: home, KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

const VAULT_FILES = ['vault.db', 'vault.db-shm', 'vault.db-wal', 'vault.db-writers'];
const STORE = { service_id: 'linear', credential_type: 'api_key', credential_value: 'x' };

describe.skipIf(process.platform === 'win32').each(['000', '002', '022', '077'])(
  'under umask %s',
  (umask) => {
    test('every folder has mode 0700 and every file 0600 while the vault is open and after', async () => {
      const home = join(temporaryFolder(), 'made', 'home');
      const client = await connectStdioClient(startUnder(umask, home));
      expect((await client.call('store_credential', STORE)).structured).toMatchObject({ success: true });
      const data = join(home, 'data');
      expect(readdirSync(data).sort()).toEqual(VAULT_FILES);
      for (const name of VAULT_FILES) expect([name, modeOf(join(data, name))]).toEqual([name, '0600']);
      for (const folder of [home, data, join(home, 'keys')])
        expect([folder, modeOf(folder)]).toEqual([folder, '0700']);
      expect(modeOf(join(home, 'keys', 'root.key'))).toBe('0600');
      expect(await client.end()).toBe(0);
      for (const name of readdirSync(data)) expect([name, modeOf(join(data, name))]).toEqual([name, '0600']);
    });

    test('an existing home keeps its mode, and new files in it have mode 0600', async () => {
      const home = temporaryFolder();
      mkdirSync(join(home, 'data'), { mode: 0o755 });
      const mode = modeOf(join(home, 'data'));
      const client = await connectStdioClient(startUnder(umask, home));
      expect((await client.call('store_credential', STORE)).structured).toMatchObject({ success: true });
      expect(modeOf(join(home, 'data'))).toBe(mode);
      for (const name of VAULT_FILES)
        expect([name, modeOf(join(home, 'data', name))]).toEqual([name, '0600']);
      expect(await client.end()).toBe(0);
    });
  },
);
