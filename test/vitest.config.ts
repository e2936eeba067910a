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
  'test/oauth/{killed_process,processes,slow_provider}.test.ts',
  'test/server_e2e/{cache_freshness,canary,failures,fuzz,signals,soak}.test.ts',
  'test/store/driver.test.ts',
  'test/vault/open/{file_states,read_only}.test.ts',
  'test/vault/processes/*.test.ts',
  'test/vault/stacks/concurrency.test.ts',
];
const has_long_tests = !IS_QUICK || process.env.npm_lifecycle_event !== 'test';

const TESTS_THAT_SHARE_A_PROCESS = SHARED_PROCESS_FOLDERS.map((folder) => `${folder}/**/*.test.ts`);
const excluded = ['test/interop/**', 'node_modules/**', ...(has_long_tests ? [] : LONG_TESTS)];

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
          include: ['test/**/*.test.ts'],
          exclude: [...excluded, ...TESTS_THAT_SHARE_A_PROCESS],
        },
      },
      {
        extends: true,
        test: {
          name: 'shared process',
          isolate: false,
          include: TESTS_THAT_SHARE_A_PROCESS,
          exclude: excluded,
        },
      },
    ],
  },
});
