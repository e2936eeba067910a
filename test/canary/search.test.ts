/**
 * The search finds the canary in every encoding in which it may leak. Otherwise the other canary tests could pass although
 * a value leaks.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { findCanary, findCanaryInFiles, findText, newCanary, processesWithCanary } from '../kit/canary.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const canary = newCanary();
const { value, word } = canary;
const half = word.slice(0, 12);
const other_half = word.slice(12);

const around = (text: string) => `before ${text} after`;
const base64 = (text: string, before: number) =>
  Buffer.from(`${'x'.repeat(before)}${text}yyyy`).toString('base64');
const base64url = (text: string, before: number) =>
  Buffer.from(`${'x'.repeat(before)}${text}yyyy`).toString('base64url');

const PLANTED: readonly (readonly [encoding: string, planted: string | Buffer])[] = [
  ['plain text', around(value)],
  ['its random word', around(word)],
  ['truncated text', around(value.slice(0, 17))],
  ['its last characters', around(value.slice(14))],
  ['two lines', `${value.slice(0, 16)}\n${value.slice(16)}`],
  ['binary data', Buffer.concat([Buffer.from([0, 255, 254]), Buffer.from(value), Buffer.from([0])])],
  ['UTF-16', Buffer.from(around(value), 'utf16le')],
  ['hex', around(Buffer.from(value).toString('hex'))],
  ['upper-case hex', around(Buffer.from(value).toString('hex').toUpperCase())],
  ['hex of its second half', Buffer.from(other_half).toString('hex')],
  ['a URL query', `https://host/?key=${encodeURIComponent(value)}&x=1`],
  ['lower-case URL encoding', encodeURIComponent(value).replace(/%../g, (code) => code.toLowerCase())],
  ['a URL-encoded form', new URLSearchParams({ key: value }).toString()],
  ['JSON', JSON.stringify({ key: value })],
  ['JSON in JSON', JSON.stringify(JSON.stringify({ key: value }))],
  ['JSON in ASCII', JSON.stringify(value).replace('é', String.raw`\u00e9`)],
  ['reversed text', [...value].reverse().join('')],
  ...[0, 1, 2].flatMap((before) => [
    [`base64 after ${before} bytes`, base64(value, before)] as const,
    [`base64url after ${before} bytes`, base64url(value, before)] as const,
    [`base64 of one half after ${before} bytes`, base64(half, before)] as const,
    [`base64url of the other half after ${before} bytes`, base64url(other_half, before)] as const,
  ]),
  ['a Basic Authorization header', `Basic ${Buffer.from(`user:${value}`).toString('base64')}`],
];

test.each(PLANTED)('findCanary finds the canary in %s', (_encoding, planted) => {
  expect(findCanary(planted, canary)).not.toStrictEqual([]);
});

test('findCanary returns the encodings that it found', () => {
  expect(findCanary(value, canary)).toContain('plain of value');
  expect(findCanary(encodeURIComponent(value), canary)).toContain('URL-encoded of value');
  expect(findCanary(JSON.stringify(value), canary)).toContain('JSON-escaped of value');
  expect(findCanary(JSON.stringify(JSON.stringify(value)), canary)).toContain('JSON-escaped twice of value');
  expect(findCanary(base64(half, 1), canary)).toStrictEqual([
    'base64 at 1 of first half',
    'base64url at 1 of first half',
  ]);
});

test('findCanary finds nothing in text without the canary, in another canary and in compressed data', () => {
  for (const text of ['', around('nothing'), word.slice(0, 11), word.toLowerCase(), newCanary().value]) {
    expect(findCanary(text, canary)).toStrictEqual([]);
  }
  expect(findCanary(Buffer.alloc(1024 * 1024, 'A'), canary)).toStrictEqual([]);
  // Keyhold compresses nothing, so the search does not decompress.
  expect(findCanary(gzipSync(value), canary)).toStrictEqual([]);
});

test('findText finds any other text in the same encodings', () => {
  const name = 'a stack with a long name';
  for (const text of [name, base64(name, 2), Buffer.from(name).toString('hex'), encodeURIComponent(name)]) {
    expect(findText(Buffer.from(around(text)), name)).not.toStrictEqual([]);
  }
  expect(findText(Buffer.from(around('a stack with another name')), name)).toStrictEqual([]);
});

test('findCanaryInFiles finds the canary in nested files and in file names', () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'deep', 'deeper'), { recursive: true });
  writeFileSync(join(folder, 'clean'), 'nothing');
  symlinkSync('/nowhere', join(folder, 'link'));
  expect(findCanaryInFiles(folder, canary)).toStrictEqual([]);
  writeFileSync(join(folder, 'deep', 'deeper', 'file'), around(base64(value, 1)));
  writeFileSync(join(folder, 'deep', `${word}.json`), '');
  const found = findCanaryInFiles(folder, canary);
  expect(found.some((path) => path.includes(join('deep', 'deeper', 'file')))).toBe(true);
  expect(found.some((path) => path.endsWith('in its name'))).toBe(true);
});

test.runIf(process.platform === 'linux')(
  'processesWithCanary finds the canary in the arguments of processes',
  async () => {
    expect(processesWithCanary(canary)).toStrictEqual([]);
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()', '--', value]);
    onTestFinished(() => void child.kill('SIGKILL'));
    await new Promise((resolve) => child.once('spawn', resolve));
    expect(processesWithCanary(canary)).toStrictEqual([child.pid]);
  },
);

test('newCanary returns a different value each time, which is valid for a service', () => {
  const words = Array.from({ length: 100 }, () => newCanary().word);
  expect(new Set(words).size).toBe(100);
  for (const letters of words) expect(letters).toMatch(/^[A-Za-z]{24}$/);
  expect(value).toMatch(/^\S+$/);
});
