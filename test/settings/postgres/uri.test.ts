/** KEYHOLD_STORE of a vault in PostgreSQL: what it may contain, what it selects, and where the password comes from. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import { describeStore, type PostgresLocation } from '../../../src/io/store_location.ts';
import { parsePostgresUri } from '../../../src/settings/postgres/uri.ts';
import { TEST_CA_CERT } from '../../kit/upstream/certificates.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';

const SECRET = 'a-secret-in-the-wrong-place';
const HOME = '/srv/keyhold';

function parse(uri: string, env: NodeJS.ProcessEnv = {}, home = HOME): PostgresLocation {
  return parsePostgresUri(uri, home, env);
}

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof VaultError && error.reason === 'setting_invalid') return error.message;
    throw error;
  }
  throw new Error('the setting was accepted');
}

function passwordOf({ hosts, readPassword }: PostgresLocation): string | undefined {
  return readPassword(hosts[0])?.reveal();
}

describe('the URI of a database', () => {
  test.each([
    `postgres://ann:${SECRET}@db/keyhold`,
    `postgres://ann:${SECRET}@extra@db/keyhold`,
    'postgres://ann:@db/keyhold',
    `postgres://ann@db/keyhold?password=${SECRET}`,
    `postgres://ann@db/keyhold?passfile=/srv/${SECRET}`,
  ])('with a password is refused with the settings that may contain one: %s', (uri) => {
    const message = refusal(() => parse(uri));
    for (const name of ['KEYHOLD_STORE_PASSWORD', 'KEYHOLD_STORE_PASSWORD_FILE', '~/.pgpass'])
      expect(message).toContain(name);
    expect(message).not.toContain(SECRET);
  });

  test.each([
    'postgres://',
    'postgres://db/keyhold',
    'postgres://ann@db',
    'postgres://ann@db/',
    'postgres://ann@/keyhold',
    'postgres://@db/keyhold',
    `postgres://ann:pass/${SECRET}@db/keyhold`,
    `postgres://ann:5432/${SECRET}@db/keyhold`,
    `postgres://ann@db:0/${SECRET}`,
    `postgres://ann@db:65536/${SECRET}`,
    `postgres://ann@db:x/${SECRET}`,
    `postgres://ann@db,/${SECRET}`,
    `postgres://ann@[::1/${SECRET}`,
    `postgres://ann@[${SECRET}]/keyhold`,
    `postgres://ann@d b/${SECRET}`,
    `postgres://ann@%E0%A4%A/${SECRET}`,
    `postgres://ann@db/%00${SECRET}`,
    `postgres://ann@db/keyhold?sslmode=${SECRET}`,
    'postgres://ann@db/keyhold?sslmode=prefer',
    'postgres://ann@db/keyhold?sslmode=',
    'postgres://ann@db/keyhold?sslrootcert=',
    'postgres://ann@db/keyhold?connect_timeout=0',
    'postgres://ann@db/keyhold?connect_timeout=61',
    `postgres://ann@db/keyhold?connect_timeout=${SECRET}`,
    'postgres://ann@db/keyhold?target_session_attrs=any',
    `postgres://ann@db/keyhold?options=${SECRET}`,
    `postgres://ann@db/keyhold?${SECRET}`,
    `postgres://ann@${Array(17).fill('db').join(',')}/keyhold`,
  ])('that is invalid is refused by the name of the setting, without its text: %s', (uri) => {
    const message = refusal(() => parse(uri));
    expect(message).toMatch(/^The setting KEYHOLD_STORE must be .+\.$/);
    expect(message).not.toContain(SECRET);
  });

  test('has user, host, port and database, with 5432 as the default port', () => {
    expect(parse('postgres://ann@db.example.com/keyhold')).toMatchObject({
      kind: 'postgres',
      hosts: [{ host: 'db.example.com', port: 5432, sslmode: 'verify-full' }],
      user: 'ann',
      database: 'keyhold',
      ca: undefined,
      connect_timeout_ms: 5_000,
    });
    const { hosts, user, database } = parse(
      'postgresql://a%3Ab%40c@10.0.0.5:6432/my%20data?connect_timeout=9',
    );
    expect([hosts[0], user, database]).toEqual([
      { host: '10.0.0.5', port: 6432, sslmode: 'verify-full' },
      'a:b@c',
      'my data',
    ]);
  });

  test('may have several hosts, which are kept in their order', () => {
    const { hosts } = parse('postgres://ann@db1,db2:6432,[2001:db8::1]:5433/keyhold');
    expect(hosts.map(({ host, port }) => [host, port])).toEqual([
      ['db1', 5432],
      ['db2', 6432],
      ['2001:db8::1', 5433],
    ]);
  });

  test.each([
    ['db.example.com', '', 'verify-full'],
    ['192.168.1.5', '', 'verify-full'],
    ['localhost', '', 'disable'],
    ['127.0.0.1', '', 'disable'],
    ['[::1]', '', 'disable'],
    ['%2Frun%2Fpostgresql', '', 'disable'],
    ['%2Frun%2Fpostgresql', '?sslmode=verify-full', 'disable'],
    ['localhost', '?sslmode=verify-full', 'verify-full'],
    ['db.example.com', '?sslmode=verify-ca', 'verify-ca'],
    ['db.example.com', '?sslmode=require', 'require'],
    ['db.example.com', '?sslmode=require&sslrootcert=system', 'verify-ca'],
    ['db.example.com', '?sslmode=disable', 'disable'],
  ])('on the host %s with the parameters "%s" has the sslmode %s', (host, parameters, sslmode) => {
    expect(parse(`postgres://ann@${host}/keyhold${parameters}`).hosts[0].sslmode).toBe(sslmode);
  });

  test('names a file of certificates, relative to the home folder', () => {
    const home = temporaryFolder();
    writeFileSync(join(home, 'ca.pem'), TEST_CA_CERT);
    writeFileSync(join(home, 'none.pem'), SECRET);
    const withFile = (file: string) => parse(`postgres://ann@db/keyhold?sslrootcert=${file}`, {}, home);
    for (const file of ['missing.pem', 'none.pem'])
      expect(refusal(() => withFile(file))).toMatch(
        /^The file that sslrootcert in the setting KEYHOLD_STORE names /,
      );
    expect(withFile('ca.pem').ca?.map((text) => text.trim())).toEqual([TEST_CA_CERT.trim()]);
    expect(withFile('system').ca).toBeUndefined();
  });

  test('is shown to people without its parameters', () => {
    const location = parse('postgres://ann@db1,[2001:db8::1]:5433/keyhold?sslmode=require');
    expect(describeStore(location)).toBe('postgres://ann@db1:5432,[2001:db8::1]:5433/keyhold');
  });
});

describe('the password of a database', () => {
  const URI = 'postgres://ann@db/keyhold';

  test('is refused if it is set twice, empty, a reference, or in a file that is missing', () => {
    const refused = (env: NodeJS.ProcessEnv) => refusal(() => passwordOf(parse(URI, env, temporaryFolder())));
    expect(refused({ KEYHOLD_STORE_PASSWORD: SECRET, KEYHOLD_STORE_PASSWORD_FILE: SECRET })).toMatch(
      /set too/,
    );
    expect(refused({ KEYHOLD_STORE_PASSWORD: '' })).toMatch(/KEYHOLD_STORE_PASSWORD/);
    expect(refused({ KEYHOLD_STORE_PASSWORD: '$PASSWORD' })).toMatch(/reference/);
    expect(refused({ KEYHOLD_STORE_PASSWORD_FILE: 'missing' })).toMatch(/KEYHOLD_STORE_PASSWORD_FILE/);
  });

  test('comes from KEYHOLD_STORE_PASSWORD', () => {
    expect(passwordOf(parse(URI, { KEYHOLD_STORE_PASSWORD: `${SECRET}\n` }))).toBe(SECRET);
  });

  test('comes from the file that KEYHOLD_STORE_PASSWORD_FILE names, read again for each connection', () => {
    const home = temporaryFolder();
    const location = parse(URI, { KEYHOLD_STORE_PASSWORD_FILE: 'password' }, home);
    for (const password of ['first', 'second']) {
      writeFileSync(join(home, 'password'), `${password}\n`);
      expect(passwordOf(location)).toBe(password);
    }
  });

  test('comes from ~/.pgpass or the file that PGPASSFILE names, unless another setting has it', () => {
    const home = temporaryFolder();
    writeFileSync(join(home, '.pgpass'), 'db:5432:keyhold:ann:of-home\n', { mode: 0o600 });
    writeFileSync(join(home, 'other'), 'db:5432:keyhold:ann:of-other\n', { mode: 0o600 });
    const env = { HOME: home };
    expect(passwordOf(parse(URI, env))).toBe('of-home');
    expect(passwordOf(parse(URI, { ...env, PGPASSFILE: join(home, 'other') }))).toBe('of-other');
    expect(passwordOf(parse(URI, { ...env, PGPASSFILE: join(home, 'missing') }))).toBeUndefined();
    expect(passwordOf(parse(URI, { ...env, KEYHOLD_STORE_PASSWORD: SECRET }))).toBe(SECRET);
    expect(passwordOf(parse('postgres://bob@db/keyhold', env))).toBeUndefined();
  });

  test('is not taken from a ~/.pgpass that others can read', () => {
    const home = temporaryFolder();
    const file = join(home, '.pgpass');
    writeFileSync(file, `db:5432:keyhold:ann:${SECRET}\n`, { mode: 0o600 });
    for (const mode of [0o640, 0o604]) {
      chmodSync(file, mode);
      const message = refusal(() => passwordOf(parse(URI, { HOME: home })));
      expect(message).toMatch(/chmod 600/);
      expect(message).not.toContain(SECRET);
    }
  });
});
