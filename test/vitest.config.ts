/** How the tests run: real files and processes, so files run side by side, one worker per core. */
import { defineConfig } from 'vitest/config';
import { IS_QUICK } from './kit/run_size.ts';
import { SHARED_PROCESS_FOLDERS } from './kit/shared_process.ts';

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

/** With KEYHOLD_TEST_STORE=postgres, the tests of the vault run again, but for these. */
const IS_POSTGRES = process.env.KEYHOLD_TEST_STORE === 'postgres';
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

const TESTS_THAT_SHARE_A_PROCESS = SHARED_PROCESS_FOLDERS.map((folder) => `${folder}/**/*.test.ts`);
const included = IS_POSTGRES ? ['test/vault/**/*.test.ts'] : ['test/**/*.test.ts'];
const excluded = [
  'test/interop/**',
  'node_modules/**',
  ...(has_long_tests ? [] : LONG_TESTS),
  ...(IS_POSTGRES ? SQLITE_ONLY_TESTS : []),
];

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    maxWorkers: '100%',
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ['default'],
    globalSetup: 'test/kit/global_setup.ts',
    projects: [
      {
        extends: true,
        test: {
          name: 'own process',
          include: included,
          exclude: [...excluded, ...TESTS_THAT_SHARE_A_PROCESS],
        },
      },
      {
        extends: true,
        test: {
          name: 'shared process',
          isolate: false,
          include: IS_POSTGRES ? [] : TESTS_THAT_SHARE_A_PROCESS,
          exclude: excluded,
        },
      },
    ],
  },
});
