/**
 * The root key, encrypted by the transit engine of OpenBao or HashiCorp Vault
 * (https://openbao.org/api-docs/secret/transit/#encrypt-data). The engine's key never leaves the service.
 */
import { readFileSync } from 'node:fs';
import { KEY_SERVICE_RETRY_MS } from '../../contract/limits.ts';
import type { Secret } from '../../contract/secret.ts';
import { parseStrictJson } from '../../io/strict_json.ts';
import {
  KEY_SERVICE_LIMITS,
  keyServiceDenied,
  keyServiceUnreachable,
  type SendRequest,
  trialSeal,
  withRetries,
} from './key_service.ts';
import type { ExternalRootKey, SealedRootKey } from './root_key.ts';

/** The token of a request: fixed, in a file that another program renews, or of a login with a Kubernetes service account. */
export type TransitLogin =
  | { readonly kind: 'token'; readonly token: Secret }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'kubernetes'; readonly role: string; readonly path: string };

export interface TransitSettings {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly mount: string;
  /** Of the key in the engine. */
  readonly name: string;
  readonly namespace: string | undefined;
  /** Undefined: no token is set. */
  readonly login: TransitLogin | undefined;
}

const SERVICE = 'The transit engine';
const CHECK_TOKEN =
  'Check the token (KEYHOLD_TRANSIT_TOKEN, KEYHOLD_TRANSIT_TOKEN_FILE or VAULT_TOKEN): it may have expired, and its policy needs `update` on MOUNT/encrypt/NAME and MOUNT/decrypt/NAME.';
const CHECK_ACCOUNT =
  'Check that the pod mounts the token of its service account (automountServiceAccountToken), or unset KEYHOLD_TRANSIT_KUBERNETES_ROLE and set KEYHOLD_TRANSIT_TOKEN_FILE.';
const CHECK_LOGIN =
  'Check that the auth method kubernetes is enabled at auth/kubernetes, that the role of KEYHOLD_TRANSIT_KUBERNETES_ROLE exists there, and that the service account of this pod, its namespace and the audience of its token are those of the role.';
const CHECK_ROLE =
  'Check the policies of the role of KEYHOLD_TRANSIT_KUBERNETES_ROLE: they need `update` on MOUNT/encrypt/NAME and MOUNT/decrypt/NAME.';
const CHECK_KEY =
  'Check that the mount and the key of KEYHOLD_ROOT_KEY exist, that the key is of a type with associated data (aes256-gcm96 is the default) and that min_decryption_version permits the version that sealed the root key.';
const CHECK_SERVER =
  'Check that the server runs and is unsealed, its address in KEYHOLD_ROOT_KEY, and for a private certificate authority KEYHOLD_EGRESS_CA.';
/** A request, with the remedies if the server refuses it. */
interface Target {
  readonly path: string;
  /** What a status of 401 or 403 refuses. */
  readonly credential: string;
  /** After 401 or 403. */
  readonly check_access: string;
  /** After any other final status. */
  readonly check_path: string;
}

const LOGIN: Target = {
  path: 'auth/kubernetes/login',
  credential: 'the login of the service account',
  check_access: CHECK_LOGIN,
  check_path: CHECK_LOGIN,
};
/** A header value. */
const TOKEN_PATTERN = /^[\x21-\x7e]{1,8192}$/;
const CIPHERTEXT_PATTERN = /^vault:v[0-9]{1,9}:[A-Za-z0-9+/=]{1,2048}$/;

export class TransitKey implements ExternalRootKey {
  readonly kind = 'transit';
  readonly #settings: TransitSettings;
  readonly #send: SendRequest;
  readonly #retry_ms: number;

  /** `retry_ms`: see `withRetries`. */
  constructor(settings: TransitSettings, send: SendRequest, retry_ms: number = KEY_SERVICE_RETRY_MS) {
    this.#settings = settings;
    this.#send = send;
    this.#retry_ms = retry_ms;
  }

  /** `MOUNT/NAME`: the address of the server may change. */
  get ref(): string {
    return `${this.#settings.mount}/${this.#settings.name}`;
  }

  selects(ref: string): boolean {
    return ref === this.ref;
  }

  check(): Promise<void> {
    return trialSeal(this);
  }

  async seal(root_key: Buffer, root_key_id: Buffer): Promise<SealedRootKey> {
    const ciphertext = await this.#run('encrypt', { plaintext: root_key.toString('base64') }, root_key_id);
    if (typeof ciphertext !== 'string' || !CIPHERTEXT_PATTERN.test(ciphertext)) throw unexpected();
    return { ref: this.ref, sealed: Buffer.from(ciphertext, 'latin1') };
  }

