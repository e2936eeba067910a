/**
 * Parses KEYHOLD_STORE of a vault in PostgreSQL: a connection URI of libpq
 * (https://www.postgresql.org/docs/current/libpq-connect.html) without a password. No error repeats a part of it.
 */

import { parseAddress } from '../../io/ip_address.ts';
import { isLoopbackHost } from '../../io/server_url.ts';
import {
  type PostgresHost,
  type PostgresLocation,
  SSL_MODES,
  type SslMode,
} from '../../io/store_location.ts';
import { readCertificates } from '../certificates.ts';
import { invalidSetting } from '../environment.ts';
import { resolvePath } from '../folders.ts';
import { readSecretSetting } from '../secret.ts';
import { readPasswordFile } from './password_file.ts';

const PASSWORD = { name: 'KEYHOLD_STORE_PASSWORD', file_setting: 'KEYHOLD_STORE_PASSWORD_FILE' } as const;
const URI_PATTERN = /^postgres(?:ql)?:\/\/(?:([^@/?]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/;
const HOST_PATTERN = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/;
const HOST_NAME_PATTERN = /^[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9])?$/i;
/** Names of PostgreSQL have at most 63 bytes; a pooler may add the name of a tenant. */
const NAME_PATTERN = /^[^\p{Cc}]{1,255}$/u;
const PORT_DEFAULT = 5432;
const PORT_MAX = 65_535;
const HOSTS_MAX = 16;
const CONNECT_TIMEOUT_DEFAULT_S = 5;
const CONNECT_TIMEOUT_MAX_S = 60;
const PARAMETERS = ['sslmode', 'sslrootcert', 'connect_timeout', 'target_session_attrs'];

export function isPostgresUri(text: string): boolean {
  return /^postgres(?:ql)?:\/\//.test(text);
}

/** Throws INVALID_INPUT for any other text, and for a file of certificates that cannot be used. */
export function parsePostgresUri(text: string, home: string, env: NodeJS.ProcessEnv): PostgresLocation {
  const [match, user_info = '', host_list = '', path = '', query = ''] = URI_PATTERN.exec(text) ?? [];
  const parameters = new URLSearchParams(query);
  if (user_info.includes(':') || parameters.has('password') || parameters.has('passfile'))
    throw invalid(
      'a URI without a password, which is in KEYHOLD_STORE_PASSWORD, in the file that KEYHOLD_STORE_PASSWORD_FILE names, or in ~/.pgpass',
    );
  const user = decoded(user_info);
  const database = decoded(path);
  if (match === undefined || !isName(user) || !isName(database))
    throw invalid('sqlite:PATH or postgres://USER@HOST:PORT/DATABASE');
  const { sslmode, ca, connect_timeout_ms } = parseParameters(parameters, home, env);
  const hosts = parseHosts(host_list, sslmode);
  return {
    kind: 'postgres',
    hosts,
    database,
    user,
    ca,
    connect_timeout_ms,
    readPassword: ({ host, port }) =>
      readSecretSetting(env, PASSWORD, home) ?? readPasswordFile(env, { host, port, database, user }),
  };
}

function parseHosts(text: string, sslmode: SslMode | undefined): PostgresLocation['hosts'] {
  const [first, ...others] = text.split(',').map((host) => parseHost(host, sslmode));
  if (first === undefined || others.length >= HOSTS_MAX)
    throw invalid(`a URI with at most ${HOSTS_MAX} hosts`);
  return [first, ...others];
}

function parseHost(text: string, sslmode: SslMode | undefined): PostgresHost {
  const [, name = '', digits = String(PORT_DEFAULT)] = HOST_PATTERN.exec(text) ?? [];
  const host = decoded(name);
  const port = Number(digits);
  if (port < 1 || port > PORT_MAX) throw invalid(`a URI with ports from 1 to ${PORT_MAX}`);
  // The folder of a socket begins with a slash, which is percent-encoded.
  if (host?.startsWith('/') && isName(host)) return { host, port, sslmode: 'disable' };
  const address = host === undefined ? undefined : parseAddress(host);
  const known = address === undefined ? host : `${address.text}${address.zone ? `%${address.zone}` : ''}`;
  if (known === undefined || (address === undefined && !HOST_NAME_PATTERN.test(known)))
    throw invalid('a URI with a host name, an IP address or the percent-encoded folder of a Unix socket');
  return { host: known, port, sslmode: sslmode ?? (isLoopbackHost(known) ? 'disable' : 'verify-full') };
}

function parseParameters(parameters: URLSearchParams, home: string, env: NodeJS.ProcessEnv) {
  if ([...parameters.keys()].some((name) => !PARAMETERS.includes(name)))
    throw invalid(`a URI with no parameters but ${PARAMETERS.join(', ')}`);
  const mode = parameters.get('sslmode');
  // With a certificate, as in libpq, the server is verified.
  const is_verified = mode === 'require' && parameters.has('sslrootcert');
  const sslmode = is_verified ? 'verify-ca' : SSL_MODES.find((known) => known === mode);
  if (mode !== null && sslmode === undefined)
    throw invalid(`a URI whose sslmode is one of ${SSL_MODES.join(', ')}`);
  // Writes need a primary: Keyhold connects to no other server, whatever the parameter.
  if (!['read-write', 'primary', null].includes(parameters.get('target_session_attrs')))
    throw invalid('a URI whose target_session_attrs is read-write or primary');
  const seconds = Number(parameters.get('connect_timeout') ?? CONNECT_TIMEOUT_DEFAULT_S);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > CONNECT_TIMEOUT_MAX_S)
    throw invalid(`a URI whose connect_timeout is from 1 to ${CONNECT_TIMEOUT_MAX_S} seconds`);
  const file = parameters.get('sslrootcert') ?? 'system';
  if (file === '') throw invalid('a URI whose sslrootcert is the path of a PEM file, or system');
  const ca =
    file === 'system'
      ? undefined
      : readCertificates(
          'sslrootcert in the setting KEYHOLD_STORE',
          resolvePath('KEYHOLD_STORE', file, home, env),
        );
  return { sslmode, ca, connect_timeout_ms: seconds * 1000 };
}

function isName(text: string | undefined): text is string {
  return text !== undefined && NAME_PATTERN.test(text);
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function invalid(what: string): Error {
  return invalidSetting(`KEYHOLD_STORE must be ${what}`);
}
