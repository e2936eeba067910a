/** The options that protect a credential from changes by all but the person at this machine. */
import type { Command } from 'commander';
import { VaultError } from '../../contract/errors.ts';

export interface ProtectOption {
  /** True with --protect, false with --no-protect. */
  readonly protect?: boolean | undefined;
}

export function addProtectOptions(command: Command): Command {
  return command
    .option('--protect', 'only the person at this machine changes it; new values of others wait for approval')
    .option('--no-protect', 'end that (default for new credentials: KEYHOLD_PROTECT)');
}

/** Throws INVALID_INPUT: a server cannot know whether a person sends a request. */
export function assertNoProtection(protect: boolean | undefined): void {
  if (protect === undefined) return;
  const message = '--protect and --no-protect work on the machine of the vault only. Run the command there.';
  throw new VaultError('INVALID_INPUT', message);
}
