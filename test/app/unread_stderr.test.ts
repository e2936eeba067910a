/** The built program with a standard error that nothing reads: it serves, logs what fits, counts the rest, and ends. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { startProgram } from '../kit/child/built_program.ts';
import { connectStdioClient } from '../kit/mcp/stdio_client.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

/** Far more log lines than a pipe and the buffer of the log can keep. */
const REQUESTS = 6_000;
const PIPELINED = 100;
const INVALID_LINES = 10_000;

/** Starts `keyhold serve`. Nothing reads its stderr until a test does. */
async function startUnread(env: NodeJS.ProcessEnv = {}): Promise<{ child: ChildProcess; url: string }> {
  const home = temporaryFolder();
  const child = startProgram(['serve'], {
    env: { KEYHOLD_HOME: home, KEYHOLD_PORT: '0', KEYHOLD_RATE_LIMIT: '0', KEYHOLD_LOG: 'debug', ...env },
  });
  const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data');
  child.stdout?.resume();
  return { child, url: String(line).replace('keyhold listening on ', '').trim() };
}

/** Sends the requests over one connection, many at a time, and returns the statuses. */
async function requestMany(url: string, count: number): Promise<Set<string>> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const statuses = new Set<string>();
  let responses = 0;
  let sent = 0;
  const sendMore = () => {
    const more = Math.min(PIPELINED, count - sent);
    sent += more;
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(more));
  };
  sendMore();
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject).once('close', () => reject(new Error('the connection was closed')));
    socket.setEncoding('latin1').on('data', (text: string) => {
      for (const [, status = ''] of text.matchAll(/HTTP\/1\.1 (\d+) /g)) {
        statuses.add(status);
        responses += 1;
      }
      if (responses === count) resolve();
      else if (responses === sent) sendMore();
    });
  });
  socket.removeAllListeners('close').destroy();
  return statuses;
}

async function droppedLines(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^keyhold_log_lines_dropped_total (\d+)$/m.exec(text)?.[1]);
}

async function ended(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return { code: child.exitCode, signal: child.signalCode };
}

describe('serve with a standard error that nothing reads', () => {
  test('serve responds to thousands of requests, counts the dropped log lines, and ends on SIGTERM', async () => {
    const { child, url } = await startUnread();
    expect(await requestMany(url, REQUESTS)).toEqual(new Set(['200']));
    expect(await droppedLines(url)).toBeGreaterThan(100);
    child.kill('SIGTERM');
    expect(await ended(child)).toEqual({ code: 0, signal: null });
  }, 60_000);

  test('serve reports the number of dropped log lines in one line once standard error is read again', async () => {
    const { child, url } = await startUnread();
    await requestMany(url, REQUESTS);
    let text = '';
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    const reports = () =>
      text
        .split('\n')
        .filter((line) => line.includes('dropped_lines'))
        .map((line) => JSON.parse(line) as { dropped_lines: number });
    await vi.waitFor(() => expect(reports()).toHaveLength(1), 10_000);
    expect(reports()[0]?.dropped_lines).toBe(await droppedLines(url));
    const after = await requestMany(url, 10);
    expect(after).toEqual(new Set(['200']));
    await vi.waitFor(() => expect(text.split('\n').at(-2)).toContain('/healthz'), 10_000);
    child.kill('SIGTERM');
    expect(await ended(child)).toEqual({ code: 0, signal: null });
    const lines = text.trimEnd().split('\n');
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ msg: 'stopped' });
    expect(reports()).toHaveLength(1);
  }, 60_000);

  test('serve ends with its exit code if it fails while standard error and standard output are full', async () => {
    const { url } = await startUnread();
    const script = `import { writeSync } from 'node:fs';
      for (const fd of [1, 2]) for (;;) {
        process[fd === 1 ? 'stdout' : 'stderr'].write('x'.repeat(65536));
        if (process[fd === 1 ? 'stdout' : 'stderr'].writableLength > 0) break;
      }`;
    const child = startProgram(['serve', '--port', new URL(url).port], {
      env: {
        KEYHOLD_HOME: temporaryFolder(),
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}`,
      },
    });
    expect(await ended(child)).toEqual({ code: 13, signal: null });
  }, 30_000);

  test('serve writes its log lines before it ends because of an uncaught exception', async () => {
    const script = "process.on('SIGUSR2', () => Promise.reject(new TypeError('failed')));";
    const { child } = await startUnread({
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}`,
    });
    let text = '';
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    child.kill('SIGUSR2');
    await once(child, 'close');
    expect(child.exitCode).toBe(1);
    expect(text).toContain('"msg":"uncaught exception"');
    expect(text).toContain('"msg":"listening"');
  }, 30_000);

  test('serve goes on if the reader of standard error has closed it', async () => {
    const { child, url } = await startUnread();
    child.stderr?.destroy();
    expect(await requestMany(url, 200)).toEqual(new Set(['200']));
    child.kill('SIGTERM');
    expect(await ended(child)).toEqual({ code: 0, signal: null });
  }, 30_000);
});

describe('mcp with a standard error that nothing reads', () => {
  test('mcp responds after thousands of invalid lines, and ends at the end of its input', async () => {
    const child = startProgram(['mcp'], { env: { KEYHOLD_HOME: temporaryFolder() } });
    const client = await connectStdioClient(child);
    for (let count = 0; count < INVALID_LINES; count += 1000) {
      child.stdin?.write(`{"neither":${count}}\n`.repeat(1000));
      await sleep(1);
    }
    expect(await client.listTools()).toContain('list_services');
    child.stdin?.end();
    expect(await ended(child)).toEqual({ code: 0, signal: null });
  }, 60_000);
});
