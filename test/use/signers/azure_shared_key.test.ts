import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Secret } from '../../../src/contract/secret.ts';
import { azure_shared_key } from '../../../src/use/signers/azure_shared_key.ts';
import type { UnsignedRequest } from '../../../src/use/signers/signer.ts';
import { azureSharedKey, requireAuthentication } from '../../kit/upstream/authentication.ts';
import { respond } from '../../kit/upstream/handlers.ts';
import { openUpstreamEgress, startUpstream } from '../../kit/upstream/upstream.ts';
import { sendSigned } from './send_signed.ts';

const ACCOUNT = 'canaryaccount';
const KEY = Buffer.from('the canary key of a storage account, 64 bytes in real life').toString('base64');
const HOST = `${ACCOUNT}.blob.core.windows.net`;

const parametersOf = (account_name: string, account_key: string) =>
  new Map([
    ['account_name', new Secret(account_name)],
    ['account_key', new Secret(account_key)],
  ]);
const requestTo = (path: string, host = HOST): UnsignedRequest => ({
  method: 'GET',
  url: new URL(path, `https://${host}`),
  headers: {},
  body: Buffer.alloc(0),
});

describe('an Azure signature is refused', () => {
  test.each([
    ['with a key that is not base64', ACCOUNT, 'canary key!'],
    ['with an account that is not a name', 'account:x', KEY],
    ['with an account that has a line end', 'account\nx', KEY],
  ])('%s', async (_what, account, key) => {
    const error = await azure_shared_key
      .sign(requestTo('/'), parametersOf(account, key), new Date())
      .catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'INVALID_INPUT' });
    expect(error.message).not.toContain('canary');
  });

  test('by the server if the key is another one', async () => {
    const check = azureSharedKey(ACCOUNT, KEY);
    await startUpstream([HOST], requireAuthentication(check, respond(200)));
    const parameters = parametersOf(ACCOUNT, Buffer.from('another key').toString('base64'));
    const text = await sendSigned(openUpstreamEgress(), azure_shared_key, requestTo('/'), parameters);
    expect(text).toBe('401 {"error":"wrong signature"}');
  });
});

describe('an Azure signature', () => {
  test.each<[method: string, path: string, headers: Record<string, string>, body: string]>([
    ['GET', '/?comp=list', {}, ''],
    ['GET', '/container?restype=container&comp=list&include=snapshots&include=metadata&Prefix=a%2Fb', {}, ''],
    ['GET', '/container/a%20b.txt', { Range: 'bytes=0-9', 'If-Match': '"0x1"' }, ''],
    ['PUT', '/container/a.txt', { 'x-ms-blob-type': 'BlockBlob', 'Content-Type': 'text/plain' }, 'å body'],
    ['PUT', '/container/b.txt', { 'x-ms-version': '2019-12-12', 'X-MS-Meta-Key': '  a   b ' }, 'x'],
    ['PUT', '/container?restype=container', {}, ''],
    ['DELETE', '/container/a.txt', {}, ''],
  ])('of %s %s is accepted by a server that verifies it', async (method, path, headers, body) => {
    const check = azureSharedKey(ACCOUNT, KEY);
    const upstream = await startUpstream([HOST], requireAuthentication(check, respond(200, 'accepted')));
    const request = { ...requestTo(path), method, headers, body: Buffer.from(body) };
    const parameters = parametersOf(ACCOUNT, KEY);
    expect(await sendSigned(openUpstreamEgress(), azure_shared_key, request, parameters)).toBe(
      '200 accepted',
    );
    expect(JSON.stringify(upstream.requests)).not.toContain(KEY);
  });

  test('of a request to a Table service is that of its documentation', async () => {
    const request = requestTo(
      "/Tables(PartitionKey='a')?comp=acl&$top=1",
      `${ACCOUNT}.table.core.windows.net`,
    );
    const now = new Date('2026-01-02T03:04:05Z');
    const signed = await azure_shared_key.sign(request, parametersOf(ACCOUNT, KEY), now);
    const text = `GET\n\n\nFri, 02 Jan 2026 03:04:05 GMT\n/${ACCOUNT}/Tables(PartitionKey='a')?comp=acl`;
    const signature = createHmac('sha256', Buffer.from(KEY, 'base64')).update(text).digest('base64');
    expect(signed.headers.authorization).toBe(`SharedKey ${ACCOUNT}:${signature}`);
    expect(signed.secrets.map((secret) => secret.reveal())).toEqual([signature]);
  });

  test('does not depend on a Date header of the caller, which is not signed', async () => {
    const check = azureSharedKey(ACCOUNT, KEY);
    await startUpstream([HOST], requireAuthentication(check, respond(200, 'accepted')));
    const request = { ...requestTo('/'), headers: { 'x-ms-date': 'of the caller' } };
    const parameters = parametersOf(ACCOUNT, KEY);
    expect(await sendSigned(openUpstreamEgress(), azure_shared_key, request, parameters)).toBe(
      '200 accepted',
    );
    expect(azure_shared_key.owned_headers).toContain('date');
  });
});
