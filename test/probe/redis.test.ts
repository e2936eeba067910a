/** Tests of Redis credentials against a real server. */
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { probeRedis } from '../../src/probe/protocols/redis.ts';
import { CAN_RUN_REDIS, type RedisServer, startRedis } from '../kit/servers/redis.ts';
import { HOST, listenScripted, probeAsPublic, testCredential } from './connection_kit.ts';

const PASSWORD = 'default-Pa55 word/+%';
const USER_PASSWORD = 'user-pa55word';
const WRONG = 'wrong-pa55word';
const encoded = encodeURIComponent(PASSWORD);

const testUrl = (url: string) =>
  testCredential('redis', { redis_connection_string: url }, [url, PASSWORD, encoded, USER_PASSWORD, WRONG]);
const testHost = (fields: Readonly<Record<string, string>>) =>
  testCredential('redis', { redis_host: HOST, ...fields }, [PASSWORD, USER_PASSWORD, WRONG]);

describe.skipIf(!CAN_RUN_REDIS)('a test of a Redis credential', () => {
  let server: RedisServer;
  let open_server: RedisServer;
  beforeAll(async () => {
    const users = [
      `user app on >${USER_PASSWORD} ~* +@all`,
      `user reader on >${USER_PASSWORD} ~* +@read`,
      `user former off >${USER_PASSWORD} ~* +@all`,
    ];
    server = await startRedis([`requirepass "${PASSWORD}"`, ...users]);
    open_server = await startRedis(['maxclients 2']);
  });
  afterAll(() => Promise.all([server.stop(), open_server.stop()]));

  test.each([
    'not a url',
    'http://default:x@localhost:6379',
    'redis://',
    'redis://:p%ZZ@localhost:6379',
    'redis://:x@localhost:6379/name',
    'redis://:x@one:6379,two:6379',
  ])('rejects the URL %j with INVALID_INPUT and does not repeat it', async (url) => {
    const failure = await probeAsPublic(probeRedis, { url }).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringMatching(
        /^The (?:connection string cannot be tested|database in the connection string is)/,
      ),
    });
  });

  test('does not send a password of a redis:// URL to a public address', async () => {
    const scripted = await listenScripted(() => undefined);
    const url = `redis://default:${encoded}@127.0.0.1:${scripted.port}`;
    expect(await probeAsPublic(probeRedis, { url })).toMatchObject({
      reason: 'tls_unavailable',
      detail: expect.stringContaining('was not sent'),
    });
    expect(scripted.received()).toBe('');
  });

  test('sends nothing without TLS to a public address if the definition has no URL', async () => {
    const scripted = await listenScripted((socket) => socket.end('-ERR unknown command\r\n'));
    const port = String(scripted.port);
    const finding = await probeAsPublic(probeRedis, { host: '127.0.0.1', port, password: PASSWORD });
    expect(finding).toMatchObject({ reason: 'tls_unavailable' });
    expect(scripted.received()).not.toContain(PASSWORD);
    expect(scripted.received()).not.toContain('AUTH');
  });

  test('uses TLS at a public address if the definition has no URL', async () => {
    const port = String(server.tls_port);
    const finding = await probeAsPublic(probeRedis, { host: HOST, port, password: PASSWORD });
    expect(finding).toMatchObject({ reason: 'accepted', facts: { tls: 'TLSv1.3' } });
  });

  test('is invalid for a wrong password', async () => {
    expect(await testUrl(`redis://default:${WRONG}@${HOST}:${server.port}`)).toMatchObject({
      result: 'invalid',
      reason: 'refused_credentials',
      checked: ['connection', 'login'],
    });
  });

  test('is invalid for an unknown user and for one that is disabled', async () => {
    for (const user of ['nobody', 'former'])
      expect(await testUrl(`redis://${user}:${USER_PASSWORD}@${HOST}:${server.port}`)).toMatchObject({
        result: 'invalid',
        reason: 'refused_credentials',
      });
  });

  test('is invalid if the server requires a password and the URL has none', async () => {
    expect(await testUrl(`redis://${HOST}:${server.port}`)).toMatchObject({
      result: 'invalid',
      reason: 'refused_credentials',
      message: expect.stringContaining('A password is missing.'),
    });
  });

  test('is invalid for a database that the server does not have', async () => {
    expect(await testUrl(`redis://:${encoded}@${HOST}:${server.port}/9`)).toMatchObject({
      result: 'invalid',
      reason: 'no_such_database',
    });
  });

  test('is unknown for a port without a server', async () => {
    const closed = await startRedis();
    await closed.stop();
    expect(await testUrl(`redis://:${encoded}@${HOST}:${closed.port}`)).toMatchObject({
      result: 'unknown',
      reason: 'connection_refused',
    });
  });

  test('is unknown if the certificate is for another host', async () => {
    expect(await testUrl(`rediss://:${encoded}@127.0.0.1:${server.tls_port}`)).toMatchObject({
      result: 'unknown',
      reason: 'certificate_wrong_host',
    });
  });

  test('is unknown if the URL requires TLS and the server has none', async () => {
    const scripted = await listenScripted((socket) => socket.once('data', () => socket.end('-ERR\r\n')));
    expect(await testUrl(`rediss://:${encoded}@${HOST}:${scripted.port}`)).toMatchObject({
      result: 'unknown',
      reason: 'tls_unavailable',
    });
  });

  test('is unknown while the server has too many clients', async () => {
    const sockets: Socket[] = [];
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    for (const _ of [1, 2]) {
      const socket = connect(open_server.port, '127.0.0.1').on('error', () => undefined);
      sockets.push(socket);
      await new Promise((resolve) =>
        socket.once('connect', () => socket.write('PING\r\n')).once('data', resolve),
      );
    }
    expect(await testUrl(`redis://:x@${HOST}:${open_server.port}`)).toMatchObject({
      result: 'unknown',
      reason: 'rate_limited',
    });
  });

  test.each([
    ['LOADING Redis is loading the dataset in memory', 'service_failed'],
    ['MISCONF Redis is configured to save RDB snapshots', 'service_failed'],
    ['MASTERDOWN Link with MASTER is down', 'service_failed'],
    ['NEWCODE of a later version', 'unexpected_response'],
  ])('is unknown for the error %j', async (error, reason) => {
    // The replies of a real server to AUTH and PING in these states, which are hard to bring about.
    const replies = ['+OK\r\n', `-${error}\r\n`];
    const scripted = await listenScripted((socket) =>
      socket.on('data', () => socket.write(replies.shift() ?? '')),
    );
    expect(await testUrl(`redis://:x@${HOST}:${scripted.port}`)).toMatchObject({
      result: 'unknown',
      reason,
      message: expect.stringContaining(error),
    });
  });

  test('is valid if a proxy closes the connection after PING', async () => {
    const replies = ['+OK\r\n', '+PONG\r\n'];
    const scripted = await listenScripted((socket) =>
      socket.on('data', () => {
        const reply = replies.shift();
        if (reply === undefined) socket.destroy();
        else socket.write(reply);
      }),
    );
    expect(await testUrl(`redis://:x@${HOST}:${scripted.port}`)).toMatchObject({
      result: 'valid',
      reason: 'accepted',
      account: null,
    });
  });

  test('does not show a password of a URL that the server repeats', async () => {
    const scripted = await listenScripted((socket) =>
      socket.once('data', () => socket.write(`-WRONGPASS you sent ${PASSWORD}, ${encoded}\r\n`)),
    );
    expect(await testUrl(`redis://:${encoded}@${HOST}:${scripted.port}`)).toMatchObject({
      message: expect.stringContaining('you sent'),
    });
  });

  test('is valid with a missing permission for a user who may not run PING', async () => {
    expect(await testUrl(`redis://reader:${USER_PASSWORD}@${HOST}:${server.port}`)).toMatchObject({
      result: 'valid',
      reason: 'permission_missing',
      message: expect.stringContaining('The user may not run PING.'),
    });
  });

  test('is valid for the password of the default user, with the version of the server', async () => {
    expect(await testUrl(`redis://:${encoded}@${HOST}:${server.port}/3?family=0`)).toMatchObject({
      result: 'valid',
      reason: 'accepted',
      account: 'default',
      checked: ['connection', 'login', 'PING', 'database'],
      facts: { tls: 'none', server_version: expect.stringMatching(/^\d+\.\d+/) },
    });
  });

  test('is valid for a user over TLS', async () => {
    expect(await testUrl(`rediss://app:${USER_PASSWORD}@${HOST}:${server.tls_port}`)).toMatchObject({
      result: 'valid',
      account: 'app',
      facts: { tls: 'TLSv1.3' },
    });
  });

  test('is valid for a host and a password, also if the port has TLS', async () => {
    for (const port of [server.port, server.tls_port])
      expect(
        await testHost({ redis_port: String(port), redis_username: 'app', redis_password: USER_PASSWORD }),
      ).toMatchObject({ result: 'valid', account: 'app' });
  });

  test('is valid, with a note, if the server requires no password', async () => {
    expect(await testUrl(`redis://:${WRONG}@${HOST}:${open_server.port}`)).toMatchObject({
      result: 'valid',
      message: expect.stringContaining('The server requires no password.'),
    });
  });
});
