/** The connection options of a location. */
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import type { PostgresHost as HostOfLocation, PostgresLocation } from '../../io/store_location.ts';
import type { PostgresOptions } from './connection.ts';

export function optionsOf(location: PostgresLocation): PostgresOptions {
  const { hosts, database, user, ca, connect_timeout_ms, readPassword } = location;
  return {
    hosts: hosts.map((host) => ({ host: host.host, port: host.port, tls: tlsOf(host, ca) })),
    database,
    user,
    readPassword: async (host) => readPassword(host)?.reveal(),
    connect_timeout_ms,
  };
}

function tlsOf({ sslmode }: HostOfLocation, ca: readonly string[] | undefined): TlsOptions | undefined {
  const verified = ca === undefined ? {} : { ca: [...ca] };
  switch (sslmode) {
    case 'disable':
      return undefined;
    case 'require':
      return { rejectUnauthorized: false };
    case 'verify-ca':
      return { ...verified, checkServerIdentity: () => undefined };
    case 'verify-full':
      return verified;
  }
}
