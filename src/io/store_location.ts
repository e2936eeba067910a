/** Where the stored data of a vault is: the SQLite file or the PostgreSQL database that KEYHOLD_STORE names. */
import type { Secret } from '../contract/secret.ts';

export interface SqliteLocation {
  readonly kind: 'sqlite';
  /** Absolute. */
  readonly path: string;
}

export interface PostgresHost {
  /** A name, an address (IPv6 without brackets), or the absolute path of the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  /** `disable` for a Unix socket. */
  readonly sslmode: SslMode;
}

/**
 * As libpq defines them. `require` encrypts and verifies nothing; `verify-ca` does not compare the host name. A URI with
 * `require` and certificates is a location with `verify-ca`.
 */
export const SSL_MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

export interface PostgresLocation {
  readonly kind: 'postgres';
  /** All are tried at once; the first that connects and accepts writes is used. */
  readonly hosts: readonly [PostgresHost, ...PostgresHost[]];
  readonly database: string;
  readonly user: string;
  /** Certificates in PEM; `undefined`: those that Node.js trusts. */
  readonly ca: readonly string[] | undefined;
  /** Of one host. */
  readonly connect_timeout_ms: number;
  /**
   * The password for a host, read again for each connection, so that a changed one needs no restart. `undefined`: none is set.
   * Throws INVALID_INPUT for a file that cannot be read or that others can read.
   */
  readonly readPassword: (host: Pick<PostgresHost, 'host' | 'port'>) => Secret | undefined;
}

export type StoreLocation = SqliteLocation | PostgresLocation;

/** A text for people that names the store. It contains no secret. */
export function describeStore(location: StoreLocation): string {
  if (location.kind === 'sqlite') return location.path;
  const hosts = location.hosts.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`);
  return `postgres://${location.user}@${hosts.join(',')}/${location.database}`;
}
