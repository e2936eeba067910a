/**
 * Finds the password of a PostgreSQL server in the password file of libpq, `~/.pgpass`
 * (https://www.postgresql.org/docs/current/libpq-pgpass.html). PGPASSFILE names another file.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { VaultError } from '../../contract/errors.ts';
import { Secret } from '../../contract/secret.ts';
import { errnoOf } from '../../io/errno.ts';
import { homeFolder } from '../folders.ts';

const FILE_MAX_BYTES = 1024 * 1024;
const GROUP_AND_OTHERS = 0o077;
/** The folders of Unix sockets that libpq uses by default; a connection there has the host name `localhost` in the file. */
const DEFAULT_SOCKET_FOLDERS = ['/tmp', '/run/postgresql', '/var/run/postgresql'];

export interface PasswordQuery {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/** The password of the first line that matches; `undefined` without one. Throws INVALID_INPUT for a file that others can read. */
export function readPasswordFile(env: NodeJS.ProcessEnv, query: PasswordQuery): Secret | undefined {
  const path = passwordFilePath(env);
  const text = path === undefined ? undefined : readPrivateFile(path);
  return text === undefined ? undefined : findPassword(text, query);
}

function passwordFilePath(env: NodeJS.ProcessEnv): string | undefined {
  if (env.PGPASSFILE) return env.PGPASSFILE;
  if (process.platform === 'win32') return env.APPDATA && join(env.APPDATA, 'postgresql', 'pgpass.conf');
  const home = homeFolder(env);
  return home && join(home, '.pgpass');
}

/** `undefined` for a missing file. libpq ignores a file that others can read, and then fails for want of a password. */
function readPrivateFile(path: string): string | undefined {
  try {
    const { mode, size } = statSync(path);
    if (process.platform !== 'win32' && (mode & GROUP_AND_OTHERS) !== 0)
      throw fileError('can be read by others, so it is not used. Run `chmod 600` on it.');
    if (size > FILE_MAX_BYTES)
      throw fileError('is larger than 1 MiB. Keep only the lines in it that you need.');
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof VaultError) throw error;
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw fileError('cannot be read. Make it a file that the user of Keyhold can read.', error);
  }
}

function fileError(problem: string, cause?: unknown): VaultError {
  const message = `The password file of PostgreSQL, ~/.pgpass or the file that PGPASSFILE names, ${problem}`;
  return new VaultError('INVALID_INPUT', message, { reason: 'setting_invalid', cause });
}

/** Fields are separated by colons, `*` matches everything, and a backslash escapes a colon or a backslash. */
export function findPassword(
  text: string,
  { host, port, database, user }: PasswordQuery,
): Secret | undefined {
  const hosts = DEFAULT_SOCKET_FOLDERS.includes(host) ? ['localhost', host] : [host];
  const wanted = [hosts, [String(port)], [database], [user]];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = [...line.matchAll(/((?:\\.?|[^\\:])*)(?::|$)/g)].map(([, field = '']) => field);
    const [name = '', number = '', base = '', role = '', password = ''] = fields;
    const is_match = [name, number, base, role].every(
      (field, i) => field === '*' || wanted[i]?.includes(unescaped(field)),
    );
    if (is_match && password !== '') return new Secret(unescaped(password));
  }
  return undefined;
}

function unescaped(field: string): string {
  return field.replaceAll(/\\(.)/g, '$1');
}
