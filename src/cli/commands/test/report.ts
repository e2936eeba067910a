/** The output of `keyhold test`: a table, a count and the next steps, and the exit code. */
import { ERROR_TABLE } from '../../../contract/errors.ts';
import type { TestResult } from '../../../contract/use/test_result.ts';
import type { CliContext } from '../../context.ts';
import { table } from '../../terminal/table.ts';
import { type Part, paintFor, type Style } from '../../terminal/terminal_text.ts';
import type { CredentialResult } from './test_each.ts';

type ShownResult = TestResult | 'not tested';

const STYLES: Readonly<Record<ShownResult, Style>> = {
  valid: 'green',
  invalid: 'red',
  unknown: 'yellow',
  'not tested': 'yellow',
};
/** The order of the count. */
const RESULTS: readonly ShownResult[] = ['valid', 'invalid', 'unknown', 'not tested'];
const NEXT_STEPS_MAX = 10;

/** 3 if a service refused a credential, as after a response with status 401; else the code of the first other problem. */
export function exitCodeOf(results: readonly CredentialResult[], is_cut: boolean): number {
  if (results.some((one) => resultOf(one) === 'invalid')) return ERROR_TABLE.UNAUTHENTICATED.exit_code;
  for (const one of results) if ('error' in one) return ERROR_TABLE[one.error.code].exit_code;
  const is_known = !is_cut && results.every((one) => resultOf(one) === 'valid');
  return is_known ? 0 : ERROR_TABLE.UPSTREAM.exit_code;
}

export async function renderResults(
  context: Pick<CliContext, 'stdout' | 'env'>,
  results: readonly CredentialResult[],
): Promise<Part[]> {
  const paint = paintFor(context);
  const has_stacks = new Set(results.map(({ stack_id }) => stack_id)).size > 1;
  const rows = results.map((one) => [
    one.service_id,
    one.name ?? '',
    ...(has_stacks ? [one.stack_id ?? ''] : []),
    paint(STYLES[resultOf(one)], resultOf(one)),
    'error' in one ? '' : (one.account ?? ''),
    'error' in one ? '' : `${one.latency_ms} ms`,
    'error' in one ? one.error.message : one.message,
  ]);
  const stack = has_stacks ? ['STACK'] : [];
  const columns = ['SERVICE', 'NAME', ...stack, 'RESULT', 'ACCOUNT', 'TIME', 'REASON'];
  return [await table(columns, rows, paint), '', countOf(results), ...nextSteps(results)];
}

function resultOf(one: CredentialResult): ShownResult {
  return 'error' in one ? 'not tested' : one.result;
}

function countOf(results: readonly CredentialResult[]): string {
  const counts = RESULTS.map((result) => ({
    result,
    count: results.filter((one) => resultOf(one) === result).length,
  }));
  return counts
    .filter(({ count }) => count > 0)
    .map(({ count, result }) => `${count} ${result}`)
    .join(', ');
}

/** Those of credentials that are not valid. */
function nextSteps(results: readonly CredentialResult[]): string[] {
  const steps = new Set<string>();
  for (const one of results) {
    if (resultOf(one) === 'valid') continue;
    const next = 'error' in one ? one.error.next : one.next;
    if (next !== undefined) steps.add(`${one.service_id}: ${next}`);
  }
  const shown = [...steps].slice(0, NEXT_STEPS_MAX).map((step) => `Next for ${step}`);
  return steps.size > NEXT_STEPS_MAX
    ? [...shown, `Next steps for ${steps.size - NEXT_STEPS_MAX} others: --json`]
    : shown;
}
