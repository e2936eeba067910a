/** What `store` and `update` say once a credential is written: what is still missing, and what to do next. */
import {
  type CredentialStatus,
  type CredentialStatusInput,
  missingFields,
} from '../../contract/credential.ts';
import { describeFailure } from '../../contract/logger.ts';
import type { Service } from '../../contract/service.ts';
import type { VaultClient } from '../../contract/vault_client.ts';
import type { CliContext } from '../context.ts';
import { print, printJson, shellQuote } from './output.ts';

export interface WriteResult {
  readonly did: string;
  /** What `--json` prints. */
  readonly output: unknown;
  /** `undefined` where it is not known: nothing is said of what is missing, then. */
  readonly status: CredentialStatus | undefined;
  readonly options: { readonly name?: string; readonly stack?: string; readonly json?: boolean };
}

/** How what was just written stands. It is written all the same where that cannot be read. */
export async function statusIfReadable(
  context: CliContext,
  vault: VaultClient,
  place: CredentialStatusInput,
): Promise<CredentialStatus | undefined> {
  try {
    return await vault.getCredentialStatus(place);
  } catch (error) {
    const log = await context.log();
    log.debug({ failure: describeFailure(error) }, 'what was written cannot be read');
    return undefined;
  }
}

export async function printWriteResult(
  context: CliContext,
  { slug }: Service,
  { did, output, status, options }: WriteResult,
): Promise<void> {
  if (options.json === true) return printJson(context, output);
  if (status === undefined) return print(context, did);
  const place = [
    ...(options.name === undefined ? [] : ['--name', shellQuote(options.name)]),
    ...(options.stack === undefined ? [] : ['--stack', shellQuote(options.stack)]),
  ];
  const missing = missingFields(status);
  const next = missing.length === 0 ? ['status', slug, ...place] : ['update', slug, ...missing, ...place];
  await print(
    context,
    [
      did,
      ...(missing.length === 0 ? [] : [`Still missing: ${missing.join(', ')}`]),
      `Next: keyhold ${next.join(' ')}`,
    ].join('\n'),
  );
}
