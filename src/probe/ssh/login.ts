/**
 * Logs in to an SSH server over a socket that is open. The host key is verified before anything of the credential is sent. Only
 * a password and a private key are used: no agent, no forwarding, no other method.
 */
import type { Socket } from 'node:net';
import type { AlgorithmList, Client, KexAlgorithm, ServerHostKeyAlgorithm } from 'ssh2';
import { SSH_LOGIN_TIMEOUT_MS } from '../../contract/limits.ts';
import type { TestReason } from '../../contract/use/test_result.ts';
import { findingOf } from '../failures.ts';
import type { Finding } from '../probe.ts';
import { SshAuthentication, type SshCredential, type SshFailure } from './authentication.ts';
import { type HostKey, hostKeyOf } from './host_key.ts';

export interface SshLoginRequest extends SshCredential {
  /** Of the host key; `undefined`: any key is accepted. */
  readonly fingerprint: string | undefined;
  readonly algorithms: ServerHostKeyAlgorithm[];
}

export interface SshLogin {
  /** Logged in unless there is a failure. It emits no error that is not handled. */
  readonly client: Client;
  readonly failure: SshFailure | undefined;
  /** As far as the server came. */
  readonly host_key: HostKey | undefined;
  /** Name and version of the server's software. */
  readonly software: string | undefined;
  readonly checked: readonly string[];
}

/** By the reason code of a disconnection (RFC 4253, section 11.1). */
const REASON_OF_DISCONNECT: ReadonlyMap<unknown, TestReason> = new Map([
  [7, 'service_failed'],
  [12, 'rate_limited'],
]);
/** Only after the key exchange: before it anybody on the way can send them, and no credential was judged. */
const REFUSAL_OF_DISCONNECT: ReadonlyMap<unknown, TestReason> = new Map([
  [14, 'refused_credentials'],
  [15, 'refused_credentials'],
]);
/**
 * Without a group that the server chooses: Node.js tests whether its modulus is prime, which blocks the process for seconds.
 * Old servers have group 14 with SHA-1 (RFC 4253, section 8.2) instead.
 */
const KEY_EXCHANGE: AlgorithmList<KexAlgorithm> = {
  remove: ['diffie-hellman-group-exchange-sha256'],
  append: ['diffie-hellman-group14-sha1'],
  prepend: [],
};
const EXPIRED: SshFailure = { reason: 'expired', detail: 'The server requires a new password.' };
const NOT_SSH: SshFailure = { reason: 'unreachable' };
const CLOSED: SshFailure = {
  reason: 'unexpected_response',
  detail: 'The server closed the connection during the login.',
};
const NO_HANDSHAKE: SshFailure = {
  reason: 'unexpected_response',
  detail: 'The SSH handshake with the server failed.',
};

/** Resolves once; the client stays usable if there is no failure. The caller closes the socket. */
export async function logIn(socket: Socket, request: SshLoginRequest): Promise<SshLogin> {
  const { default: ssh2 } = await import('ssh2');
  return new Promise((resolve) => {
    const client = new ssh2.Client();
    const authentication = new SshAuthentication(request);
    let host_key: HostKey | undefined;
    let is_other_key = false;
    let is_encrypted = false;
    const end = (failure: SshFailure | undefined) => {
      if (failure !== undefined) socket.destroy();
      const software = softwareOf(client);
      const checked = [
        ...(software === undefined ? [] : ['connection']),
        ...(is_encrypted || is_other_key ? ['host key'] : []),
        ...(failure === undefined || authentication.failure !== undefined ? ['login'] : []),
      ];
      resolve({ client, failure, host_key, software, checked });
    };
    const explain = (error: SshError): SshFailure => {
      if (error.level === 'client-timeout') return { reason: 'timed_out' };
      if (is_other_key) return { reason: 'host_key_changed' };
      if (softwareOf(client) === undefined) return withDefault(findingOf(error), NOT_SSH);
      if (error.level === 'client-authentication') return authentication.failure ?? CLOSED;
      // The library sets the reason code of a disconnection.
      if (typeof error.code === 'number')
        return {
          reason:
            REASON_OF_DISCONNECT.get(error.code) ??
            (is_encrypted ? REFUSAL_OF_DISCONNECT.get(error.code) : undefined) ??
            'unexpected_response',
          server_message: error.message,
        };
      return withDefault(findingOf(error), is_encrypted ? CLOSED : NO_HANDSHAKE);
    };
    // It stays: an error without a listener would end the process.
    client.on('error', (error: SshError) => end(explain(error)));
    client.on('close', () => end(explain(new Error('closed'))));
    client.on('ready', () => end(undefined));
    client.on('handshake', () => {
      is_encrypted = true;
    });
    client.on('change password', () => {
      authentication.fail(EXPIRED);
      end(EXPIRED);
    });
    authentication.onFailure = end;
    client.connect({
      sock: socket,
      username: request.username,
      ident: 'Keyhold',
      readyTimeout: SSH_LOGIN_TIMEOUT_MS,
      algorithms: { serverHostKey: request.algorithms, compress: ['none'], kex: KEY_EXCHANGE },
      // Also called when keys are exchanged again.
      hostVerifier: (blob: Buffer) => {
        const presented = hostKeyOf(blob);
        is_other_key = presented.fingerprint !== (request.fingerprint ?? (host_key ?? presented).fingerprint);
        host_key = presented;
        return !is_other_key;
      },
      authHandler: authentication.handler,
    });
  });
}

interface SshError extends Error {
  readonly level?: string;
  readonly code?: unknown;
}

/** The library has it in a private property only. */
function softwareOf(client: Client): string | undefined {
  const software: unknown = Reflect.get(client, '_remoteVer');
  return typeof software === 'string' ? software : undefined;
}

function withDefault({ reason }: Finding, fallback: SshFailure): SshFailure {
  return reason === 'unexpected_response' ? fallback : { reason };
}
