/**
 * The root key, encrypted by AWS KMS with AWS's own client, which finds credentials as all clients of AWS do: environment, shared
 * files, SSO, web identity, container, instance. Its requests go over the connections of the program, except those for
 * credentials of SSO, a container or an instance. The KMS key never leaves the service.
 */
import type * as Kms from '@aws-sdk/client-kms';
import { VaultError } from '../../contract/errors.ts';
import { KEY_SERVICE_RETRY_MS } from '../../contract/limits.ts';
import { isConnectionHeader } from '../../contract/use/rules.ts';
import {
  KEY_SERVICE_LIMITS,
  keyServiceDenied,
  keyServiceUnreachable,
  type SendRequest,
  trialSeal,
  withRetries,
} from './key_service.ts';
import type { ExternalRootKey, SealedRootKey } from './root_key.ts';

export interface AwsKmsSettings {
  /** Of a key or an alias. */
  readonly arn: string;
  readonly region: string;
}

/** The parts of `HttpRequest` of AWS's client that its requests to KMS and STS have: POST requests without a query. */
interface AwsRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

const SERVICE = 'AWS KMS';
const CHECK_KEY =
  'Check that the key of KEYHOLD_ROOT_KEY exists and is enabled, that its policy or an IAM policy permits kms:Encrypt and kms:Decrypt to this caller, and the AWS credentials of this process (`aws sts get-caller-identity`).';
const CHECK_NETWORK =
  'Check the network, the state of the service, and AWS_ENDPOINT_URL_KMS if it is set; for a private certificate authority KEYHOLD_EGRESS_CA.';
/** Temporary, although their status is 4xx. `TimeoutError` and others without a status are too. */
const TEMPORARY = new Set([
  'ThrottlingException',
  'KeyUnavailableException',
  'RequestTimeout',
  'RequestTimeTooSkewed',
]);
/** No request was sent. */
const NO_CREDENTIALS = new Set(['CredentialsProviderError', 'TokenProviderError']);

export class AwsKmsKey implements ExternalRootKey {
  readonly kind = 'aws-kms';
  readonly #settings: AwsKmsSettings;
  readonly #sendRequest: SendRequest;
  readonly #retry_ms: number;
  #client: Kms.KMSClient | undefined;

  /** `retry_ms`: see `withRetries`. */
  constructor(settings: AwsKmsSettings, sendRequest: SendRequest, retry_ms: number = KEY_SERVICE_RETRY_MS) {
    this.#settings = settings;
    this.#sendRequest = sendRequest;
    this.#retry_ms = retry_ms;
  }

  /** A multi-region key is the same one in each region. */
  selects(ref: string): boolean {
    const { arn } = this.#settings;
    return ref === arn || (/:key\/mrk-/.test(arn) && withoutRegion(ref) === withoutRegion(arn));
  }

  check(): Promise<void> {
    return trialSeal(this);
  }

  async seal(root_key: Buffer, root_key_id: Buffer): Promise<SealedRootKey> {
    const { arn: KeyId } = this.#settings;
    const input = { KeyId, Plaintext: root_key, EncryptionContext: contextOf(root_key_id) };
    const { CiphertextBlob } = await this.#send((kms, client) => client.send(new kms.EncryptCommand(input)));
    if (CiphertextBlob === undefined) throw unexpected();
    return { ref: KeyId, sealed: Buffer.from(CiphertextBlob) };
  }

  async open({ sealed = Buffer.alloc(0) }: SealedRootKey, root_key_id: Buffer): Promise<Buffer> {
    const { arn: KeyId } = this.#settings;
    const input = { KeyId, CiphertextBlob: sealed, EncryptionContext: contextOf(root_key_id) };
    const { Plaintext } = await this.#send((kms, client) => client.send(new kms.DecryptCommand(input)));
    if (Plaintext === undefined) throw unexpected();
    return Buffer.from(Plaintext);
  }

  async discard(): Promise<void> {
    // The service keeps no root key.
  }

  async #send<Output>(send: (kms: typeof Kms, client: Kms.KMSClient) => Promise<Output>): Promise<Output> {
    // Loaded late: it is large, and other sources need none of it.
    const kms = await import('@aws-sdk/client-kms');
    this.#client ??= new kms.KMSClient({
      region: this.#settings.region,
      maxAttempts: 1,
      requestHandler: { handle: (request: AwsRequest) => this.#handle(request) },
    });
    const client = this.#client;
    return withRetries(async () => {
      try {
        return await send(kms, client);
      } catch (error) {
        throw toKeyServiceError(error);
      }
    }, this.#retry_ms);
  }

  /** `requestHandler` of AWS's client, which uses it for STS too. */
  async #handle(request: AwsRequest) {
    const { method, headers, body } = request;
    const allowed = Object.entries(headers).filter(([name]) => !isConnectionHeader(name));
    const sent = { method, headers: Object.fromEntries(allowed), body: bytesOf(body) };
    const response = await this.#sendRequest(urlOf(request), sent, KEY_SERVICE_LIMITS);
    return { response: { statusCode: response.status, headers: response.headers, body: response.body } };
  }
}

/** Not `Buffer.from` of an array: AWS's client warns about `valueOf` of its own, which that calls. */
function bytesOf(body: AwsRequest['body']): Buffer | undefined {
  if (body === undefined) return undefined;
  return typeof body === 'string'
    ? Buffer.from(body)
    : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

function urlOf({ protocol, hostname, port, path }: AwsRequest): string {
  return `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`;
}

/** Authenticated with the root key, and in the log of AWS CloudTrail. */
function contextOf(root_key_id: Buffer): Record<string, string> {
  return { keyhold_root_key_id: root_key_id.toString('hex') };
}

function withoutRegion(arn: string): string {
  return arn.split(':').toSpliced(3, 1).join(':');
}

/** Names the error of AWS, which has a fixed name; its message may quote the request. */
function toKeyServiceError(error: unknown) {
  if (error instanceof VaultError)
    return keyServiceUnreachable(SERVICE, `cannot be reached (${error.message})`, CHECK_NETWORK);
  const name = error instanceof Error && /^[A-Za-z]{1,80}$/.test(error.name) ? error.name : 'Error';
  const metadata = error instanceof Error ? Reflect.get(error, '$metadata') : undefined;
  const status =
    typeof metadata === 'object' && metadata !== null ? Reflect.get(metadata, 'httpStatusCode') : undefined;
  if (NO_CREDENTIALS.has(name)) return keyServiceDenied(SERVICE, `needs credentials (${name})`, CHECK_KEY);
  const is_final = typeof status === 'number' && status >= 400 && status < 500 && status !== 429;
  if (is_final && !TEMPORARY.has(name))
    return keyServiceDenied(SERVICE, `refused the request (${name})`, CHECK_KEY);
  return keyServiceUnreachable(SERVICE, `cannot be reached (${name})`, CHECK_NETWORK);
}

function unexpected() {
  return keyServiceUnreachable(SERVICE, 'sent an unexpected response', CHECK_NETWORK);
}
