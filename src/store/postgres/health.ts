/** Checks the stored data, and the settings of the server that durability depends on. */
import type { StoreHealth } from '../store.ts';
import type { Query, Session } from './connection.ts';

const CHECK_TIMEOUT_MS = 10 * 60_000;

/** Reads every row: PostgreSQL verifies the checksum of each page that it reads from the disk. */
const READ_ALL: Query = {
  text: `SELECT (SELECT coalesce(sum(octet_length(sealed_meta) + octet_length(sealed_values)), 0) FROM keyhold.record)
    + (SELECT coalesce(sum(octet_length(sealed)), 0) FROM keyhold.audit_entry)`,
};
/** Chains whose head is not their last entry. */
const BROKEN_CHAINS: Query = {
  text: `SELECT count(*)::integer FROM keyhold.audit_chain c FULL JOIN
    (SELECT organization, max(position) AS position FROM keyhold.audit_entry GROUP BY organization) e
    USING (organization, position) WHERE c.link IS NULL OR e.position IS NULL`,
};
const SIZE: Query = {
  text: `SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
    WHERE relnamespace = 'keyhold'::regnamespace AND relkind = 'r'`,
};
const SETTINGS: Query = {
  text: `SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('data_checksums')`,
};

export async function checkStore(session: Session): Promise<StoreHealth> {
  const [, chains, sizes, settings] = await session.run(
    [READ_ALL, BROKEN_CHAINS, SIZE, SETTINGS],
    CHECK_TIMEOUT_MS,
  );
  const ok = chains?.[0]?.[0] === 0;
  return {
    ok,
    detail: ok ? 'every row can be read' : 'the head of an audit chain is missing',
    size_bytes: Number(sizes?.[0]?.[0] ?? 0),
    pending_bytes: 0,
    warning: warningOf(settings?.[0] ?? []),
  };
}

function warningOf([fsync, full_page_writes, checksums]: readonly unknown[]): StoreHealth['warning'] {
  if (fsync === 'off' || full_page_writes === 'off') {
    return {
      message: 'The database may lose writes that it has confirmed: fsync or full_page_writes is off.',
      remedy: 'Set fsync = on and full_page_writes = on in postgresql.conf.',
    };
  }
  if (checksums === 'off') {
    return {
      message: 'The database has no checksums, so a damaged page may stay unnoticed.',
      remedy: 'Stop the server and run `pg_checksums --enable`.',
    };
  }
  return undefined;
}
