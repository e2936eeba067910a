/** Names the page that connects a service with OAuth, where a server runs: in texts of tools and in errors of uses. */
import type { CredentialState } from '../contract/credential.ts';
import { nextStepOf, VaultError } from '../contract/errors.ts';
import { connectUrl, type Pages } from '../contract/pages.ts';
import type { Service } from '../contract/service/service.ts';

interface Requested {
  readonly service_id: string;
  readonly stack_id?: string | undefined;
  readonly name?: string | undefined;
}

const CONNECTED_THEN: ReadonlySet<CredentialState> = new Set([
  'missing',
  'incomplete',
  'expired',
  'needs_reconnect',
]);

/** A line with the URL; empty if the service is not connected with OAuth, the credential needs nothing, or no server runs. */
export async function connectPageHint(
  pages: Pages,
  service: Service,
  status: CredentialState,
  { stack_id, name }: Pick<Requested, 'stack_id' | 'name'>,
): Promise<string> {
  const { connectGrants } = await import('../services/oauth/connect.ts');
  // The names of a credential that is not stored may be a misplaced value, which is not repeated.
  const is_named = stack_id !== undefined || name !== undefined;
  if (!CONNECTED_THEN.has(status) || (status === 'missing' && is_named)) return '';
  if (connectGrants(service).length === 0) return '';
  const base_url = await pages.dashboardUrl();
  if (base_url === undefined) return '';
  const url = connectUrl(base_url, { service_id: service.slug, stack_id, name });
  return `\nThe user can connect it with OAuth on this page:\n${url}`;
}

/** The result of `run`; an error of a credential that a person must connect again names the page too. */
export async function withConnectPage<Result>(
  pages: Pages,
  input: Requested,
  run: () => Promise<Result>,
): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof VaultError) || error.reason !== 'needs_reconnect') throw error;
    const base_url = await pages.dashboardUrl();
    if (base_url === undefined) throw error;
    const next = `${error.next ?? ''} Or have the user open this page:\n${connectUrl(base_url, input)}`;
    const { code, message, reason } = error;
    throw new VaultError(code, message, { ...nextStepOf(error), next, reason, cause: error });
  }
}
