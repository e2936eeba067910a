import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { Secret } from '../../../src/contract/secret.ts';
import { jwt } from '../../../src/use/signers/jwt.ts';
import type { UnsignedRequest } from '../../../src/use/signers/signer.ts';
import { requireAuthentication, validJwt } from '../../kit/upstream/authentication.ts';
import { respond } from '../../kit/upstream/handlers.ts';
import { openUpstreamEgress, startUpstream } from '../../kit/upstream/upstream.ts';
import { sendSigned } from './send_signed.ts';

const HOST = 'api.github.com';
const REQUEST: UnsignedRequest = {
  method: 'GET',
  url: new URL(`https://${HOST}/app`),
  headers: {},
  body: Buffer.alloc(0),
};
const HEX = randomBytes(32).toString('hex');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const pem = (key: typeof rsa.privateKey, type: 'pkcs1' | 'pkcs8' | 'sec1') =>
  key.export({ type, format: 'pem' }) as string;

type Values = Readonly<Record<string, string>>;
const parametersOf = (values: Values) =>
  new Map(Object.entries(values).map(([name, value]) => [name, new Secret(value)]));

describe('a token is refused', () => {
  test.each<[what: string, values: Values]>([
    ['without an algorithm', { key: 'canary' }],
    ['without a key', { algorithm: 'HS256' }],
    ['with the algorithm "none"', { algorithm: 'none', key: 'canary' }],
    ['with an unknown algorithm', { algorithm: 'HS1', key: 'canary' }],
    ['with a key that is not PEM', { algorithm: 'RS256', key: 'canary' }],
    ['with a truncated key', { algorithm: 'RS256', key: pem(rsa.privateKey, 'pkcs8').slice(0, 400) }],
    ['with a key of another kind', { algorithm: 'RS256', key: pem(ec.privateKey, 'pkcs8') }],
    ['with a secret that is not hexadecimal', { algorithm: 'HS256', key: 'canary', key_format: 'hex' }],
    ['with a secret without its id', { algorithm: 'HS256', key: HEX, key_format: 'id_and_hex' }],
    ['with an unknown format of the key', { algorithm: 'HS256', key: HEX, key_format: 'canary' }],
    ['with a scheme that has a line end', { algorithm: 'HS256', key: HEX, scheme: 'A\r\nB' }],
    ['with a lifetime of a day', { algorithm: 'HS256', key: HEX, lifetime_seconds: '86400' }],
    [
      'with a lifetime that is over when it is sent',
      { algorithm: 'HS256', key: HEX, lifetime_seconds: '30' },
    ],
    ['with a lifetime that is not a number', { algorithm: 'HS256', key: HEX, lifetime_seconds: 'x' }],
  ])('%s', async (_what, values) => {
    const error = await jwt.sign(REQUEST, parametersOf(values), new Date()).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'INVALID_INPUT' });
    expect(`${error.message} ${error.cause}`).not.toMatch(/canary|BEGIN/);
  });

  test('by the server if the key is another one', async () => {
    const check = validJwt('Bearer', rsa.publicKey, {});
    await startUpstream([HOST], requireAuthentication(check, respond(200)));
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const parameters = parametersOf({ algorithm: 'RS256', key: pem(privateKey, 'pkcs8') });
    const text = await sendSigned(openUpstreamEgress(), jwt, REQUEST, parameters);
    expect(text).toBe('401 {"error":"signature verification failed"}');
  });
});

describe('a token', () => {
  test.each([
    ['RS256', pem(rsa.privateKey, 'pkcs8'), rsa.publicKey],
    ['RS256', pem(rsa.privateKey, 'pkcs1'), rsa.publicKey],
    ['PS512', pem(rsa.privateKey, 'pkcs8'), rsa.publicKey],
    ['ES256', pem(ec.privateKey, 'pkcs8'), ec.publicKey],
    ['ES256', pem(ec.privateKey, 'sec1'), ec.publicKey],
    ['EdDSA', pem(ed.privateKey, 'pkcs8'), ed.publicKey],
    ['HS512', 'the secret', Buffer.from('the secret')],
  ])('with %s is accepted by a server that verifies it', async (algorithm, key, verifying_key) => {
    const options = { algorithms: [algorithm], issuer: '12345', audience: 'aud', key_id: 'kid-1' };
    const check = validJwt('Bearer', verifying_key, options);
    const upstream = await startUpstream([HOST], requireAuthentication(check, respond(200, 'accepted')));
    const parameters = parametersOf({
      algorithm,
      key,
      key_id: 'kid-1',
      claim_iss: '12345',
      claim_aud: 'aud',
    });
    expect(await sendSigned(openUpstreamEgress(), jwt, REQUEST, parameters)).toBe('200 accepted');
    expect(JSON.stringify(upstream.requests)).not.toContain(key);
  });

  test('for an admin key of Ghost has its id as key id and the scheme Ghost', async () => {
    const options = { algorithms: ['HS256'], audience: '/admin/', key_id: '6489a1b2' };
    const check = validJwt('Ghost', Buffer.from(HEX, 'hex'), options);
    await startUpstream([HOST], requireAuthentication(check, respond(200, 'accepted')));
    const parameters = parametersOf({
      algorithm: 'HS256',
      key: `6489a1b2:${HEX}`,
      key_format: 'id_and_hex',
      scheme: 'Ghost',
      claim_aud: '/admin/',
    });
    expect(await sendSigned(openUpstreamEgress(), jwt, REQUEST, parameters)).toBe('200 accepted');
  });

  test('was issued shortly before and expires after its lifetime', async () => {
    const now = new Date('2026-01-02T03:04:05Z');
    const values = { algorithm: 'HS256', key: HEX, key_format: 'hex', lifetime_seconds: '600' };
    const { headers, secrets } = await jwt.sign(REQUEST, parametersOf(values), now);
    const token = headers.authorization?.split(' ')[1] ?? '';
    const { iat = 0, exp = 0, ...other_claims } = decodeJwt(token);
    expect([iat - now.getTime() / 1000, exp - iat, other_claims]).toEqual([-30, 600, {}]);
    expect(secrets.map((secret) => secret.reveal())).toEqual([token]);
  });
});
