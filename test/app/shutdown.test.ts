/** Signals to the built program: which ones it drains for, which ones end it, and that none opens the debugger. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { startProgram } from '../kit/child/built_program.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import { connectStdioClient } from '../kit/mcp/stdio_client.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const VALUE = JSON.stringify({
  service_id: 'linear',
  credential_type: 'api_key',
  credential_value: 'lin_api_shutdown_81',
});

/** Starts a PUT whose last byte is sent by `finish`, which resolves with the status line. */
async function startSlowRequest(url: string, key: string) {
  const { port } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1');
  await once(socket, 'connect');
  let text = '';
  socket.on('data', (bytes) => {
    text += String(bytes);
  });
  socket.on('error', () => undefined);
  socket.write(
    `PUT /v1/credentials HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${key}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${VALUE.length}\r\n\r\n${VALUE.slice(0, -1)}`,
  );
  await sleep(200);
  return async () => {
    const closed = once(socket, 'close');
    socket.write(VALUE.slice(-1));
    await closed;
    return text.slice(0, 15);
  };
}

describe('signals to serve', () => {
  test.each([
    ['one SIGHUP', ['SIGHUP']],
    ['two SIGINT within a second', ['SIGINT', 'SIGINT']],
    ['SIGINT and SIGTERM within a second', ['SIGINT', 'SIGTERM']],
    ['three different signals within a second', ['SIGHUP', 'SIGTERM', 'SIGINT']],
  ] as const)('serve finishes the request in flight after %s and exits with 0', async (_, signals) => {
    const server = await startServeProcess();
    const finish = await startSlowRequest(server.url, server.admin_key);
    for (const signal of signals) {
      process.kill(server.pid, signal);
      await sleep(3);
    }
    await sleep(300);
    expect(await finish()).toBe('HTTP/1.1 200 OK');
    expect(await server.ended).toEqual({ code: 0, signal: null });
  });

  test('serve ends at once at a signal that comes more than a second after the first one', async () => {
    const server = await startServeProcess();
    await startSlowRequest(server.url, server.admin_key);
    process.kill(server.pid, 'SIGINT');
    await expect.poll(() => server.stderr(), { timeout: 20_000 }).toContain('"msg":"stopping"');
    await sleep(1_100);
    expect(await server.end('SIGINT')).toEqual({ code: null, signal: 'SIGINT' });
  });
});

describe('signals to mcp', () => {
  test.each([['SIGHUP'], ['SIGINT'], ['SIGTERM']] as const)(
    'mcp responds to the calls in flight after two %s within a second and exits with 0',
    async (signal) => {
      const child = startProgram(['mcp'], { env: { KEYHOLD_HOME: temporaryFolder() } });
      const client = await connectStdioClient(child);
      await client.listTools();
      const call = client.call('store_credential', JSON.parse(VALUE));
      await sleep(20);
      child.kill(signal);
      child.kill(signal);
      expect((await call).structured).toMatchObject({ success: true });
      if (child.exitCode === null) await once(child, 'exit');
      expect(child.exitCode).toBe(0);
    },
  );
});

/** Whether a connection to the default port of the debugger is accepted. */
async function isDebuggerOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('close', () => undefined);
    setTimeout(() => socket.destroy(), 500).unref();
  });
}

const DEBUGGER_PORT = 9229;

describe('the debugger of Node.js', () => {
  const collect = (child: ChildProcess) => {
    let text = '';
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    return () => text;
  };

  test('SIGUSR1 to serve is ignored and does not open the debugger', async () => {
    const server = await startServeProcess();
    process.kill(server.pid, 'SIGUSR1');
    await sleep(300);
    expect(await isDebuggerOpen(DEBUGGER_PORT)).toBe(false);
    expect(server.stderr()).not.toContain('Debugger listening');
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect(await server.end()).toEqual({ code: 0, signal: null });
  });

  test('SIGUSR1 to mcp is ignored and does not open the debugger', async () => {
    const child = startProgram(['mcp'], { env: { KEYHOLD_HOME: temporaryFolder() } });
    const stderr = collect(child);
    const client = await connectStdioClient(child);
    child.kill('SIGUSR1');
    await sleep(300);
    expect(await isDebuggerOpen(DEBUGGER_PORT)).toBe(false);
    expect(stderr()).toBe('');
    expect(await client.listTools()).toContain('list_services');
    expect(await client.end()).toBe(0);
  });

  test('SIGUSR1 to a command that reads standard input is ignored and does not open the debugger', async () => {
    const home = temporaryFolder();
    const module = join(home, 'handler.mjs');
    writeFileSync(
      module,
      "process.on('newListener', (name) => name === 'SIGUSR1' && process.stdout.write('handled\\n'));\n",
    );
    const env = { KEYHOLD_HOME: home, NODE_OPTIONS: `--import=${module}` };
    const child = startProgram(['store', 'linear', '--stdin'], { env });
    const stderr = collect(child);
    // Earlier, the signal ends the process.
    if (child.stdout !== null) expect(String((await once(child.stdout, 'data'))[0])).toBe('handled\n');
    child.kill('SIGUSR1');
    await sleep(300);
    expect(await isDebuggerOpen(DEBUGGER_PORT)).toBe(false);
    expect(stderr()).toBe('');
    child.stdin?.end('lin_api_81');
    await once(child, 'close');
    expect(child.exitCode).toBe(0);
  });

  test.each([
    ['--inspect in NODE_OPTIONS', { NODE_OPTIONS: '--inspect=127.0.0.1:9317' }, 9317],
    ['SIGUSR1 while the program starts', undefined, DEBUGGER_PORT],
  ])('the debugger that was opened by %s is closed', async (_, env, port) => {
    const child = startProgram(['mcp'], { env: { KEYHOLD_HOME: temporaryFolder(), ...env } });
    const stderr = collect(child);
    if (env === undefined) {
      // Node.js installs its handler before it runs the program; earlier, the signal ends the process.
      await sleep(25);
      child.kill('SIGUSR1');
      const client = await connectStdioClient(child).catch(() => undefined);
      if (child.signalCode !== null) return;
      expect(await client?.listTools()).toContain('list_services');
    } else {
      const client = await connectStdioClient(child);
      expect(await client.listTools()).toContain('list_services');
      expect(stderr()).toContain('It was closed. Start Keyhold without --inspect');
    }
    expect(await isDebuggerOpen(port)).toBe(false);
  });
});
