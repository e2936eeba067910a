/**
 * A server with the requests of AWS KMS that Keyhold sends (AWS JSON 1.1), with the names of its errors. It checks the Signature
 * Version 4 of each request with an independent implementation. It is no AWS: no emulator is in Debian or npm.
 */
import { createCipheriv, createDecipheriv, randomBytes, timingSafeEqual } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { AwsV4Signer } from 'aws4fetch';
import { onTestFinished } from 'vitest';
import type { IssuedCertificate } from '../upstream/certificates.ts';

export const KMS_ARN = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const ACCESS_KEY = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
};

export interface KmsServer {
  /** KEYHOLD_ROOT_KEY, the endpoint and credentials. */
  readonly env: NodeJS.ProcessEnv;
  /** The exception of every request, such as `DisabledException`; undefined: none. */
  refusal: string | undefined;
  /** Decrypted, in the order of the requests. */
  readonly plaintexts: Buffer[];
  /** Actions and encryption contexts. */
  readonly requests: string[];
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** The name in the certificate of a server with TLS, which only the test proxy resolves. */
export const KMS_HOST = 'kms.example.test';

/** `certificate`: for `KMS_HOST`; absent: http on loopback. Ends with the test. */
export async function startKms(certificate?: IssuedCertificate): Promise<KmsServer> {
  const key = randomBytes(32);
  let port = 0;
  let server: http.Server = http.createServer();
  const kms = {
    env: {},
    refusal: undefined as string | undefined,
    plaintexts: [] as Buffer[],
    requests: [] as string[],
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    async start() {
      const listener: http.RequestListener = (request, response) => void handle(kms, key, request, response);
      server =
        certificate === undefined ? http.createServer(listener) : https.createServer(certificate, listener);
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
      port = (server.address() as AddressInfo).port;
    },
  };
  await kms.start();
  onTestFinished(() => kms.stop());
  kms.env = {
    KEYHOLD_ROOT_KEY: `aws-kms:${KMS_ARN}`,
    AWS_ENDPOINT_URL_KMS:
      certificate === undefined ? `http://127.0.0.1:${port}` : `https://${KMS_HOST}:${port}`,
    AWS_ACCESS_KEY_ID: ACCESS_KEY.accessKeyId,
    AWS_SECRET_ACCESS_KEY: ACCESS_KEY.secretAccessKey,
  };
  return kms;
}

const STS_RESPONSE = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult><Credentials>
    <AccessKeyId>${ACCESS_KEY.accessKeyId}</AccessKeyId><SecretAccessKey>${ACCESS_KEY.secretAccessKey}</SecretAccessKey>
    <SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>
  </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;

/** AWS STS, which gives the credentials of `startKms` for any web identity. Resolves with its port. Ends with the test. */
export async function startSts(certificate: IssuedCertificate): Promise<number> {
  const server = https.createServer(certificate, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/xml' }).end(STS_RESPONSE);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function handle(
  kms: KmsServer,
  key: Buffer,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString();
  const { status, output } = (await isSigned(request, body))
    ? respond(kms, key, request, JSON.parse(body))
    : failure('InvalidSignatureException');
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(output));
}

/** Signs the same headers again, and compares the signatures. */
async function isSigned(request: http.IncomingMessage, body: string): Promise<boolean> {
  const { authorization = '', host } = request.headers;
  const [, names = '', signature = ''] =
    /SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(authorization) ?? [];
  const headers = names
    .split(';')
    .filter((name) => name !== 'host')
    .map((name): [string, string] => [name, String(request.headers[name])]);
  const signer = new AwsV4Signer({
    ...ACCESS_KEY,
    url: `http://${host}${request.url}`,
    method: 'POST',
    headers,
    body,
    service: 'kms',
    region: 'eu-central-1',
    datetime: String(request.headers['x-amz-date']),
    allHeaders: true,
  });
  const expected = await signer.signature();
  return (
    signature.length === expected.length && timingSafeEqual(Buffer.from(signature), Buffer.from(expected))
  );
}

const failure = (name: string) => ({
  status: name === 'KMSInternalException' ? 500 : 400,
  output: { __type: name, message: `${name} of a test` },
});

function respond(kms: KmsServer, key: Buffer, request: http.IncomingMessage, input: Record<string, unknown>) {
  const action = String(request.headers['x-amz-target']).replace('TrentService.', '');
  kms.requests.push(`${action} ${JSON.stringify(input.EncryptionContext)}`);
  if (kms.refusal !== undefined) return failure(kms.refusal);
  if (input.KeyId !== KMS_ARN) return failure('NotFoundException');
  const aad = Buffer.from(JSON.stringify(input.EncryptionContext));
  if (action === 'Encrypt') {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad);
    const plaintext = Buffer.from(String(input.Plaintext), 'base64');
    const sealed = Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
    return { status: 200, output: { CiphertextBlob: sealed.toString('base64'), KeyId: KMS_ARN } };
  }
  try {
    const sealed = Buffer.from(String(input.CiphertextBlob), 'base64');
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12)).setAAD(aad);
    decipher.setAuthTag(sealed.subarray(-16));
    const plaintext = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
    kms.plaintexts.push(plaintext);
    return { status: 200, output: { Plaintext: plaintext.toString('base64'), KeyId: KMS_ARN } };
  } catch {
    return failure('InvalidCiphertextException');
  }
}
