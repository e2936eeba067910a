/** The search finds the canary in every encoding in which it may leak. A search that finds nothing would prove little. */
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

const PLANTED: readonly (readonly [form: string, planted: string | Buffer])[] = [
  ['plain', around(value)],
  ['the word of it', around(word)],
  ['cut off in the middle', around(value.slice(0, 17))],
  ['the end of it', around(value.slice(14))],
  ['broken over two lines', `${value.slice(0, 16)}\n${value.slice(16)}`],
  ['between other bytes', Buffer.concat([Buffer.from([0, 255, 254]), Buffer.from(value), Buffer.from([0])])],
  ['UTF-16', Buffer.from(around(value), 'utf16le')],
  ['hex', around(Buffer.from(value).toString('hex'))],
  ['hex in capitals', around(Buffer.from(value).toString('hex').toUpperCase())],
  ['hex of its second half', Buffer.from(other_half).toString('hex')],
  ['URL-encoded', `https://host/?key=${encodeURIComponent(value)}&x=1`],
  ['URL-encoded in lower case', encodeURIComponent(value).replace(/%../g, (code) => code.toLowerCase())],
  ['a form', new URLSearchParams({ key: value }).toString()],
  ['JSON', JSON.stringify({ key: value })],
  ['JSON in JSON', JSON.stringify(JSON.stringify({ key: value }))],
  ['JSON in ASCII', JSON.stringify(value).replace('é', String.raw`\u00e9`)],
  ['reversed', [...value].reverse().join('')],
  ...[0, 1, 2].flatMap((before) => [
    [`base64 after ${before} bytes`, base64(value, before)] as const,
    [`base64url after ${before} bytes`, base64url(value, before)] as const,
    [`base64 of one half after ${before} bytes`, base64(half, before)] as const,
    [`base64url of the other half after ${before} bytes`, base64url(other_half, before)] as const,
  ]),
  ['basic authentication', `Basic ${Buffer.from(`user:${value}`).toString('base64')}`],
];

test.each(PLANTED)('finds it in %s', (_form, planted) => {
  expect(findCanary(planted, canary)).not.toStrictEqual([]);
});

test('names the form that it found', () => {
  expect(findCanary(value, canary)).toContain('plain of value');
  expect(findCanary(encodeURIComponent(value), canary)).toContain('URL-encoded of value');
  expect(findCanary(JSON.stringify(value), canary)).toContain('JSON-escaped of value');
  expect(findCanary(JSON.stringify(JSON.stringify(value)), canary)).toContain('JSON-escaped twice of value');
  expect(findCanary(base64(half, 1), canary)).toStrictEqual([
    'base64 at 1 of first half',
    'base64url at 1 of first half',
  ]);
});

test('finds nothing where it is not, and not another one', () => {
  for (const text of ['', around('nothing'), word.slice(0, 11), word.toLowerCase(), newCanary().value]) {
    expect(findCanary(text, canary)).toStrictEqual([]);
  }
  expect(findCanary(Buffer.alloc(1024 * 1024, 'A'), canary)).toStrictEqual([]);
  // It does not search compressed data: nothing here compresses.
  expect(findCanary(gzipSync(value), canary)).toStrictEqual([]);
});

test('finds any other text in the same forms', () => {
  const name = 'a stack with a long name';
  for (const text of [name, base64(name, 2), Buffer.from(name).toString('hex'), encodeURIComponent(name)]) {
    expect(findText(Buffer.from(around(text)), name)).not.toStrictEqual([]);
  }
  expect(findText(Buffer.from(around('a stack with another name')), name)).toStrictEqual([]);
});

test('finds it in files, however deep, and in their names', () => {
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

test.runIf(process.platform === 'linux')('finds it in the arguments of processes', async () => {
  expect(processesWithCanary(canary)).toStrictEqual([]);
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()', '--', value]);
  onTestFinished(() => void child.kill('SIGKILL'));
  await new Promise((resolve) => child.once('spawn', resolve));
  expect(processesWithCanary(canary)).toStrictEqual([child.pid]);
});

test('no two canaries are the same, and each is a value that a service takes', () => {
  const words = Array.from({ length: 100 }, () => newCanary().word);
  expect(new Set(words).size).toBe(100);
  for (const letters of words) expect(letters).toMatch(/^[A-Za-z]{24}$/);
  expect(value).toMatch(/^\S+$/);
});
