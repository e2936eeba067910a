import util from 'node:util';
import { expect, test } from 'vitest';
import { Secret } from '../../src/contract/secret.ts';

const CANARY = 'sk-canary-"é🔑"-7f3a';
const secret = new Secret(CANARY);

test.each<readonly [string, () => string]>([
  ['String()', () => String(secret)],
  ['a template', () => `${secret}`],
  ['concatenation', () => `${secret}${''}`],
  ['join', () => [secret, secret].join()],
  ['toLocaleString', () => secret.toLocaleString()],
  ['JSON', () => JSON.stringify({ secret, list: [secret] })],
  ['inspect', () => util.inspect(secret)],
  [
    'inspect of an object that contains it',
    () => util.inspect({ deep: [new Map([['a', secret]])] }, { depth: null, showHidden: true }),
  ],
  ['inspect without custom printing', () => util.inspect(secret, { customInspect: false, showHidden: true })],
  ['format %s %o %O %j %d', () => util.format('%s %o %O %j %d', secret, secret, secret, secret, secret)],
  ['an error with it as the cause', () => util.inspect(new Error('failed', { cause: secret }))],
  ['an error with it as the message', () => new Error(String(secret)).message],
  ['structured clone', () => util.inspect(structuredClone({ secret: { ...secret } }))],
  ['its keys and entries', () => JSON.stringify([Reflect.ownKeys(secret), Object.entries(secret)])],
  ['a number', () => String(Number(secret))],
])('a secret is not revealed by %s', (_, print) => {
  expect(print()).not.toContain('canary');
});

test('a secret prints as [redacted] in templates, JSON and inspect', () => {
  expect([`${secret}`, JSON.stringify(secret), util.inspect(secret)]).toEqual([
    '[redacted]',
    '"[redacted]"',
    '[redacted]',
  ]);
});

test('reveal returns the value of a secret', () => {
  expect(secret.reveal()).toBe(CANARY);
});
