/**
 * Verifies the audit logs of all organizations in the background after the server has started. Works in small steps with
 * pauses, so that it does not delay requests. Reports problems in the log and the metrics; changes nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditReport } from '../../contract/audit.ts';
import { type Caller, LOCAL_ORGANIZATION } from '../../contract/caller.ts';
import { describeFailure, type Logger } from '../../contract/logger.ts';
import type { Vault } from '../../vault/vault.ts';

/** After the server is ready, for the first requests. */
const START_AFTER_MS = 1_000;
const ROWS_AT_ONCE = 50;
const PAUSE_MS = 10;
/** Per organization. `keyhold audit verify` shows all. */
const FINDINGS_LOGGED_MAX = 20;

interface VerifyAtStartOptions {
  readonly vault: Vault;
  readonly log: Logger;
  /** The operator. Each operation gets a new caller. */
  readonly caller: () => Caller;
  /** Called once at the end with the number of findings. */
  readonly onVerified: (findings: number) => void;
  readonly signal: AbortSignal;
}

/** Resolves when all is verified or `signal` is aborted. Never rejects. */
export async function verifyAtStart(options: VerifyAtStartOptions): Promise<void> {
  const { vault, log, caller, onVerified, signal } = options;
  const began_ms = performance.now();
  let [organizations, entries, findings] = [0, 0, 0];
  try {
    await sleep(START_AFTER_MS, undefined, { signal, ref: false });
    for (const organization of [LOCAL_ORGANIZATION, ...(await vault.organizations.names(caller()))]) {
      const report = await verifyOrganization(options, organization);
      organizations += 1;
      if (report === undefined) {
        findings += 1;
        continue;
      }
      entries += report.entries;
      findings += report.findings.length;
      logFindings(log, organization, report);
    }
    onVerified(findings);
    const ms = Math.round(performance.now() - began_ms);
    log.info({ organizations, entries, findings, ms }, 'verified audit logs');
  } catch (error) {
    if (!signal.aborted) log.error({ failure: describeFailure(error) }, 'audit verification failed');
  }
}

/** Returns undefined, and logs why, for an organization that cannot be verified. */
async function verifyOrganization(
  { vault, log, caller, signal }: VerifyAtStartOptions,
  organization: string,
): Promise<AuditReport | undefined> {
  const pause = () => sleep(PAUSE_MS, undefined, { signal, ref: false });
  try {
    const pace = { rows: ROWS_AT_ONCE, pause };
    return await vault.verifyAudit(caller(), { organization, pace });
  } catch (error) {
    signal.throwIfAborted();
    log.error({ organization, failure: describeFailure(error) }, 'audit verification failed');
    return undefined;
  }
}

function logFindings(log: Logger, organization: string, { findings }: AuditReport): void {
  for (const { kind, position, credential_id, record_id } of findings.slice(0, FINDINGS_LOGGED_MAX))
    log.error(
      { organization, kind, position, credential_id, record_id },
      'audit verification found a problem',
    );
}
