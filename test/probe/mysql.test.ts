/** Tests of MySQL credentials, against MariaDB with and without TLS, and against scripted servers. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { probeMysql } from '../../src/probe/protocols/mysql.ts';
import { type MariadbServer, NO_MARIADB, startMariadb } from '../kit/servers/mariadb.ts';
import { freePort } from '../kit/servers/ports.ts';
import { issueCertificate, selfSignedCertificate } from '../kit/upstream/certificates.ts';
import { HOST, listenScripted, probeAsPublic, testCredential } from './connection_kit.ts';

const PASSWORD = 'p4ss-canary-3e90';
const USERS = [
  'CREATE DATABASE shop',
  'CREATE DATABASE secrets',
  'CREATE TABLE shop.item (id int)',
  ...['app', 'reader', 'busy', 'banned', 'stale', 'secure'].map(
    (name) => `CREATE USER ${name} IDENTIFIED BY '${PASSWORD}'`,
  ),
  "CREATE USER remote@'192.0.2.1' IDENTIFIED BY 'other'",
  'GRANT ALL ON shop.* TO app',
  'GRANT SELECT ON shop.* TO reader, banned, stale, secure',
  'ALTER USER banned ACCOUNT LOCK',
  'ALTER USER stale PASSWORD EXPIRE',
  'ALTER USER secure REQUIRE SSL',
  'ALTER USER busy WITH MAX_USER_CONNECTIONS 1 MAX_CONNECTIONS_PER_HOUR 1',
];

function testOf(fields: Readonly<Record<string, string>>) {
  const login = { host: HOST, username: 'app', password: PASSWORD, database: 'shop' };
  const credentials = Object.fromEntries(
    Object.entries({ ...login, ...fields }).map(([name, value]) => [`mysql_${name}`, value]),
  );
  return testCredential('mysql', credentials, [PASSWORD]);
}

describe.skipIf(NO_MARIADB)('a test of a MySQL credential', () => {
  let plain: MariadbServer;
  let secure: MariadbServer;

  beforeAll(async () => {
    plain = await startMariadb();
    secure = await startMariadb(['--require-secure-transport=ON'], issueCertificate([HOST, '127.0.0.1']));
    for (const server of [plain, secure]) await server.execute(...USERS);
  }, 120_000);
  afterAll(async () => {
    for (const server of [plain, secure]) await server?.stop();
  });
  const port = (server: MariadbServer) => String(server.port);

  test('finds each thing that is wrong, with its own reason', async () => {
    const closed = String(await freePort());
    const cases: readonly (readonly [fields: Record<string, string>, result: string, reason: string])[] = [
      [{ port: port(plain), password: 'wrong' }, 'invalid', 'refused_credentials'],
      [{ port: port(plain), username: 'unknown_user' }, 'invalid', 'refused_credentials'],
      [{ port: port(plain), username: 'banned' }, 'invalid', 'login_not_allowed'],
      [{ port: port(plain), username: 'stale' }, 'invalid', 'expired'],
      [{ port: port(plain), username: 'secure' }, 'invalid', 'refused_credentials'],
      [
        { port: port(secure), ssl_mode: 'VERIFY_IDENTITY', password: 'wrong' },
        'invalid',
        'refused_credentials',
      ],
      [{ port: port(plain), database: 'secrets' }, 'valid', 'permission_missing'],
      [{ port: port(plain), ssl_mode: 'REQUIRED' }, 'unknown', 'tls_unavailable'],
      [{ port: port(plain), ssl_mode: 'VERIFY_IDENTITY' }, 'unknown', 'tls_unavailable'],
      [{ port: port(secure), ssl_mode: 'DISABLED' }, 'invalid', 'refused_credentials'],
      [{ port: closed }, 'unknown', 'connection_refused'],
      [{ port: port(plain), host: 'missing.invalid' }, 'unknown', 'unknown_host'],
    ];
    for (const [fields, result, reason] of cases) {
      const output = await testOf(fields);
      expect([output.result, output.reason], JSON.stringify({ ...fields, password: '' })).toEqual([
        result,
        reason,
      ]);
    }
  }, 60_000);

  test('reports that the server may require TLS if it refuses a login without TLS', async () => {
    const output = await testOf({ port: port(secure), ssl_mode: 'DISABLED' });
    expect(output.message).toContain('The connection had no TLS, which the server may require.');
  });

  test('reports a database that does not exist to a user who may see all', async () => {
    await plain.execute(`CREATE USER chief IDENTIFIED BY '${PASSWORD}'`, 'GRANT ALL ON *.* TO chief');
    const output = await testOf({ port: port(plain), username: 'chief', database: 'missing' });
    expect(output).toMatchObject({ result: 'invalid', reason: 'no_such_database' });
  });

  test('reports a limit of connections as a rate limit', async () => {
    const fields = { port: port(plain), username: 'busy' };
    await plain.execute('GRANT SELECT ON shop.* TO busy');
    expect((await testOf(fields)).result).toBe('valid');
    expect(await testOf(fields)).toMatchObject({
      result: 'unknown',
      reason: 'rate_limited',
    });
  });

  test('names the certificate that is wrong, unless the mode does not verify it', async () => {
    const certificates = {
      certificate_untrusted: selfSignedCertificate([HOST]),
      certificate_expired: issueCertificate([HOST], [-10, -1]),
      certificate_wrong_host: issueCertificate(['other.example']),
    };
    for (const [reason, certificate] of Object.entries(certificates)) {
      await secure.useCertificate(certificate);
      expect(await testOf({ port: port(secure) })).toMatchObject({ result: 'unknown', reason });
      const verified = await testOf({ port: port(secure), ssl_mode: 'VERIFY_CA' });
      expect(verified.reason).toBe(reason === 'certificate_wrong_host' ? 'accepted' : reason);
      const required = await testOf({ port: port(secure), ssl_mode: 'REQUIRED' });
      expect(required).toMatchObject({ result: 'valid', facts: { tls: 'TLSv1.3' } });
    }
    await secure.useCertificate(issueCertificate([HOST, '127.0.0.1']));
  }, 60_000);

  test('reports account, version, TLS and write access of a login that works', async () => {
    expect(
      await testOf({ port: port(secure), host: '127.0.0.1', ssl_mode: 'VERIFY_IDENTITY' }),
    ).toMatchObject({
      result: 'valid',
      reason: 'accepted',
      account: 'app@%',
      checked: ['connection', 'TLS', 'login', 'query', 'write access'],
      facts: { tls: 'TLSv1.3', can_write: 'yes', server_version: expect.stringMatching(/^\d+\.\d+/) },
    });
    expect(await testOf({ port: port(plain), username: 'reader' })).toMatchObject({
      result: 'valid',
      facts: { tls: 'none', can_write: 'no' },
    });
  });

  test('sends no password without TLS to a public address', async () => {
    const login = { username: 'app', password: PASSWORD, port: port(plain), host: HOST };
    for (const tls of [undefined, 'DISABLED', 'PREFERRED', 'REQUIRED']) {
      const finding = await probeAsPublic(probeMysql, { ...login, ...(tls === undefined ? {} : { tls }) });
      expect(finding, tls).toMatchObject({ reason: 'tls_unavailable', checked: ['connection'] });
    }
    expect(await probeAsPublic(probeMysql, { ...login, port: port(secure) })).toMatchObject({
      reason: 'accepted',
    });
  });
});

/** A packet of the protocol: length, sequence number, payload. */
function packet(sequence: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUIntLE(payload.length, 0, 3);
  header[3] = sequence;
  return Buffer.concat([header, payload]);
}

