/** The bodies of responses that differ from the types of the library, and their conversion. */
import type { ApiKeyInfo, NewApiKey } from '../contract/api_key.ts';
import type { StackSummary } from '../contract/stack.ts';

/** An API key as the server returns it, with its restrictions in `permissions`. */
export interface KeyBody extends Omit<ApiKeyInfo, 'allowed_services' | 'allowed_tools'> {
  readonly last_used: string | null;
  readonly permissions: Pick<ApiKeyInfo, 'allowed_services' | 'allowed_tools'> | null;
}

/** A stack as `/v1/stacks` returns it. */
export interface StackBody extends Omit<StackSummary, 'services'> {
  readonly servers: readonly { readonly server_name: string }[];
}

export function toStack({ servers, ...body }: StackBody): StackSummary {
  const { stack_id, stack_name, owner, role, shared_with, created_at, updated_at } = body;
  return {
    stack_id,
    stack_name,
    services: servers.map(({ server_name }) => server_name),
    owner,
    role,
    shared_with,
    created_at,
    updated_at,
  };
}

export function toKeyInfo({ permissions, last_used: _, ...info }: KeyBody): ApiKeyInfo {
  return {
    ...info,
    allowed_services: permissions?.allowed_services ?? null,
    allowed_tools: permissions?.allowed_tools ?? null,
    use_policy: info.use_policy ?? null,
  };
}

export function toNewKey({ key, ...shown }: KeyBody & Pick<NewApiKey, 'key' | 'notice'>): NewApiKey {
  return { ...toKeyInfo(shown), key };
}
