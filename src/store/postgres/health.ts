/** Checks the stored data, and the settings of the server that durability depends on. */
import type { StoreHealth } from '../store.ts';
import { IS_WRITABLE, type Query, type Session } from './connection.ts';

const CHECK_TIMEOUT_MS = 10 * 60_000;

/**
 * Reads every row: PostgreSQL verifies the checksum of each page that it reads from the disk. A comparison reads the whole of a
 * long value, which is in pages of its own (TOAST); its length does not.
 */
const READ_ALL: Query = {
  text: `SELECT (SELECT count(*) FILTER (WHERE sealed_meta > '') + count(*) FILTER (WHERE sealed_values > '') FROM keyhold.record)
    + (SELECT count(*) FILTER (WHERE sealed > '') FROM keyhold.audit_entry)
    + (SELECT count(*) FILTER (WHERE wrapped > '') FROM keyhold.wrapped_key)`,
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

/** Whether the server accepts writes and contains a vault that is complete and was not moved. */
export async function isServing(session: Session): Promise<boolean> {
  const text = `SELECT ${IS_WRITABLE}, to_regclass('keyhold.move') IS NULL AND EXISTS (SELECT 1 FROM keyhold.vault)`;
  const [[[is_writable, has_vault] = []] = []] = await session.run([{ name: 'ready', text }]);
  // The next connection looks for the primary among all hosts.
  if (is_writable !== true) session.end();
  return is_writable === true && has_vault === true;
}

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
