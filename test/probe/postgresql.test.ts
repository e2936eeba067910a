/** Tests of PostgreSQL credentials, against real servers with and without TLS. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestOutput } from '../../src/contract/use/test.ts';
import { probePostgresql } from '../../src/probe/protocols/postgresql.ts';
import { freePort } from '../kit/servers/ports.ts';
import { NO_POSTGRESQL, type PostgresqlServer, startPostgresql } from '../kit/servers/postgresql.ts';
import { issueCertificate, selfSignedCertificate } from '../kit/upstream/certificates.ts';
import { upstreamEnv } from '../kit/upstream/upstream.ts';
import { openTestVault, type TestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';
import { HOST, listenScripted, probeAsPublic, testCredential } from './connection_kit.ts';

const PASSWORD = 'p4ss-canary-81c7';
const SOCKET_RULE = 'local all all scram-sha-256';
const USERS = `CREATE ROLE app LOGIN PASSWORD '${PASSWORD}'; CREATE ROLE reader LOGIN PASSWORD '${PASSWORD}';
  REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT CREATE ON SCHEMA public TO app;
  CREATE TABLE item (id int); GRANT SELECT ON item TO reader;
  CREATE ROLE busy LOGIN CONNECTION LIMIT 0 PASSWORD '${PASSWORD}';
  CREATE ROLE banned LOGIN PASSWORD '${PASSWORD}';`;

describe.skipIf(NO_POSTGRESQL)('a test of a PostgreSQL credential', () => {
  let plain: PostgresqlServer;
  let secure: PostgresqlServer;
  const others: PostgresqlServer[] = [];

  beforeAll(async () => {
    plain = await startPostgresql([
      SOCKET_RULE,
      'host all banned all reject',
      'host all all all scram-sha-256',
    ]);
    secure = await startPostgresql(
      [SOCKET_RULE, 'hostssl all all all scram-sha-256'],
      issueCertificate(['127.0.0.1']),
    );
    await plain.execute(USERS);
    await plain.execute('CREATE DATABASE closed');
    await plain.execute('REVOKE CONNECT ON DATABASE closed FROM PUBLIC');
    await secure.execute(USERS);
  }, 60_000);
  afterAll(async () => {
    for (const server of [plain, secure, ...others]) await server.stop();
  });

  /** The output of a test of these fields, and the vault that it was made in. */
  async function testOf(fields: Record<string, string>): Promise<{ output: TestOutput; at: TestVault }> {
    const home = temporaryFolder();
    const at = await openTestVault(home, upstreamEnv(home));
    const login = { host: '127.0.0.1', username: 'app', password: PASSWORD, database: 'postgres' };
    const credentials = 'connection_string' in fields ? fields : { ...login, ...fields };
    await at.vault.update(at.caller(), { service_id: 'postgresql', credentials });
    const output = await at.tests.test(at.caller(), { service_id: 'postgresql' });
    const status = await at.vault.status(at.caller(), { service_id: 'postgresql' });
    const audit = await at.vault.listAudit(at.caller());
    expect(JSON.stringify([output, status, audit])).not.toContain(PASSWORD);
    expect(status.last_test).toMatchObject({ result: output.result, reason: output.reason });
    return { output, at };
  }
  const port = (server: PostgresqlServer) => String(server.port);

  test('finds each thing that is wrong, with its own reason', async () => {
    const closed = String(await freePort());
    const cases: readonly (readonly [fields: Record<string, string>, result: string, reason: string])[] = [
      [{ port: port(plain), password: 'wrong' }, 'invalid', 'refused_credentials'],
      [{ port: port(plain), username: 'nobody_here' }, 'invalid', 'refused_credentials'],
      [{ port: port(plain), username: 'banned' }, 'invalid', 'login_not_allowed'],
      [{ port: port(plain), database: 'missing' }, 'invalid', 'no_such_database'],
      [{ port: port(plain), database: 'closed' }, 'valid', 'permission_missing'],
      [{ port: port(plain), username: 'busy' }, 'unknown', 'service_failed'],
      [{ port: port(plain), sslmode: 'require' }, 'unknown', 'tls_unavailable'],
      [{ port: port(secure), sslmode: 'disable' }, 'invalid', 'login_not_allowed'],
      [{ port: closed }, 'unknown', 'connection_refused'],
      [{ port: port(plain), host: 'missing.invalid' }, 'unknown', 'unknown_host'],
    ];
    for (const [fields, result, reason] of cases) {
      const { output } = await testOf(fields);
      expect([output.result, output.reason], JSON.stringify({ ...fields, password: '' })).toEqual([
        result,
        reason,
      ]);
      expect(output.next).toMatch(/\.$/);
    }
  });

  test('names the certificate that is wrong, unless the mode does not verify it', async () => {
    const certificates = {
      certificate_untrusted: selfSignedCertificate(['127.0.0.1']),
      certificate_expired: issueCertificate(['127.0.0.1'], [-10, -1]),
      certificate_wrong_host: issueCertificate(['other.example']),
    };
    for (const [reason, certificate] of Object.entries(certificates)) {
      const server = await startPostgresql([SOCKET_RULE, 'hostssl all all all scram-sha-256'], certificate);
      others.push(server);
      await server.execute(USERS);
      expect((await testOf({ port: port(server) })).output).toMatchObject({ result: 'unknown', reason });
      const required = await testOf({ port: port(server), sslmode: 'require' });
      expect(required.output).toMatchObject({ result: 'valid', facts: { tls: 'TLSv1.3' } });
    }
  }, 60_000);

  test('reports account, version, TLS and write access of a login that works', async () => {
    const full = await testOf({ port: port(secure), sslmode: 'verify-full' });
    expect(full.output).toMatchObject({
      result: 'valid',
      reason: 'accepted',
      account: 'app',
      checked: ['connection', 'TLS', 'login', 'query', 'write access'],
      facts: { tls: 'TLSv1.3', can_write: 'yes', server_version: expect.stringMatching(/^\d+/) },
    });
    const reader = await testOf({ port: port(plain), username: 'reader' });
    expect(reader.output).toMatchObject({ result: 'valid', facts: { tls: 'none', can_write: 'no' } });
    await reader.at.vault.uses.close();
    const [outcome, use] = (await reader.at.vault.listAudit(reader.at.caller())).entries.filter(
      ({ use }) => use,
    );
    expect(use?.use).toMatchObject({ kind: 'test', origin: `postgresql://127.0.0.1:${plain.port}` });
    expect(outcome?.use).toMatchObject({ kind: 'test', address: '127.0.0.1' });
  });

  test('reads a connection string, and nothing of the other fields with it', async () => {
    const url = (rest: string) => `postgresql://app:${PASSWORD}@127.0.0.1:${rest}`;
    const valid = await testOf({ connection_string: url(`${plain.port}/postgres`) });
    expect(valid.output).toMatchObject({ result: 'valid', account: 'app' });
    const strict = await testOf({ connection_string: url(`${plain.port}/postgres?sslmode=verify-full`) });
    expect(strict.output.reason).toBe('tls_unavailable');
    const { at } = valid;
    const credentials = { connection_string: `host=127.0.0.1 password=${PASSWORD}` };
    await at.vault.update(at.caller(), { service_id: 'postgresql', credentials });
    await expect(at.tests.test(at.caller(), { service_id: 'postgresql' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.not.stringContaining(PASSWORD),
    });
  });
});

