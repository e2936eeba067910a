/** How the tests run: real files and processes, so files run side by side. */
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { defineConfig } from 'vitest/config';
import { IS_QUICK } from './kit/run_size.ts';
import { NO_POSTGRESQL } from './kit/servers/postgresql.ts';
import { OWN_PROCESS_TESTS, SHARED_PROCESS_FOLDERS } from './kit/shared_process.ts';

/**
 * Tests that take long: many processes, load, waiting for time limits, or every operation in many states. `npm test` leaves
 * them out; `CI=true npm test`, as in `.ci/run`, runs them.
 */
const LONG_TESTS = [
  'test/app/{bootstrap_key,unread_stderr}.test.ts',
  'test/app/telemetry/collector_failures.test.ts',
  'test/canary/{other_commands,remote_commands}.test.ts',
  'test/cli/{completion_hostile_names,hostile_definitions}.test.ts',
  'test/http/server/connection_tracker.test.ts',
  'test/mcp/vendors.test.ts',
  'test/packaging/image.test.ts',
  'test/server_e2e/nodes/failover.test.ts',
  'test/oauth/{killed_process,processes,slow_provider}.test.ts',
  'test/server_e2e/{cache_freshness,canary,failures,fuzz,signals,soak}.test.ts',
  'test/store/driver.test.ts',
  'test/vault/open/{file_states,read_only}.test.ts',
  'test/vault/processes/*.test.ts',
  'test/vault/stacks/concurrency.test.ts',
];
const has_long_tests = !IS_QUICK || process.env.npm_lifecycle_event !== 'test';

/** With KEYHOLD_TEST_STORE=postgres, the vaults of all tests are in PostgreSQL. */
const IS_POSTGRES = process.env.KEYHOLD_TEST_STORE === 'postgres';
/** The tests of the vault run a second time, with the vaults in PostgreSQL, but for these. */
const SQLITE_ONLY_TESTS = [
  // Moves and replaces the vault file; test/cli/database.test.ts has the same for a database.
  'test/vault/audit/anchor.test.ts',
  // Restores to a vault file; test/cli/backup_database.test.ts has the same for a database.
  'test/vault/{backup,backup_killed}.test.ts',
  // Vaults that their first use creates, which a database never gets, and modes of files.
  'test/vault/keys/{key_file,root_key}.test.ts',
  // Count the statements of the SQLite driver.
  'test/vault/stacks/sharing_cost.test.ts',
  // Properties of input, which the vault validates before it reads the store: they take minutes.
  'test/vault/credentials/tool_input.test.ts',
  // Property of concurrent writes to stacks, which takes minutes; test/vault/processes has concurrent writes too.
  'test/vault/stacks/concurrency.test.ts',
  // States of the vault file.
  'test/vault/open/*.test.ts',
  // Programs that create the vault, and the writers' queue of the vault file.
  'test/vault/processes/{clock_step,process_end}.test.ts',
];

const own_process = OWN_PROCESS_TESTS.map((path) => basename(path, '.test.ts')).join('|');
const filesOf = (folders: readonly string[]) =>
  folders.map((folder) => `${folder}/**/!(${own_process}).test.ts`);
const VAULT_FOLDERS = SHARED_PROCESS_FOLDERS.filter((folder) => folder.startsWith('test/vault/'));
const excluded = ['test/interop/**', 'node_modules/**', ...(has_long_tests ? [] : LONG_TESTS)];

/** Two projects: files with a process of their own, and files that share a process per worker. */
function projectsOf(name: string, included: readonly string[], shared: readonly string[], more: object) {
  const exclude = [...excluded, ...('env' in more ? SQLITE_ONLY_TESTS : [])];
  return [
    {
      extends: true as const,
      test: { ...more, name, include: [...included], exclude: [...exclude, ...filesOf(shared)] },
    },
    {
      extends: true as const,
      test: {
        ...more,
        name: `${name}, shared process`,
        isolate: false,
        include: filesOf(shared),
        exclude,
      },
    },
  ];
}

const postgres = {
  env: { KEYHOLD_TEST_STORE: 'postgres' },
  globalSetup: 'test/kit/postgres_setup.ts',
};
if (NO_POSTGRESQL) console.warn('PostgreSQL is not installed, so the tests that need a server are skipped.');

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    // One more than cores: many tests wait for time limits or other programs.
    maxWorkers: availableParallelism() + 1,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // A loaded machine needs more than the default of a second.
    expect: { poll: { timeout: 15_000 } },
    reporters: ['default'],
    projects: [
      ...projectsOf(
        IS_POSTGRES ? 'all on PostgreSQL' : 'all',
        ['test/**/*.test.ts'],
        SHARED_PROCESS_FOLDERS,
        IS_POSTGRES ? postgres : {},
      ),
      ...(IS_POSTGRES || NO_POSTGRESQL
        ? []
        : projectsOf('PostgreSQL', ['test/vault/**/*.test.ts'], VAULT_FOLDERS, postgres)),
    ],
  },
});
