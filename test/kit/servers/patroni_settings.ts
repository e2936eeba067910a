/** The settings of one member of the cluster of the kit: Patroni, and PostgreSQL under it. */
import { join } from 'node:path';

/** The owner of the databases. Only processes of this machine can connect. */
export const CLUSTER_USER = 'postgres';

/** `linked`: as the others reach them. */
export interface MemberPorts {
  readonly postgres: number;
  readonly rest: number;
  readonly linked_postgres: number;
  readonly linked_rest: number;
  readonly linked_etcd: number;
}

interface MemberOptions {
  readonly name: string;
  readonly ports: MemberPorts;
  readonly folder: string;
  readonly data: string;
  readonly binary_folder: string;
}

/** The cluster as a whole, which the first member stores in etcd. */
const CLUSTER = {
  // The smallest that Patroni accepts: how long a primary that does not respond keeps the lead.
  ttl: 20,
  loop_wait: 1,
  retry_timeout: 5,
  maximum_lag_on_failover: 1_048_576,
  // A primary that crashed is not waited for.
  primary_start_timeout: 0,
  // Only the synchronous standby is promoted, and without one no write is acknowledged.
  synchronous_mode: true,
  synchronous_mode_strict: true,
  postgresql: {
    use_pg_rewind: true,
    use_slots: true,
    parameters: {
      synchronous_commit: 'on',
      wal_level: 'replica',
      hot_standby: 'on',
      max_connections: 100,
      max_wal_senders: 8,
      wal_log_hints: 'on',
      shared_buffers: '64MB',
      // A client that has vanished does not keep its locks.
      tcp_keepalives_idle: 5,
      tcp_keepalives_interval: 1,
      tcp_keepalives_count: 3,
      idle_in_transaction_session_timeout: '10s',
      wal_sender_timeout: '5s',
      wal_receiver_timeout: '5s',
      // The second standby follows the new primary soon: until it does, no write is acknowledged.
      wal_retrieve_retry_interval: '500ms',
    },
  },
};

/** The content of patroni.yml. */
export function clusterMember({ name, ports, folder, data, binary_folder }: MemberOptions): object {
  const at = (port: number) => `127.0.0.1:${port}`;
  const user = { username: CLUSTER_USER };
  return {
    scope: 'keyhold',
    name,
    restapi: { listen: at(ports.rest), connect_address: at(ports.linked_rest) },
    // Without discovery, which would find a way around the link.
    etcd: { hosts: [at(ports.linked_etcd)], use_proxies: true },
    bootstrap: {
      dcs: CLUSTER,
      initdb: [{ encoding: 'UTF8' }, 'data-checksums', { locale: 'C.UTF-8' }],
      pg_hba: [
        'local all all trust',
        'host all all 127.0.0.1/32 trust',
        'host replication all 127.0.0.1/32 trust',
      ],
    },
    postgresql: {
      listen: at(ports.postgres),
      connect_address: at(ports.linked_postgres),
      data_dir: data,
      bin_dir: binary_folder,
      pgpass: join(folder, 'pgpass'),
      authentication: { superuser: user, replication: user, rewind: user },
      parameters: { unix_socket_directories: folder },
    },
    watchdog: { mode: 'off' },
  };
}
