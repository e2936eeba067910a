import { describe, expect, test } from 'vitest';
import { Secret } from '../../../src/contract/secret.ts';
import { aws_sigv4 } from '../../../src/use/signers/aws_sigv4.ts';
import type { UnsignedRequest } from '../../../src/use/signers/signer.ts';
import { requireAuthentication, sigV4 } from '../../kit/upstream/authentication.ts';
import { respond } from '../../kit/upstream/handlers.ts';
import { openUpstreamEgress, startUpstream } from '../../kit/upstream/upstream.ts';
import { AWS_VECTOR_KEYS, AWS_VECTOR_ORIGIN, AWS_VECTOR_TIME, AWS_VECTORS } from './aws_vectors.ts';
import { sendSigned } from './send_signed.ts';

const SECRET = 'wJalrXUtnFEMI/canary+aws/EXAMPLEKEY12345';
const KEYS = { access_key_id: 'AKIACANARYEXAMPLE012', secret_access_key: SECRET };

const parametersOf = (values: Readonly<Record<string, string>>) =>
  new Map(Object.entries(values).map(([name, value]) => [name, new Secret(value)]));
const requestTo = (url: string): UnsignedRequest => ({
  method: 'GET',
  url: new URL(url),
  headers: {},
  body: Buffer.alloc(0),
});

describe('an AWS signature is refused', () => {
  test.each(['https://lambda.api.aws/', 'https://eu-west-1.lambda.api.aws/'])(
    'for the host of %s, which names no service and region',
    async (url) => {
      const signed = aws_sigv4.sign(
        requestTo(url),
        parametersOf({ ...KEYS, region: 'eu-west-1' }),
        new Date(),
      );
      await expect(signed).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        message: expect.stringContaining('service and region'),
      });
    },
  );

  test.each([
    ['without an access key id', { secret_access_key: SECRET }, 'https://sts.amazonaws.com/'],
    ['without a secret key', { access_key_id: 'AKIA' }, 'https://sts.amazonaws.com/'],
    [
      'with a session token that no header can have',
      { ...KEYS, session_token: 'canary\u2013' },
      'https://sts.amazonaws.com/',
    ],
    [
      'with an access key id of several lines',
      { ...KEYS, access_key_id: 'AKIA\ncanary' },
      'https://sts.amazonaws.com/',
    ],
    ['for a host that names no service', KEYS, 'https://storage.example/'],
    ['with a region that is not a name', { ...KEYS, region: 'eu/central' }, 'https://sts.amazonaws.com/'],
    ['with a service that is not a name', { ...KEYS, service: 's 3' }, 'https://sts.amazonaws.com/'],
  ])('%s', async (_what, parameters, url) => {
    const signed = aws_sigv4.sign(requestTo(url), parametersOf(parameters), new Date());
    const error = await signed.catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'INVALID_INPUT' });
    expect(error.message).not.toContain('canary');
  });
});

