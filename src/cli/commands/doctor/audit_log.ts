/** The doctor's look at the audit log, here or on a server. */
import type { AuditReport } from '../../../contract/audit.ts';
import type { CliContext } from '../../context.ts';
import { checkFailed, type Finding, fail, ok } from './finding.ts';

/** `instead`: what to do besides looking where it is broken. */
export async function checkLog(
  context: CliContext,
  verify: () => Promise<AuditReport>,
  instead: string,
): Promise<Finding> {
  try {
    const { ok: whole, entries, findings } = await verify();
    if (whole) return ok('audit', `The log is whole: ${entries} ${entries === 1 ? 'entry' : 'entries'}.`);
    const count = `${findings.length} ${findings.length === 1 ? 'thing is' : 'things are'}`;
    const remedy = `Run \`keyhold audit verify\` to see where, then ${instead}`;
    return fail('audit', 'CORRUPT', `${count} wrong with the log.`, remedy);
  } catch (error) {
    return checkFailed(context, 'audit', error);
  }
}
