/**
 * Lists the test files that may depend on SQLite. All other tests read and change stored rows through
 * `test/kit/vault/database.ts`, so that they run on every database engine.
 */
import { expect, test } from 'vitest';
import { readSources } from '../kit/source_tree.ts';

const SQLITE = /better-sqlite3|store\/sqlite\/|\bvault\.db\b|\.(?:prepare|pragma)\(/;

const ALLOWED_FOLDERS = [
  // Tests of the SQLite store itself.
  'test/store/',
  // States of the vault file: its mode, locks and replacement, a full disk, a read-only disk.
  'test/vault/open/',
  // The vault file in a container and under systemd.
  'test/packaging/',
  // Measures the driver.
  'test/bench/',
];

const ALLOWED_FILES = [
  // The rule for the source files.
  'test/architecture/layers.test.ts',
  'test/architecture/test_engine.test.ts',
  // The files of a backup, of a restore and of a move.
  'test/cli/backup.test.ts',
  'test/cli/backup_database.test.ts',
  'test/cli/backup_states.test.ts',
  'test/cli/move.test.ts',
  'test/cli/move_killed.test.ts',
  'test/cli/move_former.test.ts',
  'test/cli/move_states.test.ts',
  'test/kit/vault/moved_rows.ts',
  'test/kit/vault/sites.ts',
  'test/vault/backup.test.ts',
  'test/vault/backup_killed.test.ts',
  // Checks of the vault file, and messages that name it.
  'test/cli/doctor.test.ts',
  'test/cli/services.test.ts',
  // The installed packages and the mode of the vault file.
  'test/interop/newer_node.test.ts',
  'test/interop/package_managers.test.ts',
  'test/library/installed.test.ts',
  // The engine of the test kit; a query counter for it; child processes, which need the driver.
  'test/kit/child/ordinary_user.ts',
  'test/kit/child/vault_process.ts',
  'test/kit/vault/query_counter.ts',
  'test/kit/vault/sqlite_database.ts',
  // Vault files that cannot be opened.
  'test/mcp/broken_vault.test.ts',
  // The mode of the vault file, and vault files of earlier versions.
  'test/vault/keys/key_file.test.ts',
  'test/vault/keys/root_key.test.ts',
  // Errors of the driver.
  'test/server_e2e/failures.test.ts',
  // The setting that names the file.
  'test/settings/settings.test.ts',
  // A cache in front of the store.
];

test('only the listed test files depend on SQLite', () => {
  const dependent = [...readSources('test').values()]
    .filter(({ text }) => SQLITE.test(text))
    .map(({ path }) => path)
    .filter((path) => !ALLOWED_FOLDERS.some((folder) => path.startsWith(folder)));
  expect(dependent.filter((path) => !ALLOWED_FILES.includes(path))).toEqual([]);
});
