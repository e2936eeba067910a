/**
 * Tests a login over IMAP (RFC 9051) with TLS from the start. Written here, because the client libraries open their sockets
 * themselves. It logs in and out, and opens no mailbox.
 */
import type { TestReason } from '../../contract/use/test_result.ts';
import type { Finding, Probe } from '../probe.ts';
import { encryptionOf, SocketReader } from '../probe_socket.ts';
import { resultOf } from '../reasons.ts';

const DEFAULT_PORT = 993;
/** Before the response of a command. */
const UNTAGGED_LINES_MAX = 50;

/** By response code of a NO to the login (RFC 5530); empty: without a code. Other codes decide nothing. */
const REASON_OF_CODE: ReadonlyMap<string, TestReason> = new Map([
  ['', 'refused_credentials'],
  ['AUTHENTICATIONFAILED', 'refused_credentials'],
  ['AUTHORIZATIONFAILED', 'login_not_allowed'],
  ['EXPIRED', 'expired'],
  ['UNAVAILABLE', 'service_failed'],
  ['SERVERBUG', 'service_failed'],
  ['CONTACTADMIN', 'service_failed'],
  ['INUSE', 'rate_limited'],
  ['LIMIT', 'rate_limited'],
  ['PRIVACYREQUIRED', 'tls_unavailable'],
]);

export const probeImap: Probe = async (parameters, network) => {
  const [host, username, password] = (['host', 'username', 'password'] as const).map((name) =>
    parameters.get(name)?.reveal(),
  );
  if (host === undefined || !username || !password) return { reason: 'not_testable', checked: [] };
  const port = Number(parameters.get('port')?.reveal() ?? DEFAULT_PORT);
  const { socket } = await network.connect({ host, port, tls: true });
  const facts = { tls: encryptionOf(socket) };
  const reader = new SocketReader(socket);
  const greeting = await reader.line();
  if (greeting.startsWith('* BYE'))
    return { reason: 'service_failed', checked: ['connection'], server_message: greeting };
  if (!greeting.startsWith('* OK')) return { reason: 'unexpected_response', checked: [] };
  const capabilities = await send(socket, reader, 'k1', 'CAPABILITY');
  const offered = capabilities.lines.join(' ').toUpperCase();
  const checked = ['connection', 'login'];
  if (!offered.includes('AUTH=PLAIN') && offered.includes('LOGINDISABLED'))
    return {
      reason: 'unexpected_response',
      checked: ['connection'],
      facts,
      detail: 'The server offers no login.',
    };
  const response = offered.includes('AUTH=PLAIN')
    ? // RFC 4616.
      await send(socket, reader, 'k2', 'AUTHENTICATE PLAIN', base64(`\0${username}\0${password}`))
    : await send(socket, reader, 'k2', `LOGIN ${quoted(username)} ${quoted(password)}`);
  if (response.status === 'OK') socket.write('k3 LOGOUT\r\n');
  const finding = judge(response);
  if (response.is_sent || resultOf(finding.reason) === 'unknown') return { ...finding, checked, facts };
  const detail = 'The server sent its result before the password was sent.';
  return { reason: 'unexpected_response', checked: ['connection'], facts, detail };
};

interface ImapResponse {
  readonly status: string;
  /** The text after the status, which may begin with a code in brackets. */
  readonly text: string;
  /** Untagged lines before it. */
  readonly lines: readonly string[];
  /** Whether all of the command was sent. */
  readonly is_sent: boolean;
}

/** `continuation`: sent when the server requests more. */
async function send(
  socket: { write(text: string): unknown },
  reader: SocketReader,
  tag: string,
  command: string,
  continuation?: string,
): Promise<ImapResponse> {
  socket.write(`${tag} ${command}\r\n`);
  const lines: string[] = [];
  let rest = continuation;
  while (lines.length < UNTAGGED_LINES_MAX) {
    const line = await reader.line();
    const [, status, text = ''] = new RegExp(`^${tag} (OK|NO|BAD)(?: (.*))?$`, 'i').exec(line) ?? [];
    const is_sent = rest === undefined;
    if (status !== undefined) return { status: status.toUpperCase(), text, lines, is_sent };
    if (line.startsWith('* BYE')) return { status: 'BYE', text: line.slice(6), lines, is_sent };
    if (line.startsWith('+') && rest !== undefined) {
      socket.write(`${rest}\r\n`);
      rest = undefined;
    } else if (line.startsWith('* ')) lines.push(line);
    else break;
  }
  throw new Error('the response is not one of IMAP');
}

function judge({ status, text }: Pick<ImapResponse, 'status' | 'text'>): Omit<Finding, 'checked'> {
  if (status === 'OK') return { reason: 'accepted' };
  if (status === 'BYE') return { reason: 'service_failed', server_message: text };
  if (status !== 'NO') return { reason: 'unexpected_response', server_message: text };
  const [, code = ''] = /^\[([A-Z-]+)/i.exec(text) ?? [];
  return { reason: REASON_OF_CODE.get(code.toUpperCase()) ?? 'unexpected_response', server_message: text };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** A quoted string. */
function quoted(text: string): string {
  if (/[\r\n\0]/.test(text)) throw new Error('a control character cannot be sent');
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
