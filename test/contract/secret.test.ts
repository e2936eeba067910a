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
    'inspect of what holds it',
    () => util.inspect({ deep: [new Map([['a', secret]])] }, { depth: null, showHidden: true }),
  ],
  ['inspect without custom printing', () => util.inspect(secret, { customInspect: false, showHidden: true })],
  ['format %s %o %O %j %d', () => util.format('%s %o %O %j %d', secret, secret, secret, secret, secret)],
  ['an error that carries it', () => util.inspect(new Error('failed', { cause: secret }))],
  ['an error whose message it is', () => new Error(String(secret)).message],
  ['structured clone', () => util.inspect(structuredClone({ secret: { ...secret } }))],
  ['its keys and entries', () => JSON.stringify([Reflect.ownKeys(secret), Object.entries(secret)])],
  ['a number', () => String(Number(secret))],
])('a secret does not come out through %s', (_, print) => {
  expect(print()).not.toContain('canary');
});

test('a secret prints as [redacted] where things are printed', () => {
  expect([`${secret}`, JSON.stringify(secret), util.inspect(secret)]).toEqual([
    '[redacted]',
    '"[redacted]"',
    '[redacted]',
  ]);
});

test('a secret comes out through reveal alone, whole', () => {
  expect(secret.reveal()).toBe(CANARY);
});
