/**
 * The conformance suite of the Model Context Protocol against the built `keyhold serve`.
 * conformance_expected_failures.yml lists the scenarios that it is not expected to pass.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { startForwarder } from '../kit/http/key_forwarder.ts';
import { removeFolder } from '../kit/remove_folder.ts';
import { HAS_NEWER_NODES, nodeOf } from './newer_nodes.ts';
import { startServe } from './serve.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const SUITE = here('node_modules/@modelcontextprotocol/conformance/dist/index.js');
const EXPECTED_FAILURES = here('conformance_expected_failures.yml');
/** The scenarios that apply to a vault; the server passes these and no others. */
const PASSED = ['server-initialize', 'ping', 'tools-list', 'dns-rebinding-protection'];

test.skipIf(!HAS_NEWER_NODES)(
  'the server fails exactly the expected scenarios of the MCP conformance suite',
  async () => {
    const served = await startServe();
    onTestFinished(() => served.close());
    // The suite cannot send a key.
    const forwarder = await startForwarder(new URL(served.url).origin, served.key);
    onTestFinished(() => forwarder.close());
    const results = mkdtempSync(join(tmpdir(), 'keyhold-conformance-'));
    onTestFinished(() => removeFolder(results));
    const args = ['server', '--url', `${forwarder.url}/mcp`, '--suite', 'all', '--output-dir', results];
    const line = [SUITE, ...args, '--expected-failures', EXPECTED_FAILURES];
    const env = { PATH: process.env.PATH, HOME: results };
    const { code, stdout } = await promisify(execFile)(nodeOf('22'), line, { env, cwd: results }).then(
      (done) => ({ code: 0, ...done }),
      (failed: { code: number; stdout: string }) => failed,
    );
    const summary = stdout.slice(stdout.indexOf('=== SUMMARY ==='));
    expect(code, summary).toBe(0);
    const passed = [...summary.matchAll(/^✓ ([\w-]+): [1-9]/gm)].map(([, name]) => name);
    expect(passed.sort()).toStrictEqual([...PASSED].sort());
  },
);
