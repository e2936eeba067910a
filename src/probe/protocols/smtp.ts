/**
 * Tests a login over SMTP (RFC 5321, RFC 4954), with TLS from the start or STARTTLS (RFC 3207). Sends no mail, and no password
 * without TLS, except to a private address that the operator allows if the server offers no STARTTLS.
 */
import type SmtpConnection from 'nodemailer/lib/smtp-connection';
import { TEST_TIMEOUT_MS } from '../../contract/limits.ts';
import type { TestReason } from '../../contract/use/test_result.ts';
import { findingOf } from '../failures.ts';
import type { Finding, Probe } from '../probe.ts';
import { encryptionOf } from '../probe_socket.ts';

const DEFAULT_PORT = 587;
/** An address literal, as RFC 5321 section 4.1.4 wants it of a client without a name; the name of this machine is not sent. */
const CLIENT_NAME = '[127.0.0.1]';

/** Reply codes to AUTH: RFC 4954 section 6, and 530 and 534 as large providers use them for refused logins. */
const REASON_OF_AUTH_REPLY: ReadonlyMap<number, TestReason> = new Map([
  [530, 'refused_credentials'],
  [534, 'refused_credentials'],
  [535, 'refused_credentials'],
  [538, 'tls_unavailable'],
]);

export const probeSmtp: Probe = async (parameters, network) => {
  const [host, username, password] = (['host', 'username', 'password'] as const).map((name) =>
    parameters.get(name)?.reveal(),
  );
  if (host === undefined || !username || !password) return { reason: 'not_testable', checked: [] };
  const port = Number(parameters.get('port')?.reveal() ?? DEFAULT_PORT);
  const tls = parameters.get('tls')?.reveal() === 'tls';
  const { socket, is_public } = await network.connect({ host, port, tls });
  const { default: Connection } = await import('nodemailer/lib/smtp-connection');
  const connection: SmtpConnection = new Connection({
    connection: socket,
    host,
    port,
    secure: tls,
    secured: tls,
    // False: STARTTLS is used if the server offers it.
    requireTLS: is_public,
    tls: network.tlsOptions(host),
    name: CLIENT_NAME,
    connectionTimeout: TEST_TIMEOUT_MS,
    greetingTimeout: TEST_TIMEOUT_MS,
    socketTimeout: TEST_TIMEOUT_MS,
    socketCloseTimeout: 0,
  });
  const failed = new Promise<never>((_, reject) => {
    connection.on('error', reject);
    connection.on('end', () => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })));
  });
  failed.catch(() => undefined);
  const run = (start: (done: (error?: Error | null) => void) => void) => {
    const done = new Promise<void>((resolve, reject) =>
      start((error) => (error ? reject(error) : resolve())),
    );
    return Promise.race([done, failed]);
  };
  const checked = ['connection'];
  try {
    await run((done) => connection.connect(done));
    const facts = factsOf(connection);
    if (!connection.allowsAuth)
      return { reason: 'unexpected_response', checked, facts, detail: 'The server offers no login.' };
    checked.push('login');
    await run((done) => connection.login({ user: username, pass: password }, done));
    connection.quit();
    return { reason: 'accepted', checked, facts };
  } catch (error) {
    return smtpFinding(error, checked);
  } finally {
    connection.close();
  }
};

function factsOf({ secure, _socket, lastServerResponse }: SmtpConnection): Record<string, string> {
  // The reply to EHLO begins with the name of the server.
  const [, server] = /^250[ -](\S+)/.exec(lastServerResponse || '') ?? [];
  return {
    tls: secure && _socket ? encryptionOf(_socket) : 'none',
    ...(server === undefined ? {} : { server }),
  };
}

/** By the code of the reply, or that of the socket. */
function smtpFinding(error: unknown, checked: readonly string[]): Finding {
  if (!(error instanceof Error)) return findingOf(error, checked);
  const [code, original, command, status, response] = [
    'code',
    'originalCode',
    'command',
    'responseCode',
    'response',
  ].map((name) => Reflect.get(error, name) as unknown);
  const server_message = typeof response === 'string' ? response : undefined;
  if (command === 'STARTTLS' && typeof status === 'number')
    return { reason: 'tls_unavailable', checked, server_message };
  if (typeof status === 'number') {
    const is_login = String(command).startsWith('AUTH');
    const reason = temporaryReason(status, server_message) ?? (is_login && REASON_OF_AUTH_REPLY.get(status));
    return { reason: reason || 'unexpected_response', checked, server_message };
  }
  if (typeof original === 'string') return findingOf(Object.assign(new Error(), { code: original }), checked);
  if (code === 'ECONNECTION') return { reason: 'unreachable', checked };
  return findingOf(error, checked);
}

/** 4xx: RFC 5321 section 4.2.1. A 421 for reasons of policy (enhanced code 4.7, RFC 3463) limits connections or logins. */
function temporaryReason(status: number, response = ''): TestReason | undefined {
  if (status < 400 || status > 499) return undefined;
  return /^421[ -]4\.7\.\d|^4\d\d[ -]4\.7\.28\b/.test(response) ? 'rate_limited' : 'service_failed';
}
