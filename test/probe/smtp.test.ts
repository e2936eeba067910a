/** Tests of SMTP credentials against a real server. */
import { expect, test } from 'vitest';
import { probeSmtp } from '../../src/probe/protocols/smtp.ts';
import { replyError, SMTP_USER, startSmtp } from '../kit/servers/smtp.ts';
import { issueCertificate } from '../kit/upstream/certificates.ts';
import { HOST, listenScripted, probeAsPublic, testCredential } from './connection_kit.ts';

const PASSWORD = 'smtp-pa55word-é';
const encoded = Buffer.from(`\0${SMTP_USER}\0${PASSWORD}`).toString('base64');
const SELF_SIGNED = await import('../kit/http/certificate.ts');

const testSmtp = (port: number, fields: Readonly<Record<string, string>> = {}) =>
  testCredential(
    'smtp',
    { smtp_host: HOST, smtp_port: String(port), username: SMTP_USER, password: PASSWORD, ...fields },
    [PASSWORD, encoded],
  );

/** A server that greets and offers `extensions`, and sends `replies` to the commands after EHLO. */
const listenReplies = (extensions: readonly string[], replies: readonly string[]) =>
  listenScripted((socket) => {
    const ehlo = ['mail.example.com', ...extensions].map(
      (line, at, all) => `250${at < all.length - 1 ? '-' : ' '}${line}`,
    );
    const queue = [ehlo.join('\r\n'), ...replies];
    socket.write('220 mail.example.com ESMTP\r\n');
    socket.on('data', () => socket.write(`${queue.shift() ?? '500 unexpected'}\r\n`));
  });

test('a test of a mailbox sends no password to a public server that offers no STARTTLS', async () => {
  const server = await listenReplies(['AUTH PLAIN'], ['502 command not implemented']);
  const parameters = { host: HOST, port: String(server.port), username: SMTP_USER, password: PASSWORD };
  expect(await probeAsPublic(probeSmtp, parameters)).toMatchObject({ reason: 'tls_unavailable' });
  expect(server.received()).not.toMatch(/AUTH/);
});

test('a test of a mailbox sends no password to a server whose STARTTLS fails', async () => {
  const server = await listenReplies(['STARTTLS', 'AUTH PLAIN'], ['454 4.7.0 TLS not available']);
  expect(await testSmtp(server.port)).toMatchObject({
    result: 'unknown',
    reason: 'tls_unavailable',
    message: expect.stringContaining('TLS not available'),
  });
  expect(server.received()).not.toMatch(/AUTH/);
});

test.each([
  ['certificate_wrong_host', issueCertificate(['other.example.com'])],
  ['certificate_expired', issueCertificate([HOST], [-20, -10])],
  ['certificate_untrusted', { cert: SELF_SIGNED.ISSUER_CERT, key: SELF_SIGNED.ISSUER_CERT_KEY }],
])('a test of a mailbox is unknown with %s, and no login is tried', async (reason, certificate) => {
  for (const smtp_security of ['starttls', 'tls']) {
    const server = await startSmtp(PASSWORD, { ...certificate, secure: smtp_security === 'tls' });
    expect(await testSmtp(server.port, { smtp_security })).toMatchObject({ result: 'unknown', reason });
    expect(server.logins).toEqual([]);
  }
});

test('a test of a mailbox is unknown for a port without TLS where the credential requires it', async () => {
  const server = await startSmtp(PASSWORD);
  expect(await testSmtp(server.port, { smtp_security: 'tls' })).toMatchObject({
    result: 'unknown',
    reason: 'tls_unavailable',
  });
});

test('a test of a mailbox is unknown for a server without a login', async () => {
  const server = await startSmtp(PASSWORD, { disabledCommands: ['AUTH'] });
  expect(await testSmtp(server.port)).toMatchObject({
    result: 'unknown',
    reason: 'unexpected_response',
    message: expect.stringContaining('The server offers no login.'),
  });
});