/** Protocol::HandshakeV10 with this plugin for the authentication. */
function greeting(plugin: string, { tls }: { readonly tls: boolean } = { tls: false }): Buffer {
  const scramble = Buffer.alloc(8, 'a');
  const end = Buffer.concat([Buffer.alloc(12, 'b'), Buffer.from([0])]);
  const parts = [
    Buffer.from([10]),
    Buffer.from('8.4.0\0'),
    Buffer.from([1, 0, 0, 0]),
    scramble,
    // Capabilities: PROTOCOL_41, SECURE_CONNECTION and SSL, then PLUGIN_AUTH.
    Buffer.from([0, 0x01, tls ? 0x8a : 0x82, 255, 2, 0, 0x08, 0, 21]),
    Buffer.alloc(10),
    end,
    Buffer.from(`${plugin}\0`),
  ];
  return packet(0, Buffer.concat(parts));
}

describe('a test of a MySQL credential at a hostile server', () => {
  test('does not send the password when the server requests it in cleartext', async () => {
    const switchTo = Buffer.concat([Buffer.from([0xfe]), Buffer.from('mysql_clear_password\0')]);
    const { port, received } = await listenScripted((socket) => {
      socket.write(greeting('mysql_native_password'));
      socket.once('data', () => socket.write(packet(2, switchTo)));
    });
    const output = await testOf({ port: String(port) });
    expect(output).toMatchObject({ result: 'unknown', reason: 'unexpected_response' });
    expect(received()).toContain('app');
    expect(received()).not.toContain(PASSWORD);
  });

  test.each([undefined, 'REQUIRED', 'VERIFY_IDENTITY'])(
    'sends nothing for packets behind the greeting, before TLS with the mode %s',
    async (mode) => {
      const name = Buffer.from('caching_sha2_password\0');
      const switchTo = Buffer.concat([Buffer.from([0xfe]), name, Buffer.alloc(20, 'c'), Buffer.from([0])]);
      const requestPassword = packet(4, Buffer.from([1, 4]));
      const { port, received } = await listenScripted((socket) => {
        const first = greeting('caching_sha2_password', { tls: true });
        socket.write(Buffer.concat([first, packet(2, switchTo), requestPassword]));
        socket.once('data', () => setTimeout(() => socket.destroy(), 200));
      });
      const fields = { host: HOST, port: String(port), username: 'app', password: PASSWORD };
      const tls = mode === undefined ? {} : { tls: mode };
      expect(await probeAsPublic(probeMysql, { ...fields, ...tls })).toMatchObject({
        reason: 'unexpected_response',
        facts: { tls: 'none' },
      });
      expect(received()).not.toContain(PASSWORD);
    },
  );

  test('is not invalid for a refusal before TLS', async () => {
    const refusal = Buffer.concat([Buffer.from([255, 0x15, 0x04]), Buffer.from('#28000Access denied')]);
    for (const reply of [
      packet(0, refusal),
      Buffer.concat([greeting('mysql_native_password', { tls: true }), packet(2, refusal)]),
    ]) {
      const { port } = await listenScripted((socket) => socket.end(reply));
      expect(await testOf({ port: String(port), ssl_mode: 'VERIFY_IDENTITY' })).toMatchObject({
        result: 'unknown',
        reason: 'unexpected_response',
      });
    }
  });

  test('ends with a result when the server sends malformed packets', async () => {
    const replies = [
      Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
      packet(0, Buffer.from([10])),
      packet(0, Buffer.from([255])),
      packet(0, Buffer.alloc(0)),
      Buffer.concat([greeting('caching_sha2_password'), packet(2, Buffer.from([1, 9]))]),
    ];
    for (const reply of replies) {
      const { port } = await listenScripted((socket) => socket.end(reply));
      const { result, reason } = await testOf({ port: String(port) });
      expect(
        [result, ['unexpected_response', 'unreachable'].includes(reason)],
        reply.toString('hex'),
      ).toEqual(['unknown', true]);
    }
  });
});
