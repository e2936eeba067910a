/** Settings for the tests of other clients, which are installed in this folder. */
import { defineConfig } from 'vitest/config';

// biome-ignore lint/style/noDefaultExport: the test runner reads the default export.
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/interop/*.test.ts'],
    // One worker per core; the default leaves one for the main process, which has little to do.
    maxWorkers: '100%',
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default'],
    // Mastra prints the arguments of a failed call; these tests cause failures.
    onConsoleLog: (text) => !text.includes('[LLM]'),
  },
});