test.each([
  [454, '4.7.0 Temporary authentication failure', 'service_failed'],
  [421, '4.3.2 Shutting down', 'service_failed'],
  [421, '4.7.0 Too many logins', 'rate_limited'],
  [450, '4.7.28 Rate limit', 'rate_limited'],
  [504, '5.5.4 Unrecognized authentication type', 'unexpected_response'],
  [538, '5.7.11 Encryption required', 'tls_unavailable'],
])('a test of a mailbox is unknown for the reply %i %s to the login', async (code, text, reason) => {
  const server = await startSmtp(PASSWORD, {
    onAuth: (_auth, _session, done) => done(replyError(code, text)),
  });
  expect(await testSmtp(server.port)).toMatchObject({
    result: 'unknown',
    reason,
    message: expect.stringContaining(text),
  });
});

test('a test of a mailbox is unknown for a server that is too busy to greet', async () => {
  const server = await listenScripted((socket) => socket.end('421 4.7.0 Too many connections\r\n'));
  expect(await testSmtp(server.port)).toMatchObject({ result: 'unknown', reason: 'rate_limited' });
});

test('a test of a mailbox is unknown for a server that closes the connection', async () => {
  const server = await listenScripted((socket) => socket.end());
  expect(await testSmtp(server.port)).toMatchObject({ result: 'unknown', reason: 'unreachable' });
});

test.each([
  [535, '5.7.8 Authentication credentials invalid'],
  [534, '5.7.9 Application-specific password required'],
  [530, '5.7.0 Authentication required'],
])('a test of a mailbox is invalid for the reply %i %s to the login', async (code, text) => {
  const server = await startSmtp(PASSWORD, {
    onAuth: (_auth, _session, done) => done(replyError(code, text)),
  });
  expect(await testSmtp(server.port)).toMatchObject({
    result: 'invalid',
    reason: 'refused_credentials',
    checked: ['connection', 'login'],
    message: expect.stringContaining(text),
  });
});

test('a test of a mailbox is invalid for a wrong password, and a server that repeats it changes nothing', async () => {
  const server = await startSmtp('another', {
    onAuth: ({ password }, _session, done) => done(replyError(535, `wrong: ${password}`)),
  });
  const output = await testSmtp(server.port);
  expect(output).toMatchObject({ result: 'invalid', reason: 'refused_credentials' });
  expect(output.message).toContain('wrong: [');
});

test('a test of a mailbox is valid with STARTTLS, and begins no mail', async () => {
  const server = await startSmtp(PASSWORD);
  expect(await testSmtp(server.port)).toMatchObject({
    result: 'valid',
    reason: 'accepted',
    account: null,
    checked: ['connection', 'login'],
    facts: { tls: 'TLSv1.3', server: 'mail.example.com' },
  });
  expect(server.logins).toEqual([{ username: SMTP_USER, tls: true }]);
  expect(server.mails()).toBe(0);
});

test('a test of a mailbox is valid with TLS from the start', async () => {
  const server = await startSmtp(PASSWORD, { secure: true });
  expect(await testSmtp(server.port, { smtp_security: 'tls' })).toMatchObject({
    result: 'valid',
    facts: { tls: 'TLSv1.3' },
  });
});

test.each(['PLAIN', 'LOGIN', 'CRAM-MD5'])('a test of a mailbox is valid with AUTH %s', async (method) => {
  const server = await startSmtp(PASSWORD, {
    authMethods: [method],
    onAuth: (auth, _session, done) => {
      const is_right =
        auth.method === 'CRAM-MD5' ? auth.validatePassword(PASSWORD) : auth.password === PASSWORD;
      done(is_right ? null : replyError(535, 'wrong'), { user: 'ana' });
    },
  });
  expect(await testSmtp(server.port)).toMatchObject({ result: 'valid' });
});

test('a test of a mailbox is valid without TLS at a private address if the server offers no STARTTLS', async () => {
  const server = await startSmtp(PASSWORD, { hideSTARTTLS: true, allowInsecureAuth: true });
  expect(await testSmtp(server.port)).toMatchObject({ result: 'valid', facts: { tls: 'none' } });
  expect(server.logins).toEqual([{ username: SMTP_USER, tls: false }]);
});