/** A message of the protocol: type, length, content. */
function message(type: string, content: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length + 4);
  return Buffer.concat([Buffer.from(type), length, content]);
}

describe('a test of a PostgreSQL credential at a hostile server', () => {
  const login = { host: HOST, username: 'app', password: PASSWORD, database: 'postgres' };
  const CLEARTEXT_PASSWORD = message('R', Buffer.from([0, 0, 0, 3]));

  /** A server without TLS that replies to the login with these bytes. */
  function listenWithoutTls(reply: Buffer) {
    return listenScripted((socket) => {
      let requests = 0;
      socket.on('data', () => {
        requests += 1;
        if (requests === 1) socket.write('N');
        else if (requests === 2) socket.write(reply);
        else socket.end();
      });
    });
  }

  test('does not send the password in cleartext to a public address', async () => {
    for (const tls of ['allow', 'prefer']) {
      const { port, received } = await listenWithoutTls(CLEARTEXT_PASSWORD);
      const finding = await probeAsPublic(probePostgresql, { ...login, port: String(port), tls });
      expect(finding.reason).toBe('tls_unavailable');
      expect(received()).toContain('postgres');
      expect(received()).not.toContain(PASSWORD);
    }
  });

  test('does not log in without TLS at a public address if no mode allows it', async () => {
    const { port, received } = await listenWithoutTls(CLEARTEXT_PASSWORD);
    const finding = await probeAsPublic(probePostgresql, { ...login, port: String(port) });
    expect(finding.reason).toBe('tls_unavailable');
    expect(received()).not.toContain('app');
  });

  test('ends with a result when the server sends malformed messages', async () => {
    const replies = [
      Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
      message('R', Buffer.alloc(0)),
      message('R', Buffer.from([0, 0, 0, 5, 1])),
      message('T', Buffer.from([255, 255])),
      message('D', Buffer.from([0, 9, 0, 0, 0, 9])),
      Buffer.from([0x52, 0, 0, 0, 0]),
    ];
    for (const reply of replies) {
      const { port } = await listenScripted((socket) => {
        socket.once('data', () => {
          socket.write('N');
          socket.once('data', () => socket.end(reply));
        });
      });
      const output = await testCredential('postgresql', { ...login, port: String(port) }, [PASSWORD]);
      expect(output.result, reply.toString('hex')).toBe('unknown');
    }
  });

  test('shows an account of another type as a text', async () => {
    const ready = message('Z', Buffer.from('I'));
    // One column of the type int4.
    const column = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0]);
    const description = message('T', Buffer.concat([Buffer.from('\0\x01account\0'), column]));
    const row = message('D', Buffer.from([0, 1, 0, 0, 0, 1, 0x37]));
    const rows = Buffer.concat([description, row, message('C', Buffer.from('SELECT 1\0')), ready]);
    const replies = [Buffer.from('N'), Buffer.concat([message('R', Buffer.alloc(4)), ready]), rows];
    const { port } = await listenScripted((socket) =>
      socket.on('data', () => socket.write(replies.shift() ?? '')),
    );
    const output = await testCredential('postgresql', { ...login, port: String(port) }, [PASSWORD]);
    expect(output).toMatchObject({ result: 'valid', account: '7' });
  });

  test('rejects an unknown sslmode rather than connecting without verification', async () => {
    const connection_string = `postgresql://app:${PASSWORD}@${HOST}/postgres?sslmode=verify_full`;
    await expect(testCredential('postgresql', { connection_string }, [PASSWORD])).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
  });

  test('reports a connection string without a user as one that cannot be tested', async () => {
    const connection_string = `postgresql://${HOST}/postgres`;
    const output = await testCredential('postgresql', { connection_string }, [PASSWORD]);
    expect(output).toMatchObject({ result: 'unknown', reason: 'not_testable' });
  });
});
