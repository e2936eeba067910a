/** The credentials that `keyhold test` tests. */
import { DEFAULT_STACK } from '../../../contract/caller.ts';
import type { CredentialSummary } from '../../../contract/credential.ts';
import { VaultError } from '../../../contract/errors.ts';
import type { Service } from '../../../contract/service/service.ts';
import type { VaultClient } from '../../../contract/vault_client.ts';

/** One credential, stored or not. */
export interface SelectedCredential {
  readonly service_id: string;
  readonly service_name: string;
  readonly name: string | null;
  readonly stack_id: string;
  readonly credential_id: string | null;
}

/** `is_cut`: a list of the vault has no more than its newest credentials. */
export interface Selection {
  readonly selected: readonly SelectedCredential[];
  readonly is_cut: boolean;
}

interface Filter {
  readonly name?: string | undefined;
  readonly stack?: string | undefined;
}

/** All credentials of a stack, or of all stacks. */
export async function selectAll(vault: VaultClient, { name, stack }: Filter): Promise<Selection> {
  const stacks =
    stack === undefined
      ? (await vault.listStacks()).filter(({ services }) => services.length > 0)
      : [{ stack_id: stack }];
  const selected: SelectedCredential[] = [];
  let is_cut = false;
  for (const { stack_id } of stacks) {
    const { credentials, more } = await vault.listCredentials({ stack_id, name });
    selected.push(...credentials.map((credential) => selectedOf(credential, stack_id)));
    is_cut ||= more;
  }
  return { selected, is_cut };
}

/**
 * All credentials of the services in one stack, or with a name the one of that name, which is not looked for in the list. A
 * service without one is selected too, so that its test reports that.
 */
export async function selectServices(
  vault: VaultClient,
  services: readonly Service[],
  { name, stack = DEFAULT_STACK }: Filter,
): Promise<Selection> {
  const { credentials, more } =
    name === undefined ? await listIfAllowed(vault, stack) : { credentials: [], more: false };
  const selected = new Map<string, SelectedCredential[]>();
  for (const { slug, name: service_name } of services) {
    const stored = credentials.filter(({ service_id }) => service_id === slug);
    const unlisted = {
      service_id: slug,
      service_name,
      name: name ?? null,
      stack_id: stack,
      credential_id: null,
    };
    selected.set(slug, stored.length === 0 ? [unlisted] : stored.map((one) => selectedOf(one, stack)));
  }
  return { selected: [...selected.values()].flat(), is_cut: more };
}

/** A caller that may only use credentials cannot list them. */
async function listIfAllowed(
  vault: VaultClient,
  stack_id: string,
): ReturnType<VaultClient['listCredentials']> {
  try {
    return await vault.listCredentials({ stack_id });
  } catch (error) {
    if (error instanceof VaultError && error.code === 'FORBIDDEN') return { credentials: [], more: false };
    throw error;
  }
}

function selectedOf(
  { service_id, service_name, name, credential_id }: CredentialSummary,
  stack_id: string,
): SelectedCredential {
  return { service_id, service_name, name, stack_id, credential_id };
}
