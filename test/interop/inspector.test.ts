/** The MCP Inspector lists every tool of a server and calls each. */
import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROGRAM } from '../kit/child/built_program.ts';
import { removeFolder } from '../kit/remove_folder.ts';
import { IS_SLOW } from '../kit/run_size.ts';
import { CALLS } from '../mcp/calls.ts';
import { type Served, startServe } from './serve.ts';

const INSPECTOR = fileURLToPath(
  new URL('node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js', import.meta.url),
);

let home: string;
let served: Served;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'keyhold-inspector-'));
  served = await startServe();
});
afterAll(async () => {
  await served?.close();
  await removeFolder(home);
});

/** The Inspector's arguments for each transport and, over HTTP, each protocol era. */
const SERVERS: Readonly<Record<string, () => readonly string[]>> = {
  stdio: () => [process.execPath, PROGRAM, 'mcp'],
  'HTTP, legacy': () => [...overHttp(), '--protocol-era', 'legacy'],
  'HTTP, modern': () => [...overHttp(), '--protocol-era', 'modern'],
};
const overHttp = () => [served.url, '--header', `Authorization: Bearer ${served.key}`];

/** Runs `npx @modelcontextprotocol/inspector --cli SERVER ...`. */
async function inspect(server: readonly string[], ...args: string[]) {
  // The Inspector passes HOME to the server, and no KEYHOLD_ variable.
  const env = { PATH: process.env.PATH, HOME: home };
  const line = [INSPECTOR, '--cli', ...server, ...args];
  return promisify(execFile)(process.execPath, line, { env, cwd: home }).then(
    (done) => ({ code: 0, ...done }),
    (failed: { code: number; stdout: string; stderr: string }) => failed,
  );
}

function callArguments(tool: string, input: Readonly<Record<string, unknown>>): string[] {
  const pairs = Object.entries(input).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return [
    ...['--method', 'tools/call', '--tool-name', tool],
    ...pairs.flatMap((pair) => ['--tool-arg', pair]),
  ];
}

test.each(Object.entries(SERVERS))(
  'the Inspector lists every tool and accepts every schema: %s',
  async (_name, server) => {
    const { code, stdout, stderr } = await inspect(server(), '--method', 'tools/list', '--strict');
    expect(code, stderr).toBe(0);
    expect(stderr).not.toMatch(/^Error:/m);
    const { tools }: { tools: { name: string }[] } = JSON.parse(stdout);
    expect(tools.map(({ name }) => name).sort()).toStrictEqual(
      [...new Set(CALLS.map(({ tool }) => tool))].sort(),
    );
  },
);

/** One call of each tool that succeeds and one that fails; all calls with SLOW=1, because each start takes a second. */
const chosen = CALLS.filter(
  (call, at) =>
    IS_SLOW ||
    at ===
      CALLS.findIndex(
        ({ tool, fails }) => tool === call.tool && (fails === undefined) === (call.fails === undefined),
      ),
);

/** Both protocol eras give the same responses over HTTP, so each call is made in one of them. */
const calls = chosen.flatMap((call, at) =>
  ['stdio', at % 4 < 2 ? 'HTTP, legacy' : 'HTTP, modern'].map((name) => ({ ...call, name })),
);

test.each(calls.map((call) => [`${call.tool} ${call.does}: ${call.name}`, call] as const))(
  '%s',
  async (_title, { tool, input, fails, name }) => {
    const { code, stdout, stderr } = await inspect(SERVERS[name]?.() ?? [], ...callArguments(tool, input));
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

test('the Inspector reports that a key is required', async () => {
  const { code, stdout, stderr } = await inspect([served.url], '--method', 'tools/list');
  expect(code).not.toBe(0);
  expect(stdout + stderr).toMatch(/401|unauthorized|auth/i);
});
