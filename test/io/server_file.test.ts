/** The file with the URL of the running server: its readers find the old or the new one while it is replaced. */
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import { readServerUrl, removeServerFile, writeServerFile } from '../../src/io/server_file.ts';
import { modeOf } from '../kit/file_system.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const URL = 'http://127.0.0.1:8787';
const WRITES = 30;

function pathIn(home: string): string {
  return join(home, 'run', 'server.json');
}

/** Reads the file without a pause, and counts the reads with and without a complete file. */
async function startReader(path: string): Promise<Worker> {
  const program = `
    const { parentPort } = require('node:worker_threads');
    const { readFileSync } = require('node:fs');
    const counts = { complete: 0, incomplete: 0 };
    let is_running = true;
    parentPort.once('message', () => { is_running = false; });
    const read = () => {
      for (let at = 0; at < 50; at++) {
        try {
          JSON.parse(readFileSync(${JSON.stringify(path)}, 'utf8'));
          counts.complete++;
        } catch {
          counts.incomplete++;
        }
      }
      if (is_running) setImmediate(read);
      else parentPort.postMessage(counts);
    };
    read();`;
  const worker = new Worker(program, { eval: true });
  onTestFinished(async () => void (await worker.terminate()));
  await once(worker, 'online');
  return worker;
}

test('a reader of the server file finds a complete one at any time while servers replace it', async () => {
  const home = temporaryFolder();
  writeServerFile(home, URL);
  const reader = await startReader(pathIn(home));
  for (let write = 0; write < WRITES; write++) writeServerFile(home, URL);
  reader.postMessage('stop');
  const [counts] = await once(reader, 'message');
  expect(counts.complete).toBeGreaterThan(0);
  expect(counts.incomplete).toBe(0);
});

test('the server file is written for its owner only, in a folder that it creates, and removed again', () => {
  const home = join(temporaryFolder(), 'home');
  writeServerFile(home, URL);
  expect([modeOf(join(home, 'run')), modeOf(pathIn(home))]).toEqual(['0700', '0600']);
  expect(readServerUrl(home)).toBe(URL);
  removeServerFile(home);
  expect(existsSync(pathIn(home))).toBe(false);
  expect(readServerUrl(home)).toBeUndefined();
});

test('the server file of another process is replaced, and is not removed by a process that did not write it', () => {
  const home = temporaryFolder();
  mkdirSync(join(home, 'run'));
  writeFileSync(pathIn(home), JSON.stringify({ url: 'http://127.0.0.1:1', pid: process.ppid }));
  removeServerFile(home);
  expect(readServerUrl(home)).toBe('http://127.0.0.1:1');
  writeServerFile(home, URL);
  expect(readServerUrl(home)).toBe(URL);
});
