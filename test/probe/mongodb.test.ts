/**
 * Tests of MongoDB credentials against a double of a server, to which the official driver logs in as well: MongoDB is neither in
 * Debian nor in npm. Replica sets, Atlas and errors of real servers are not covered.
 */
import { MongoClient } from 'mongodb';
import { expect, test } from 'vitest';
import { probeMongodb } from '../../src/probe/protocols/mongodb.ts';
import { type MongoOptions, startMongo } from '../kit/servers/mongodb.ts';
import { HOST, listenScripted, probeAsPublic, testCredential } from './connection_kit.ts';

const USER = 'a=n,a';
const PASSWORD = 'pass word/+%é';
const LOGIN = `${encodeURIComponent(USER)}:${encodeURIComponent(PASSWORD)}`;

const start = (options: Partial<MongoOptions> = {}) =>
  startMongo({ user: USER, password: PASSWORD, ...options });
const testUrl = (url: string) =>
  testCredential('mongodb', { mongodb_connection_string: url }, [
    url,
    PASSWORD,
    encodeURIComponent(PASSWORD),
  ]);

test.each(['SCRAM-SHA-1', 'SCRAM-SHA-256'] as const)(
  'the official driver logs in to the double with %s',
  async (mechanism) => {
    // The driver escapes these characters before it hashes the name for SHA-1.
    const user = mechanism === 'SCRAM-SHA-1' ? 'ana' : USER;
    const { port } = await start({ mechanism, user });
    const log_in = async (login: string) => {
      const options = { directConnection: true, serverSelectionTimeoutMS: 5_000, serverApi: '1' } as const;
      const client = new MongoClient(`mongodb://${login}@${HOST}:${port}/?authSource=admin`, options);
      try {
        return await client.db('app').command({ ping: 1 });
      } finally {
        await client.close();
      }
    };
    await expect(log_in(`${encodeURIComponent(user)}:wrong`)).rejects.toMatchObject({ code: 18 });
    expect(await log_in(`${encodeURIComponent(user)}:${encodeURIComponent(PASSWORD)}`)).toMatchObject({
      ok: 1,
    });
  },
);

test.each(['mongodb://', 'http://localhost', 'mongodb://a:%ZZ@localhost', 'mongodb://a b@localhost:x'])(
  'a test of MongoDB rejects the connection string %j',
  async (url) => {
    await expect(probeAsPublic(probeMongodb, { url })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  },
);

test.each([
  ['mongodb+srv://ana:x@cluster0.example.com/app', 'mongodb+srv://'],
  ['mongodb://localhost/?authMechanism=MONGODB-X509&tls=true', 'SCRAM'],
])('a test of MongoDB is not possible for %s, and nothing is connected to', async (url, detail) => {
  expect(await testUrl(url)).toMatchObject({
    result: 'unknown',
    reason: 'not_testable',
    message: expect.stringContaining(detail),
  });
});

test('a test of MongoDB sends nothing without TLS to a public address', async () => {
  const server = await listenScripted(() => undefined);
  const finding = await probeAsPublic(probeMongodb, { url: `mongodb://${LOGIN}@127.0.0.1:${server.port}` });
  expect(finding).toMatchObject({ reason: 'tls_unavailable' });
  expect(server.received()).toBe('');
});

test('a test of MongoDB is unknown for a server with a valid login that does not prove to know the password', async () => {
  const { port } = await start({ proves: false });
  expect(await testUrl(`mongodb://${LOGIN}@${HOST}:${port}`)).toMatchObject({
    result: 'unknown',
    reason: 'unexpected_response',
  });
});

test.each([1, 9_999_999])(
  'a test of MongoDB does not compute %i iterations for the server',
  async (iterations) => {
    const { port, commands } = await start({ iterations });
    expect(await testUrl(`mongodb://${LOGIN}@${HOST}:${port}`)).toMatchObject({
      reason: 'unexpected_response',
    });
    expect(commands).toEqual(['hello', 'saslStart']);
  },
);

test.each([
  [462, 'unknown', 'rate_limited'],
  [11600, 'unknown', 'service_failed'],
  [9_999, 'unknown', 'unexpected_response'],
  [8000, 'invalid', 'refused_credentials'],
])('a test of MongoDB with the error %i is %s', async (code, result, reason) => {
  const { port } = await start({ error: [code, 'the text of the server'] });
  expect(await testUrl(`mongodb://${LOGIN}@${HOST}:${port}`)).toMatchObject({
    result,
    reason,
    message: expect.stringContaining('the text of the server'),
  });
});

test('a test of MongoDB is invalid for a wrong password, an unknown user and a missing login', async () => {
  const { port } = await start();
  for (const login of [`${encodeURIComponent(USER)}:wrong@`, `nobody:${encodeURIComponent(PASSWORD)}@`, ''])
    expect(await testUrl(`mongodb://${login}${HOST}:${port}`)).toMatchObject({
      result: 'invalid',
      reason: 'refused_credentials',
    });
});

test('a test of MongoDB is valid with a missing permission for a user without roles', async () => {
  const { port } = await start({ roles: [] });
  expect(await testUrl(`mongodb://${LOGIN}@${HOST}:${port}`)).toMatchObject({
    result: 'valid',
    reason: 'permission_missing',
    message: expect.stringContaining('The user has no role.'),
  });
});

test.each(['SCRAM-SHA-1', 'SCRAM-SHA-256'] as const)(
  'a test of MongoDB is valid with %s',
  async (mechanism) => {
    const { port } = await start({ mechanism });
    expect(
      await testUrl(`mongodb://${LOGIN}@${HOST}:${port},other.example.com:27017/app?authSource=admin`),
    ).toMatchObject({
      result: 'valid',
      reason: 'accepted',
      account: `${USER}@admin`,
      checked: ['connection', 'login'],
      facts: { tls: 'none', server_version: '8.0.4' },
    });
  },
);

test('a test of MongoDB is valid over TLS', async () => {
  const { port } = await start({ tls: true });
  expect(await testUrl(`mongodb://${LOGIN}@${HOST}:${port}/?tls=true`)).toMatchObject({
    result: 'valid',
    facts: { tls: 'TLSv1.3' },
  });
});