  async open({ sealed }: SealedRootKey, root_key_id: Buffer): Promise<Buffer> {
    const ciphertext = sealed?.toString('latin1') ?? '';
    const plaintext = await this.#run('decrypt', { ciphertext }, root_key_id);
    if (typeof plaintext !== 'string') throw unexpected();
    return Buffer.from(plaintext, 'base64');
  }

  async discard(): Promise<void> {
    // The service keeps no root key.
  }

  /** Returns the ciphertext or the plaintext of the response. */
  #run(action: 'encrypt' | 'decrypt', input: object, root_key_id: Buffer): Promise<unknown> {
    const { mount, name, login } = this.#settings;
    const target: Target = {
      path: `${mount}/${action}/${name}`,
      credential: 'the token',
      check_access: login?.kind === 'kubernetes' ? CHECK_ROLE : CHECK_TOKEN,
      check_path: CHECK_KEY,
    };
    const body = { ...input, associated_data: root_key_id.toString('base64') };
    return withRetries(async () => {
      const token = await this.#token();
      const data = Reflect.get(await this.#request(target, body, token), 'data');
      const part = action === 'encrypt' ? 'ciphertext' : 'plaintext';
      return typeof data === 'object' && data !== null ? Reflect.get(data, part) : undefined;
    }, this.#retry_ms);
  }

  async #token(): Promise<string> {
    const { login } = this.#settings;
    if (login === undefined) throw keyServiceDenied(SERVICE, 'needs a token', CHECK_TOKEN);
    if (login.kind === 'token') return checkedToken(login.token.reveal(), CHECK_TOKEN);
    const remedy = login.kind === 'file' ? CHECK_TOKEN : CHECK_ACCOUNT;
    const text = checkedToken(readTokenFile(login.path, remedy), remedy);
    if (login.kind === 'file') return text;
    const response = await this.#request(LOGIN, { role: login.role, jwt: text });
    const auth = Reflect.get(response, 'auth');
    const token = typeof auth === 'object' && auth !== null ? Reflect.get(auth, 'client_token') : undefined;
    return checkedToken(typeof token === 'string' ? token : '', CHECK_LOGIN);
  }

  async #request(target: Target, body: object, token?: string): Promise<object> {
    const { origin, namespace } = this.#settings;
    const headers = {
      'content-type': 'application/json',
      'x-vault-request': 'true',
      ...(token === undefined ? {} : { 'x-vault-token': token }),
      ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
    };
    const request = { method: 'POST', headers, body: Buffer.from(JSON.stringify(body)) };
    const sent = this.#send(`${origin}/v1/${target.path}`, request, KEY_SERVICE_LIMITS);
    const response = await sent.catch((error) => {
      const reason = error instanceof Error ? ` (${error.message})` : '';
      throw keyServiceUnreachable(SERVICE, `cannot be reached${reason}`, CHECK_SERVER);
    });
    if (response.status !== 200) throw refusal(response.status, target);
    const parsed = parseStrictJson(response.body.toString());
    if ('value' in parsed && typeof parsed.value === 'object' && parsed.value !== null) return parsed.value;
    throw unexpected();
  }
}

/** 412, 429 and 5xx are temporary: sealed, a standby that is behind, overloaded. */
function refusal(status: number, { credential, check_access, check_path }: Target) {
  const problem = `responded with the status ${status}`;
  if (status === 401 || status === 403)
    return keyServiceDenied(SERVICE, `refused ${credential} (${status})`, check_access);
  if (status === 412 || status === 429 || status >= 500)
    return keyServiceUnreachable(SERVICE, problem, CHECK_SERVER);
  return keyServiceDenied(SERVICE, problem, check_path);
}

function unexpected() {
  return keyServiceUnreachable(SERVICE, 'sent an unexpected response', CHECK_SERVER);
}

/** Read for each request, so that a renewed token needs no restart. */
function readTokenFile(path: string, remedy: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw keyServiceDenied(SERVICE, 'needs a token, whose file cannot be read', remedy);
  }
}

function checkedToken(text: string, remedy: string): string {
  const token = text.trim();
  if (TOKEN_PATTERN.test(token)) return token;
  throw keyServiceDenied(SERVICE, 'needs a token of one line of visible characters', remedy);
}
