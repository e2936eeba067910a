/**
 * Signatures against moto, the AWS simulator in Python, which verifies them with Amazon's botocore. Skipped if it is not
 * installed. It takes the query of a GET for a body, and paths as they are encoded, so the requests here are those it can verify.
 */
import { execFileSync, spawn } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../../src/contract/secret.ts';
import { aws_sigv4 } from '../../../src/use/signers/aws_sigv4.ts';
import { freePort } from '../../kit/servers/ports.ts';
import { forward } from '../../kit/upstream/handlers.ts';
import { openUpstreamEgress, startUpstream } from '../../kit/upstream/upstream.ts';
import { sendSigned } from './send_signed.ts';

const MOTO = 'moto_server';
const START_TIMEOUT_MS = 60_000;
/** CreateUser, PutUserPolicy and CreateAccessKey; moto authenticates every later request. */
const REQUESTS_WITHOUT_AUTHENTICATION = 3;
const POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
});

function isInstalled(): boolean {
  try {
    execFileSync(MOTO, ['--help'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!isInstalled())('an AWS signature that moto verifies', () => {
  let port = 0;
  let stop: () => void = () => undefined;
  const keys = new Map<string, Secret>();

  beforeAll(async () => {
    port = await freePort();
    const child = spawn(MOTO, ['-p', String(port)], {
      env: { ...process.env, INITIAL_NO_AUTH_ACTION_COUNT: String(REQUESTS_WITHOUT_AUTHENTICATION) },
      stdio: 'ignore',
    });
    stop = () => void child.kill('SIGKILL');
    const user = 'UserName=tester&Version=2010-05-08';
    await callIam(`Action=CreateUser&${user}`);
    await callIam(`Action=PutUserPolicy&PolicyName=all&PolicyDocument=${encodeURIComponent(POLICY)}&${user}`);
    const created = await callIam(`Action=CreateAccessKey&${user}`);
    for (const [name, element] of [
      ['access_key_id', 'AccessKeyId'],
      ['secret_access_key', 'SecretAccessKey'],
    ] as const)
      keys.set(name, new Secret(new RegExp(`<${element}>(.*)</${element}>`).exec(created)?.[1] ?? ''));
  });
  afterAll(() => stop());

  /** Retries until moto listens. */
  async function callIam(body: string): Promise<string> {
    const until = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        const headers = {
          'content-type': 'application/x-www-form-urlencoded',
          authorization: 'AWS4-HMAC-SHA256 Credential=none/20260101/us-east-1/iam/aws4_request',
        };
        return await (await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body })).text();
      } catch (error) {
        if (performance.now() > until) throw error;
        await setTimeout(200);
      }
    }
  }

  async function send(
    method: string,
    url: string,
    { body = '', headers = {}, changed = {} }: SendOptions = {},
  ): Promise<string> {
    const target = new URL(url);
    await startUpstream([target.hostname], forward(port));
    const parameters = new Map(keys);
    for (const [name, value] of Object.entries(changed)) parameters.set(name, new Secret(value));
    const request = { method, url: target, headers, body: Buffer.from(body) };
    return sendSigned(openUpstreamEgress(), aws_sigv4, request, parameters);
  }

  const STS_URL = 'https://sts.us-east-1.amazonaws.com/';
  const IDENTITY = {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'Action=GetCallerIdentity&Version=2011-06-15',
  };

  test('is refused with another secret key', async () => {
    expect(await send('POST', STS_URL, { ...IDENTITY, changed: { secret_access_key: 'another' } })).toMatch(
      /^403 .*SignatureDoesNotMatch/s,
    );
  });

  test('is accepted by STS', async () => {
    expect(await send('POST', STS_URL, IDENTITY)).toMatch(/^200 .*user\/tester/s);
  });

  test('is accepted by SQS with a body and headers', async () => {
    const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.CreateQueue' };
    const url = 'https://sqs.eu-west-1.amazonaws.com/';
    expect(await send('POST', url, { headers, body: '{"QueueName":"queue"}' })).toMatch(/^200 .*\/queue/s);
  });

  test('is accepted by S3 for a bucket and for an object in it', async () => {
    const origin = 'https://s3.us-east-1.amazonaws.com';
    expect(await send('PUT', `${origin}/bucket-of-test`)).toMatch(/^200 /);
    const object = `${origin}/bucket-of-test/folder/object.txt`;
    expect(await send('PUT', object, { body: 'the object' })).toMatch(/^200 /);
    expect(await send('GET', object)).toBe('200 the object');
  });
});

interface SendOptions {
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Parameters with other values. */
  readonly changed?: Readonly<Record<string, string>>;
}
