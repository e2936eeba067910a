/** The end of `keyhold mcp`: standard input ends, a signal arrives, or its output is not read. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Finished, startProgram } from '../../kit/child/built_program.ts';
import { connectStdioClient } from '../../kit/mcp/stdio_client.ts';
import { openTestDatabase } from '../../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const STORE = { service_id: 'linear', credential_type: 'api_key', credential_value: 'x' };
const HANDSHAKE = [
  {
    jsonrpc: '2.0',
    id: 'hello',
    method: 'initialize',
    params: {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'keyhold-test', version: '1' },
    },
  },
  { jsonrpc: '2.0', method: 'notifications/initialized' },
];

function start(home: string, env: NodeJS.ProcessEnv = {}) {
  const child = startProgram(['mcp'], { env: { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent', ...env } });
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk;
    });
  }
  const ended = new Promise<Finished>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, ...text }));
  });
  return { child, ended };
}

function toLines(messages: readonly unknown[]): string {
  return messages.map((message) => `${JSON.stringify(message)}\n`).join('');
}

async function expectStored(home: string, status: 'active' | 'missing'): Promise<void> {
  // All writes were finished.
  expect(openTestDatabase(home).isClosedCleanly()).toBe(true);
  const { vault, caller } = await openTestVault(home, {}, 'no');
  expect(await vault.status(caller(), { service_id: 'linear' })).toMatchObject({ status });
  expect((await vault.verifyAudit(caller())).findings).toEqual([]);
}

describe('the end of standard input', () => {
  test('keyhold mcp exits with 0 at the end of standard input, before and after the handshake', async () => {
    for (const input of ['', '\n', toLines(HANDSHAKE)]) {
      const home = temporaryFolder();
      const { child, ended } = start(home);
      child.stdin?.end(input);
      expect(await ended).toMatchObject({ code: 0, signal: null, stderr: '' });
      expect(existsSync(join(home, 'data'))).toBe(false);
    }
  });

  test('keyhold mcp exits with 0 and closes the vault at the end of standard input', async () => {
    const home = temporaryFolder();
    const { child, ended } = start(home);
    const client = await connectStdioClient(child);
    expect((await client.call('store_credential', STORE)).structured).toMatchObject({ success: true });
    child.stdin?.end();
    expect(await ended).toMatchObject({ code: 0, signal: null, stderr: '' });
    await expectStored(home, 'active');
  });

  test('keyhold mcp responds to all calls sent before the end of standard input', async () => {
    const home = temporaryFolder();
    const { child, ended } = start(home);
    const call = (id: number, name: string, input: unknown) => {
      return { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: input } };
    };
    const calls = [call(1, 'store_credential', STORE), call(2, 'list_services', { query: 'linear' })];
    child.stdin?.end(toLines([...HANDSHAKE, { jsonrpc: '2.0', id: 'list', method: 'tools/list' }, ...calls]));
    const { code, stdout, stderr } = await ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const responses = new Map(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
        .map(({ id, result }) => [id, result]),
    );
    expect([...responses.keys()].map(String).sort()).toEqual(['1', '2', 'hello', 'list']);
    expect(responses.get(1)).toMatchObject({ structuredContent: { success: true } });
    await expectStored(home, 'active');
  });
});

describe.skipIf(process.platform === 'win32').each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  test('keyhold mcp closes the vault and exits with 0 on a signal', async () => {
    const home = temporaryFolder();
    const { child, ended } = start(home);
    const client = await connectStdioClient(child);
    expect((await client.call('store_credential', STORE)).structured).toMatchObject({ success: true });
    child.kill(signal);
    expect(await ended).toMatchObject({ code: 0, signal: null, stderr: '' });
    await expectStored(home, 'active');
  });

  test('a signal during many calls leaves each call complete or not started', async () => {
    const home = temporaryFolder();
    const { child, ended } = start(home);
    const client = await connectStdioClient(child);
    await client.call('store_credential', STORE);
    const names = Array.from({ length: 200 }, (_, at) => `call ${at}`);
    const completed: string[] = [];
    const calls = names.map(async (name) => {
      const { structured } = await client.call('store_credential', { ...STORE, name });
      if (structured !== undefined) completed.push(name);
    });
    const settled = Promise.allSettled(calls);
    await calls[20];
    child.kill(signal);
    expect(await ended).toMatchObject({ code: 0, signal: null, stderr: '' });
    await settled;
    expect(completed.length).toBeGreaterThan(0);

    const { vault, caller } = await openTestVault(home, {}, 'no');
    for (const name of completed) {
      expect(await vault.status(caller(), { service_id: 'linear', name })).toMatchObject({
        status: 'active',
      });
    }
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
  });
});

describe('a client that stops reading', () => {
  test('keyhold mcp closes the vault and exits without a crash if its client stops reading', async () => {
    const home = temporaryFolder();
    const { child, ended } = start(home);
    const client = await connectStdioClient(child);
    await client.call('store_credential', STORE);
    child.stdout?.destroy();
    const unread_call = client.call('list_services', {});
    unread_call.catch(() => undefined);
    const { code, signal, stderr } = await ended;
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    await expectStored(home, 'active');
  });

  test('keyhold mcp responds even if its log is not read', async () => {
    const home = temporaryFolder();
    // Every attempt to open it is logged.
    await openTestDatabase(home).makeUnreadable();
    const { child } = start(home, { KEYHOLD_LOG: 'debug' });
    const client = await connectStdioClient(child);
    child.stderr?.destroy();
    for (let at = 0; at < 3; at++) {
      expect((await client.call('list_services')).error).toMatchObject({
        code: 'CORRUPT',
        reason: 'not_a_vault',
      });
    }
    // An invalid message is logged, and the log is not read.
    child.stdin?.write('{"neither":1}\n');
    expect(await client.listTools()).toContain('list_services');
    expect(await client.end()).toBe(0);
  });
});
