/** How the clients that are installed apart are called: one after the other, for each starts processes of its own. */
import { defineConfig } from 'vitest/config';

// biome-ignore lint/style/noDefaultExport: the test runner reads the default export.
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/interop/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default'],
    // Mastra prints what it called a tool with when that fails: here each does on purpose.
    onConsoleLog: (text) => !text.includes('[LLM]'),
  },
});