describe('an AWS signature', () => {
  test.each(AWS_VECTORS)(
    'of the published vector $name is right',
    async ({ method, path, headers, signature }) => {
      const request = {
        method,
        url: new URL(path, AWS_VECTOR_ORIGIN),
        headers: headers ?? {},
        body: Buffer.alloc(0),
      };
      const signed = await aws_sigv4.sign(request, parametersOf(AWS_VECTOR_KEYS), AWS_VECTOR_TIME);
      expect(signed.headers.authorization).toContain(
        'Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request',
      );
      expect(signed.headers.authorization?.split('Signature=')[1]).toBe(signature);
      expect(signed.headers['x-amz-date']).toBe('20150830T123600Z');
    },
  );

  test.each([
    ['https://sts.amazonaws.com/', 'eu-central-1', 'us-east-1/sts'],
    ['https://sts.eu-west-1.amazonaws.com/', 'eu-central-1', 'eu-west-1/sts'],
    ['https://iam.amazonaws.com/', undefined, 'us-east-1/iam'],
    ['https://s3.amazonaws.com/bucket', 'eu-central-1', 'eu-central-1/s3'],
    ['https://bucket.s3.eu-west-3.amazonaws.com/key', undefined, 'eu-west-3/s3'],
    ['https://email.us-east-1.amazonaws.com/', 'eu-central-1', 'us-east-1/ses'],
    ['https://bedrock-runtime.us-west-2.amazonaws.com/', undefined, 'us-west-2/bedrock'],
    ['https://bedrock-agentcore.us-west-2.amazonaws.com/', undefined, 'us-west-2/bedrock-agentcore'],
    ['https://runtime.sagemaker.eu-west-1.amazonaws.com/', undefined, 'eu-west-1/sagemaker'],
    ['https://runtime-v2-lex.eu-west-1.amazonaws.com/', undefined, 'eu-west-1/lex'],
    ['https://abc.execute-api.eu-west-1.amazonaws.com/', undefined, 'eu-west-1/execute-api'],
    ['https://iam.cn-north-1.amazonaws.com.cn/', undefined, 'cn-north-1/iam'],
    ['https://lambda.eu-west-1.api.aws/', 'eu-central-1', 'eu-west-1/lambda'],
    ['https://ec2-fips.us-gov-west-1.api.aws/', undefined, 'us-gov-west-1/ec2'],
    ['https://abc.execute-api.eu-west-1.api.aws/', undefined, 'eu-west-1/execute-api'],
    ['https://bedrock-runtime.eu-west-1.api.aws/', undefined, 'eu-west-1/bedrock'],
    ['https://route53.global.api.aws/', 'eu-central-1', 'us-east-1/route53'],
  ])('for %s with the region %s has the scope %s', async (url, region, scope) => {
    const parameters = parametersOf({ ...KEYS, ...(region === undefined ? {} : { region }) });
    const { headers } = await aws_sigv4.sign(requestTo(url), parameters, new Date());
    expect(headers.authorization).toContain(`/${scope}/aws4_request`);
  });

  test('for a host outside of AWS uses the service and region of the parameters', async () => {
    const parameters = parametersOf({ ...KEYS, region: 'eu-north-1', service: 's3' });
    const { headers } = await aws_sigv4.sign(requestTo('https://minio.example/'), parameters, new Date());
    expect(headers.authorization).toContain('/eu-north-1/s3/aws4_request');
  });

  test('contains no secret key, and its signature is among the secrets of the response', async () => {
    const signed = await aws_sigv4.sign(
      requestTo('https://sts.amazonaws.com/'),
      parametersOf(KEYS),
      new Date(),
    );
    expect(JSON.stringify(signed.headers)).not.toContain('canary');
    expect(signed.secrets.map((secret) => secret.reveal())).toEqual([
      signed.headers.authorization?.split('Signature=')[1],
    ]);
  });

  test('replaces the authentication headers of the caller', async () => {
    const headers = { 'X-Amz-Security-Token': 'of-the-caller', 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
    const request = { ...requestTo('https://s3.amazonaws.com/'), headers };
    const signed = await aws_sigv4.sign(request, parametersOf(KEYS), new Date());
    expect(signed.headers).not.toHaveProperty('x-amz-security-token');
    expect(signed.headers['x-amz-content-sha256']).toMatch(/^[0-9a-f]{64}$/);
    expect(aws_sigv4.owned_headers).toContain('x-amz-security-token');
  });

  test.each([
    [
      'GET',
      'https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15',
      'eu-west-1/sts',
      '',
    ],
    ['POST', 'https://sts.eu-west-1.amazonaws.com/', 'eu-west-1/sts', 'Action=GetCallerIdentity'],
    [
      'PUT',
      'https://s3.eu-west-1.amazonaws.com/bucket/a%20b/c(1)!.txt?x-id=Put%26Object&acl',
      'eu-west-1/s3',
      'å body',
    ],
    [
      'PUT',
      'https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/a%3Ab/code',
      'eu-west-1/lambda',
      '{}',
    ],
    ['GET', 'https://lambda.eu-west-1.amazonaws.com/x?b=2&a=1&a=0&c=%2F~%20z', 'eu-west-1/lambda', ''],
  ])('of %s %s is accepted by a server that verifies it', async (method, url, scope, body) => {
    const keys = { ...KEYS, session_token: 'session/canary+token' };
    const host = new URL(url).hostname;
    const check = sigV4({ ...keys, scope });
    const upstream = await startUpstream([host], requireAuthentication(check, respond(200, 'accepted')));
    const headers = { 'content-type': 'text/plain', 'X-Amz-Meta-A': 'b' };
    const request = { method, url: new URL(url), headers, body: Buffer.from(body) };
    const text = await sendSigned(openUpstreamEgress(), aws_sigv4, request, parametersOf(keys));
    expect(text).toBe('200 accepted');
    expect(JSON.stringify(upstream.requests)).not.toContain(SECRET);
  });

  test('with another secret key is refused by a server that verifies it', async () => {
    const check = sigV4({ ...KEYS, scope: 'us-east-1/sts' });
    await startUpstream(['sts.amazonaws.com'], requireAuthentication(check, respond(200)));
    const parameters = parametersOf({ ...KEYS, secret_access_key: 'another' });
    const text = await sendSigned(
      openUpstreamEgress(),
      aws_sigv4,
      requestTo('https://sts.amazonaws.com/'),
      parameters,
    );
    expect(text).toBe('401 {"error":"wrong signature"}');
  });
});
