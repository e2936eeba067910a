/** Tests of IMAP credentials: against Dovecot, and against servers that follow a script. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CAN_RUN_DOVECOT, type DovecotServer, IMAP_USER, startDovecot } from '../kit/servers/dovecot.ts';
import { startSmtp } from '../kit/servers/smtp.ts';
import { HOST, listenScripted, testCredential } from './connection_kit.ts';

const PASSWORD = 'imap-pa55"word\\';
const encoded = Buffer.from(`\0${IMAP_USER}\0${PASSWORD}`).toString('base64');

const testImap = (port: number, fields: Readonly<Record<string, string>> = {}) =>
  testCredential(
    'smtp',
    { imap_host: HOST, imap_port: String(port), username: IMAP_USER, password: PASSWORD, ...fields },
    [PASSWORD, encoded],
  );

/** A server with TLS that greets and sends these lines, one for each that it receives. */
const listenLines = (greeting: string, lines: readonly string[]) => {
  return listenScripted((socket) => {
    const queue = [...lines];
    socket.write(`${greeting}\r\n`);
    socket.on('data', () => socket.write(`${queue.shift() ?? ''}\r\n`));
  }, true);
};
const CAPABILITIES = '* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nk1 OK done';

test.each([
  ['NO [UNAVAILABLE] try later', 'service_failed'],
  ['NO [LIMIT] too many logins', 'rate_limited'],
  ['NO [NEWCODE] of a later RFC', 'unexpected_response'],
  ['NO [ALERT] Too many simultaneous connections', 'unexpected_response'],
  ['BAD unknown command', 'unexpected_response'],
])('a test of a mailbox over IMAP is unknown for the response %j to the login', async (response, reason) => {
  const server = await listenLines('* OK ready', [CAPABILITIES, '+ ', `k2 ${response}`]);
  expect(await testImap(server.port)).toMatchObject({ result: 'unknown', reason });
});

test.each([
  ['* BYE too many connections', [], 'service_failed'],
  ['220 mail.example.com ESMTP', [], 'unexpected_response'],
  ['* OK ready', ['* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nk1 OK done'], 'unexpected_response'],
  ['* OK ready', [CAPABILITIES, '* BYE shutting down'], 'service_failed'],
  ['* OK ready', ['* 1 EXISTS\r\n'.repeat(1_000)], 'unexpected_response'],
])('a test of a mailbox over IMAP sends no password after %j and %j', async (greeting, lines, reason) => {
  const server = await listenLines(greeting, lines);
  expect(await testImap(server.port)).toMatchObject({ result: 'unknown', reason });
  expect(server.received()).not.toContain(encoded);
});

test.each(['k2 OK logged in', 'k2 NO this mechanism is not available'])(
  'a test of a mailbox over IMAP is unknown for %j before the password was sent',
  async (response) => {
    const server = await listenLines('* OK ready', [CAPABILITIES, response]);
    expect(await testImap(server.port)).toMatchObject({ result: 'unknown', reason: 'unexpected_response' });
    expect(server.received()).not.toContain(encoded);
  },
);

test('a test of a mailbox over IMAP sends nothing to a port without TLS', async () => {
  const server = await listenScripted((socket) => socket.write('* OK ready\r\n'));
  expect(await testImap(server.port)).toMatchObject({ result: 'unknown', reason: 'tls_unavailable' });
  expect(server.received()).not.toContain('k1');
});

test.each([
  ['NO [EXPIRED] change it', 'expired'],
  ['NO [AUTHENTICATIONFAILED] wrong', 'refused_credentials'],
  ['NO [AUTHORIZATIONFAILED] disabled', 'login_not_allowed'],
  ['NO wrong', 'refused_credentials'],
])('a test of a mailbox over IMAP is invalid for the response %j to the login', async (response, reason) => {
  const server = await listenLines('* OK ready', [CAPABILITIES, '+ ', `k2 ${response}`]);
  expect(await testImap(server.port)).toMatchObject({ result: 'invalid', reason });
});

test('a test of a mailbox over IMAP uses LOGIN with quoted strings if the server does not offer PLAIN', async () => {
  const server = await listenLines('* OK ready', ['* CAPABILITY IMAP4rev1\r\nk1 OK done', 'k2 OK logged in']);
  expect(await testImap(server.port)).toMatchObject({ result: 'valid' });
  expect(server.received()).toContain(`k2 LOGIN "${IMAP_USER}" "imap-pa55\\"word\\\\"\r\n`);
});

describe.skipIf(!CAN_RUN_DOVECOT)('a test of a mailbox with Dovecot', () => {
  let server: DovecotServer;
  beforeAll(async () => {
    server = await startDovecot(PASSWORD);
  }, 30_000);
  afterAll(() => server.stop());

  test('is invalid for a wrong password', async () => {
    expect(await testImap(server.port, { password: 'wrong' })).toMatchObject({
      result: 'invalid',
      reason: 'refused_credentials',
      message: expect.stringContaining('AUTHENTICATIONFAILED'),
    });
  });

  test('is invalid if SMTP accepts the password and IMAP refuses it', async () => {
    const password = 'of-smtp-only';
    const smtp = await startSmtp(password);
    const fields = { smtp_host: HOST, smtp_port: String(smtp.port), password };
    expect(await testImap(server.port, fields)).toMatchObject({ result: 'invalid' });
    expect(smtp.logins).toHaveLength(1);
  });

  test('is valid for the right password', async () => {
    expect(await testImap(server.port)).toMatchObject({
      result: 'valid',
      reason: 'accepted',
      checked: ['connection', 'login'],
      facts: { tls: 'TLSv1.3' },
    });
  });
});
