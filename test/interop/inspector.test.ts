/** The MCP Inspector, as a person runs it to look at a server: it lists every tool and calls each. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROGRAM } from '../kit/program.ts';
import { CALLS } from '../mcp/calls.ts';

const INSPECTOR = fileURLToPath(
  new URL('node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js', import.meta.url),
);

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'keyhold-inspector-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** What `npx @modelcontextprotocol/inspector --cli keyhold mcp ...` prints, and how it ends. */
async function inspect(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  // It hands HOME on to the server, and no variable of ours.
  const env = { PATH: process.env.PATH, HOME: home };
  const line = [INSPECTOR, '--cli', process.execPath, PROGRAM, 'mcp', ...words];
  return promisify(execFile)(process.execPath, line, { env, cwd: home }).then(
    (done) => ({ code: 0, ...done }),
    (failed: { code: number; stdout: string; stderr: string }) => failed,
  );
}

function callWords(tool: string, input: Readonly<Record<string, unknown>>): string[] {
  const pairs = Object.entries(input).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return [
    ...['--method', 'tools/call', '--tool-name', tool],
    ...pairs.flatMap((pair) => ['--tool-arg', pair]),
  ];
}

test('lists every tool, and finds no schema that a client could not take', async () => {
  const { code, stdout, stderr } = await inspect('--method', 'tools/list', '--strict');
  expect(code, stderr).toBe(0);
  expect(stderr).not.toMatch(/^Error:/m);
  const { tools }: { tools: { name: string }[] } = JSON.parse(stdout);
  expect(tools.map(({ name }) => name).sort()).toStrictEqual(
    [...new Set(CALLS.map(({ tool }) => tool))].sort(),
  );
});

/** One call of each tool that succeeds and one that fails; a start takes a second, so all of them only when asked. */
const chosen = CALLS.filter(
  (call, at) =>
    process.env.SLOW === '1' ||
    at ===
      CALLS.findIndex(
        ({ tool, fails }) => tool === call.tool && (fails === undefined) === (call.fails === undefined),
      ),
);

test.each(chosen.map((call) => [`${call.tool} ${call.does}`, call] as const))(
  '%s',
  async (_title, { tool, input, fails }) => {
    const { code, stdout, stderr } = await inspect(...callWords(tool, input));
    if (fails === undefined) {
      expect(code, stdout + stderr).toBe(0);
      const result: { content: { text: string }[]; structuredContent: unknown; isError?: boolean } =
        JSON.parse(stdout);
      expect(result.isError).not.toBe(true);
      expect(result.structuredContent).toBeTypeOf('object');
      return;
    }
    expect(code, stdout + stderr).not.toBe(0);
    expect(stdout).toContain(`${fails}: `);
  },
);
