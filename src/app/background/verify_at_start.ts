/**
 * Verifies the audit logs of all organizations in the background after the server has started. Works in small steps with
 * pauses, so that it does not delay requests. Reports problems in the log and the metrics; changes nothing. An outage of the
 * store or of a key service is not a problem of the log: the verification is repeated.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditReport } from '../../contract/audit.ts';
import { type Caller, LOCAL_ORGANIZATION } from '../../contract/caller.ts';
import { type ErrorCode, VaultError } from '../../contract/errors.ts';
import { describeFailure, type Logger } from '../../contract/logger.ts';
import type { Vault } from '../../vault/vault.ts';

/** After the server is ready, for the first requests. */
const START_AFTER_MS = 1_000;
/** The pauses after outages, for all organizations together. Once they are used up, each organization is tried once. */
const RETRY_AFTER_MS = [10_000, 60_000, 300_000, 600_000, 1_200_000];
const ROWS_AT_ONCE = 50;
const PAUSE_MS = 10;
/** Per organization. `keyhold audit verify` shows all. */
const FINDINGS_LOGGED_MAX = 20;

const OUTAGE_CODES: ReadonlySet<ErrorCode> = new Set(['UNAVAILABLE', 'LOCKED']);
/** The keys of an organization were changed or erased, so that nothing of it can be verified. */
const DAMAGE_CODES: ReadonlySet<ErrorCode> = new Set(['CORRUPT', 'NOT_FOUND']);

export interface VerifyAtStartOptions {
  readonly vault: Pick<Vault, 'organizations' | 'verifyAudit'>;
  readonly log: Logger;
  /** The operator. Each operation gets a new caller. */
  readonly caller: () => Caller;
  /** Called after each organization with the number of findings so far, and once with `is_complete` if all were verified. */
  readonly onResult: (findings: number, is_complete: boolean) => void;
  readonly signal: AbortSignal;
  /** Shorter in tests. */
  readonly retry_after_ms?: readonly number[];
}

/** Resolves when all is verified, an outage lasts too long, or `signal` is aborted. Never rejects. */
export async function verifyAtStart(options: VerifyAtStartOptions): Promise<void> {
  const { vault, log, caller, onResult, signal, retry_after_ms = RETRY_AFTER_MS } = options;
  const began_ms = performance.now();
  const pauses_ms = retry_after_ms.values();
  let [organizations, entries, findings, unverified] = [0, 0, 0, 0];
  try {
    await sleep(START_AFTER_MS, undefined, { signal, ref: false });
    const names = await repeatAfterOutage(options, pauses_ms, () => vault.organizations.names(caller()));
    // The log with the anchor last: a file that cannot be read delays no other log.
    for (const organization of [...names, LOCAL_ORGANIZATION]) {
      const verified = await verifyOrganization(options, pauses_ms, organization);
      organizations += 1;
      if (verified === 'failed') unverified += 1;
      else if (verified === 'damaged') findings += 1;
      else {
        entries += verified.entries;
        findings += verified.findings.length;
        logFindings(log, organization, verified);
      }
      onResult(findings, false);
    }
    const ms = Math.round(performance.now() - began_ms);
    if (unverified > 0) {
      log.error({ organizations, unverified, findings, ms }, 'some audit logs were not verified');
      return;
    }
    onResult(findings, true);
    log.info({ organizations, entries, findings, ms }, 'verified audit logs');
  } catch (error) {
    if (!signal.aborted) log.error({ failure: describeFailure(error) }, 'audit verification failed');
  }
}

/** Logs why an organization cannot be verified: it is damaged, or the attempt failed. */
async function verifyOrganization(
  options: VerifyAtStartOptions,
  pauses_ms: Iterator<number>,
  organization: string,
): Promise<AuditReport | 'damaged' | 'failed'> {
  const { vault, log, caller, signal } = options;
  const pause = () => sleep(PAUSE_MS, undefined, { signal, ref: false });
  const pace = { rows: ROWS_AT_ONCE, pause };
  try {
    return await repeatAfterOutage(options, pauses_ms, () =>
      vault.verifyAudit(caller(), { organization, pace }),
    );
  } catch (error) {
    signal.throwIfAborted();
    log.error({ organization, failure: describeFailure(error) }, 'audit verification failed');
    return hasCode(error, DAMAGE_CODES) ? 'damaged' : 'failed';
  }
}

/** Repeats an operation after each of the pauses that are left while the store or the key service is not available. */
async function repeatAfterOutage<Result>(
  { log, signal }: VerifyAtStartOptions,
  pauses_ms: Iterator<number>,
  run: () => Promise<Result>,
): Promise<Result> {
  for (;;) {
    try {
      return await run();
    } catch (error) {
      signal.throwIfAborted();
      const pause_ms = hasCode(error, OUTAGE_CODES) ? pauses_ms.next().value : undefined;
      if (pause_ms === undefined) throw error;
      const fields = { seconds: Math.round(pause_ms / 1_000), failure: describeFailure(error) };
      log.warn(fields, 'audit verification is repeated after a pause');
      await sleep(pause_ms, undefined, { signal, ref: false });
    }
  }
}

function hasCode(error: unknown, codes: ReadonlySet<ErrorCode>): boolean {
  return error instanceof VaultError && codes.has(error.code);
}

function logFindings(log: Logger, organization: string, { findings }: AuditReport): void {
  for (const { kind, position, credential_id, record_id } of findings.slice(0, FINDINGS_LOGGED_MAX))
    log.error(
      { organization, kind, position, credential_id, record_id },
      'audit verification found a problem',
    );
}
