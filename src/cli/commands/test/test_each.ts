/**
 * Tests credentials, a few at the same time, and shows the progress in a terminal. Waits when the vault limits the tests. A
 * credential that cannot be tested is a result too.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, type PublicError, toPublicError, VaultError } from '../../../contract/errors.ts';
import type { TestOutput } from '../../../contract/use/test.ts';
import type { VaultClient } from '../../../contract/vault_client.ts';
import type { CliContext } from '../../context.ts';
import type { SelectedCredential } from './selection.ts';

/** The result of one credential: of its test, or why it was not tested. */
export type CredentialResult =
  | TestOutput
  | (Omit<SelectedCredential, 'stack_id'> & {
      readonly stack_id: string | null;
      readonly error: PublicError;
    });

const AT_ONCE = 8;
/** A longer wait is an error. */
const WAIT_MAX_SECONDS = 70;
const WAITS_MAX = 20;
/** Back to the first column, then erase to the end of the line (ECMA-48, EL). */
const CLEAR_LINE = '\r\u001b[K';

/** Errors of the vault as a whole: no further credential can be tested. */
const ENDS_ALL: ReadonlySet<ErrorCode> = new Set(['UNAUTHENTICATED', 'LOCKED', 'WRONG_KEY', 'INTERNAL']);

/** Results in the order of the credentials. Rejects with VaultError if the vault as a whole fails. */
export async function testEach(
  context: Pick<CliContext, 'stderr'>,
  vault: Pick<VaultClient, 'testCredential'>,
  credentials: readonly SelectedCredential[],
): Promise<CredentialResult[]> {
  const results: CredentialResult[] = [];
  const queue = credentials.entries();
  let done = 0;
  let has_failed = false;
  const show = (text: string) => {
    if (context.stderr.isTTY === true) context.stderr.write(`${CLEAR_LINE}${text}`);
  };
  const showProgress = () => show(`Tested ${done} of ${credentials.length}`);
  const onWait = (seconds: number) =>
    show(`Tested ${done} of ${credentials.length}; the vault limits tests, waiting ${seconds} seconds`);
  const work = async () => {
    for (const [at, credential] of queue) {
      if (has_failed) return;
      results[at] = await testOne(vault, credential, onWait);
      done += 1;
      showProgress();
    }
  };
  const fail = (error: unknown) => {
    has_failed = true;
    throw error;
  };
  showProgress();
  try {
    const workers = Array.from({ length: AT_ONCE }, () => work().catch(fail));
    const ended = await Promise.allSettled(workers);
    const failed = ended.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  } finally {
    show('');
  }
  return results;
}

async function testOne(
  vault: Pick<VaultClient, 'testCredential'>,
  credential: SelectedCredential,
  onWait: (seconds: number) => void,
): Promise<CredentialResult> {
  const { service_id, stack_id, name } = credential;
  for (let waits = 0; ; waits++) {
    try {
      return await vault.testCredential({ service_id, stack_id, ...(name === null ? {} : { name }) });
    } catch (error) {
      if (!(error instanceof VaultError) || ENDS_ALL.has(error.code)) throw error;
      const { retry_after: seconds = WAIT_MAX_SECONDS } = error;
      if (error.code !== 'RATE_LIMITED' || seconds > WAIT_MAX_SECONDS || waits === WAITS_MAX)
        return { ...shownOf(credential, error.code), error: toPublicError(error) };
      onWait(seconds);
      await sleep(seconds * 1000);
    }
  }
}

/** The name and the stack of a missing credential are not repeated: they may be a misplaced value. */
function shownOf(credential: SelectedCredential, code: ErrorCode) {
  return code === 'NOT_FOUND' ? { ...credential, name: null, stack_id: null } : credential;
}
