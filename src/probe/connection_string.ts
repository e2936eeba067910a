/** Reads connection strings (RFC 3986) strictly: a driver is never given one, since each interprets other parameters. */
import { VaultError } from '../contract/errors.ts';
import { Secret } from '../contract/secret.ts';

/** The parts of a connection string, decoded. Missing ones are undefined. */
export interface ConnectionString {
  /** Without the colon, in lower case. */
  readonly scheme: string;
  /** IPv6 with brackets. */
  readonly host: string;
  readonly port: number | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** The path without its first slash. */
  readonly path: string | undefined;
  /** The first value of each parameter. */
  readonly query: ReadonlyMap<string, string>;
}

/** Throws INVALID_INPUT, without a part of the text, unless it has one of the schemes and one host. */
export function parseConnectionString(text: Secret, schemes: readonly string[]): ConnectionString {
  const parts = /^([a-z0-9+]+):\/\/(?:([^@/?#]*)@)?([^@/?#,]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(
    text.reveal(),
  );
  const [, scheme = '', user_info, authority = '', path, query] = parts ?? [];
  const [, host = '', port] = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/i.exec(authority) ?? [];
  if (host === '' || !schemes.includes(scheme.toLowerCase())) throw invalid(schemes);
  const [username, ...password] = user_info?.split(':') ?? [];
  const decode = (part: string | undefined) => decodePart(part, schemes);
  return {
    scheme: scheme.toLowerCase(),
    host: host.toLowerCase(),
    port: port === undefined ? undefined : Number(port),
    username: decode(username),
    password: decode(password.length === 0 ? undefined : password.join(':')),
    path: decode(path),
    query: new Map([...new URLSearchParams(query)].reverse()),
  };
}

/** The password in a connection string, as it is written and decoded, for the redaction of texts of the server. */
export function passwordsIn(text: Secret): readonly Secret[] {
  const [, written = ''] = /^[^:]+:\/\/[^:@/?#]*:([^@/?#]*)@/.exec(text.reveal()) ?? [];
  if (written === '') return [];
  try {
    return [new Secret(written), new Secret(decodeURIComponent(written))];
  } catch {
    // It is not sent.
    return [new Secret(written)];
  }
}

function decodePart(part: string | undefined, schemes: readonly string[]): string | undefined {
  if (part === undefined || part === '') return undefined;
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid(schemes);
  }
}

function invalid(schemes: readonly string[]): VaultError {
  const example = `${schemes[0]}://USER:PASSWORD@HOST:PORT/DATABASE`;
  return new VaultError(
    'INVALID_INPUT',
    `The connection string cannot be tested: it must have one host, as in ${example}, with special characters percent-encoded.`,
  );
}
