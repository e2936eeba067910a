/** Checks the database server of a vault in PostgreSQL: connection, version, role, durability, clock and erasure. */

import { isLoopbackHost } from '../../../io/server_url.ts';
import type { PostgresHost, PostgresLocation } from '../../../io/store_location.ts';
import type { CliContext } from '../../context.ts';
import { checkFailed, type Finding, fail, ok, warn } from './finding.ts';

/** As `server_version_num`. Version 13 has had no updates since November 2025. */
const VERSION_MIN = 140_000;
/** Nodes write timestamps with their own clock. */
const CLOCK_DIFFERENCE_MAX_MS = 1_000;

type Facts = NonNullable<Awaited<ReturnType<typeof import('../../../vault/presence.ts')['inspectServer']>>>;

/** No finding but the failed connection if the server cannot be used. */
export async function checkDatabase(context: CliContext, location: PostgresLocation): Promise<Finding[]> {
  const { inspectServer } = await import('../../../vault/presence.ts');
  let facts: Facts | undefined;
  try {
    facts = await inspectServer(location);
  } catch (error) {
    return [await checkFailed(context, 'connection', error)];
  }
  if (facts === undefined) return [];
  return [
    checkConnection(location, facts),
    checkVersion(facts),
    checkRole(facts),
    checkDurability(facts),
    checkClock(facts),
    ok(
      'erasure',
      'Values that were deleted or replaced stay, encrypted, in the log, the standbys and the backups of the database, for as long as it keeps them.',
    ),
  ];
}

function checkConnection({ hosts }: PostgresLocation, { is_encrypted }: Facts): Finding {
  const remote = hosts.filter(({ host }) => isRemote(host));
  if (remote.some(({ sslmode }) => sslmode === 'disable'))
    return warn(
      'connection',
      'The database is on another machine, and the connection is not encrypted.',
      'Remove sslmode=disable from KEYHOLD_STORE.',
    );
  if (remote.some(isUnverified))
    return warn(
      'connection',
      'The connection is encrypted, but it is not verified that the server is the right one.',
      'Set sslmode=verify-full in KEYHOLD_STORE, and sslrootcert to the certificate of the authority.',
    );
  return ok('connection', `The database can be reached, ${is_encrypted ? 'with' : 'without'} TLS.`);
}

function isRemote(host: string): boolean {
  return !host.startsWith('/') && !isLoopbackHost(host);
}

function isUnverified({ sslmode }: PostgresHost): boolean {
  return sslmode === 'require' || sslmode === 'verify-ca';
}

function checkVersion({ version, version_number }: Facts): Finding {
  if (version_number >= VERSION_MIN) return ok('version', `PostgreSQL ${version}`);
  return fail(
    'version',
    'UNAVAILABLE',
    `PostgreSQL ${version} is too old: 14 is needed.`,
    'Upgrade the server to a version that is still maintained.',
  );
}

function checkRole({ excess_rights }: Facts): Finding {
  if (excess_rights.length === 0) return ok('role', 'The database user has no administrative rights.');
  return warn(
    'role',
    `The database user has rights that a vault does not need: ${excess_rights.join(', ')}.`,
    'Use a user without them: docs/postgres_roles.sql creates one.',
  );
}

/** Keyhold itself turns synchronous_commit on for its connections if it is off. */
function checkDurability({ synchronous_commit: setting }: Facts): Finding {
  if (setting !== 'local')
    return ok('durability', `A write is confirmed when it is durable (synchronous_commit = ${setting}).`);
  return warn(
    'durability',
    'A write is confirmed before a synchronous standby has it (synchronous_commit = local), so that a failover can lose it.',
    'Set synchronous_commit = on for the database user.',
  );
}

function checkClock({ clock_difference_ms: difference }: Facts): Finding {
  if (Math.abs(difference) <= CLOCK_DIFFERENCE_MAX_MS)
    return ok('clock', 'The clocks of the database and of this machine agree.');
  const seconds = Math.round(Math.abs(difference) / 1000);
  return warn(
    'clock',
    `The clock of the database is ${seconds} s ${difference > 0 ? 'ahead of' : 'behind'} that of this machine.`,
    'Synchronize the clocks of all machines with NTP: keys and approvals end by them.',
  );
}
