/** The output of `store` and `update` after a write: the missing fields and the next command. */
import { describePendingApproval, type PendingApproval } from '../../contract/approval.ts';
import type { CredentialStatus, CredentialStatusInput, UpdateOutput } from '../../contract/credential.ts';
import { describeFailure } from '../../contract/logger.ts';
import type { Service } from '../../contract/service/service.ts';
import type { VaultClient } from '../../contract/vault_client.ts';
import { missingFields, secretsToRepeat } from '../../services/missing_fields.ts';
import { namesServer } from '../connect/server_option.ts';
import type { CliContext } from '../context.ts';
import { nextCommand, type Selectors } from './next_command.ts';
import { print, printJson } from './output.ts';

export interface WriteResult {
  readonly message: string;
  /** The output of `--json`. */
  readonly output: unknown;
  /** `undefined` if it could not be read; the missing fields are then left out. */
  readonly status: CredentialStatus | undefined;
  /** The credential is protected, and a server has kept the values for a person. */
  readonly pending?: PendingApproval | undefined;
  readonly options: Selectors & { readonly json?: boolean };
}

/** The status after a write, or `undefined` if it cannot be read: the write has succeeded all the same. */
export async function statusIfReadable(
  context: CliContext,
  vault: VaultClient,
  credential: CredentialStatusInput,
): Promise<CredentialStatus | undefined> {
  try {
    return await vault.getCredentialStatus(credential);
  } catch (error) {
    const log = await context.log();
    log.debug({ failure: describeFailure(error) }, 'status after the write could not be read');
    return undefined;
  }
}

/** The parts of the result of an update. */
export function updateResult(output: UpdateOutput): Pick<WriteResult, 'output' | 'status' | 'pending'> {
  const { status, pending_approval } = output;
  if (status !== 'pending_approval') return { output, status: { ...output, status } };
  return { output, status: undefined, pending: pending_approval ?? undefined };
}

/** The command that completes a credential. A server accepts a destination only with the secrets. */
export function updateArguments(
  { env }: Pick<CliContext, 'env'>,
  service: Service,
  status: CredentialStatus,
  options: Selectors,
): string[] {
  const repeated = namesServer(env, options) ? secretsToRepeat(service, status) : [];
  return ['update', service.slug, ...repeated, ...missingFields(service, status)];
}

export async function printWriteResult(
  context: CliContext,
  service: Service,
  { message, output, status, pending, options }: WriteResult,
): Promise<void> {
  if (options.json === true) return printJson(context, output);
  if (pending !== undefined) return print(context, describePendingApproval(pending));
  if (status === undefined) return print(context, message);
  const missing = missingFields(service, status);
  const next =
    missing.length === 0 ? ['status', service.slug] : updateArguments(context, service, status, options);
  await print(context, [
    message,
    ...(missing.length === 0 ? [] : [`Still missing: ${missing.join(', ')}`]),
    `Next: ${nextCommand(next, options)}`,
  ]);
}
