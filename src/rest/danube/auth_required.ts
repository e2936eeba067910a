/** The response `auth_required` to a call of a service that has no complete credential: where to store one. */
import { z } from '@hono/zod-openapi';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { CallOutput } from '../../contract/use/call.ts';
import type { DialectDependencies } from '../../http/dialect.ts';
import type { FoundTool } from '../../use/tools/service_tools.ts';
import type { JsonObject } from '../../use/tools/tool_input.ts';

/** Service id and name at the top make it the ConfigurationRequiredError of Danube's own client. */
export const AuthRequired = z
  .object({
    status: z.literal('error'),
    error_type: z.literal('auth_required'),
    configuration_url: z.string(),
    service_id: z.string(),
    service_name: z.string(),
    detail: z.string(),
    code: z.literal('FORBIDDEN'),
  })
  .openapi('AuthRequired');
export type AuthRequired = z.infer<typeof AuthRequired>;

/** Looks the credential up a second time only if the call fails, to tell whether it is missing. */
export async function callOrAuthRequired(
  parts: Pick<DialectDependencies, 'vault' | 'public_url' | 'service_tools'>,
  caller: Caller,
  found: FoundTool,
  input: JsonObject,
  stack_id: string | undefined,
): Promise<CallOutput | AuthRequired> {
  try {
    return await parts.service_tools.call(caller, found, input, stack_id);
  } catch (error) {
    const missing = isMissingCredential(error)
      ? await findAuthRequired(parts, caller, found, stack_id)
      : undefined;
    if (missing === undefined) throw error;
    return missing;
  }
}

/** Undefined if the service has a complete credential. Needs the scope of a call, credentials:use; rejects as a call does. */
async function findAuthRequired(
  { vault, public_url }: Pick<DialectDependencies, 'vault' | 'public_url'>,
  caller: Caller,
  { service: { slug, id, name } }: Pick<FoundTool, 'service'>,
  stack_id: string | undefined,
): Promise<AuthRequired | undefined> {
  try {
    await vault.uses.find(caller, { service_id: slug, stack_id });
    return undefined;
  } catch (error) {
    if (!isMissingCredential(error)) throw error;
  }
  return {
    status: 'error',
    error_type: 'auth_required',
    configuration_url: `${public_url}/dashboard/tools/${slug}`,
    service_id: id,
    service_name: name,
    detail: `${name} is not connected. Store its credential, then call again.`,
    code: 'FORBIDDEN',
  };
}

/** Of a known service: NOT_FOUND with a reason is about the stack, INVALID_INPUT about missing fields. */
function isMissingCredential(error: unknown): boolean {
  if (!(error instanceof VaultError)) return false;
  return error.code === 'INVALID_INPUT' || (error.code === 'NOT_FOUND' && error.reason === undefined);
}
