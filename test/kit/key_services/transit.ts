/**
 * A server with the requests of the transit engine of OpenBao and HashiCorp Vault that Keyhold sends, with their status codes and
 * bodies, and AES-256-GCM under keys that stay in the server. It is no OpenBao: Debian and npm have none.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface TransitServer {
  /** KEYHOLD_ROOT_KEY for the key `NAME`, which exists: `keyhold`, `other`. */
  setting(name?: string): string;
  /** Tokens by their text. A policy lists actions. */
  readonly tokens: Map<string, readonly ('encrypt' | 'decrypt')[]>;
  /** Refuses every request with 503, as a sealed server does. */
  sealed: boolean;
  /** Roles and service account tokens that may log in. */
  readonly kubernetes: Map<string, string>;
  /** Whether the auth method is enabled. */
  has_kubernetes: boolean;
  /** Of the tokens of logins. */
  login_policy: readonly ('encrypt' | 'decrypt')[];
  /** Path and namespace of every request. */
  readonly requests: string[];
  readonly keys: Map<string, Buffer>;
  /** Decrypted, in the order of the requests. */
  readonly plaintexts: Buffer[];
  stop(): Promise<void>;
  /** Listens again, on the same port. */
  start(): Promise<void>;
}

/** `token`: may encrypt and decrypt. Ends with the test. */
export async function startTransit(token = 'hvs.test-token-0123456789'): Promise<TransitServer> {
  let port = 0;
  let server = http.createServer();
  const transit: TransitServer = {
    setting: (name = 'keyhold') => `transit:http://127.0.0.1:${port}/team/transit/${name}`,
    tokens: new Map([[token, ['encrypt', 'decrypt']]]),
    sealed: false,
    kubernetes: new Map(),
    has_kubernetes: true,
    login_policy: ['encrypt', 'decrypt'],
    requests: [],
    plaintexts: [],
    keys: new Map(['keyhold', 'other'].map((name) => [name, randomBytes(32)])),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    async start() {
      server = http.createServer((request, response) => void handle(transit, request, response));
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
      port = (server.address() as AddressInfo).port;
    },
  };
  await transit.start();
  onTestFinished(() => transit.stop());
  return transit;
}

async function handle(transit: TransitServer, request: http.IncomingMessage, response: http.ServerResponse) {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const path = request.url ?? '';
  transit.requests.push(`${path} ${request.headers['x-vault-namespace'] ?? ''}`.trim());
  const { status, body } = respond(transit, request, path, chunks);
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function respond(transit: TransitServer, request: http.IncomingMessage, path: string, chunks: Buffer[]) {
  const error = (status: number, text: string) => ({ status, body: { errors: [text] } });
  if (transit.sealed) return error(503, 'Vault is sealed');
  if (request.method !== 'POST') return error(405, 'unsupported operation');
  const input = JSON.parse(Buffer.concat(chunks).toString() || '{}') as Record<string, string>;
  if (path === '/v1/auth/kubernetes/login' && transit.has_kubernetes) {
    if (transit.kubernetes.get(input.role ?? '') !== input.jwt) return error(403, 'permission denied');
    const client_token = `hvs.login-${randomBytes(12).toString('hex')}`;
    transit.tokens.set(client_token, transit.login_policy);
    return { status: 200, body: { auth: { client_token, lease_duration: 3600 } } };
  }
  const [, action, name = ''] = /^\/v1\/team\/transit\/(encrypt|decrypt)\/([\w.-]+)$/.exec(path) ?? [];
  if (action !== 'encrypt' && action !== 'decrypt') return error(404, 'no handler for route');
  const token = request.headers['x-vault-token'];
  const policy = typeof token === 'string' ? transit.tokens.get(token) : undefined;
  if (policy?.includes(action) !== true) return error(403, 'permission denied');
  const key = transit.keys.get(name);
  if (key === undefined) return error(400, 'encryption key not found');
  const aad = Buffer.from(input.associated_data ?? '', 'base64');
  if (action === 'encrypt') {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad);
    const sealed = Buffer.concat([
      nonce,
      cipher.update(Buffer.from(input.plaintext ?? '', 'base64')),
      cipher.final(),
    ]);
    const ciphertext = `vault:v1:${Buffer.concat([sealed, cipher.getAuthTag()]).toString('base64')}`;
    return { status: 200, body: { data: { ciphertext, key_version: 1 } } };
  }
  try {
    const sealed = Buffer.from((input.ciphertext ?? '').replace(/^vault:v1:/, ''), 'base64');
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12)).setAAD(aad);
    decipher.setAuthTag(sealed.subarray(-16));
    const plaintext = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
    transit.plaintexts.push(plaintext);
    return { status: 200, body: { data: { plaintext: plaintext.toString('base64') } } };
  } catch {
    return error(400, 'cipher: message authentication failed');
  }
}
