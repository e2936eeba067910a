/**
 * Opens every organization that the records of the organization `local` name: its key, and the head of its audit log. Finds
 * an organization that was erased as a whole.
 */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import type { AuditFinding } from '../../contract/audit.ts';
import { VaultError } from '../../contract/errors.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { listScope } from '../records/entity_repository.ts';
import { idText } from '../records/record_codec.ts';
import { scanRows } from '../records/scan.ts';
import { isAuthenticHead } from './log.ts';

type Parts = Pick<VaultDependencies, 'store' | 'records' | 'keys'>;

/** An organization by the name and the id of its record in `local`. */
export interface NamedOrganization {
  readonly id: string;
  readonly name: string;
}

/** Newest first. Skips records that do not decrypt: comparing records with the log finds those. */
export async function* namedOrganizations(
  { store, records }: Parts,
  local: OrganizationKeyring,
): AsyncGenerator<NamedOrganization> {
  for await (const row of scanRows(store, listScope(local, 'organization', []))) {
    const meta = records.tryOpenMeta(local, row);
    if (typeof meta === 'object' && meta !== null && 'name' in meta && typeof meta.name === 'string')
      yield { id: idText(row.id), name: meta.name };
  }
}

/** `record_id`: the record of the organization in `local`. */
export type BrokenOrganization = Pick<AuditFinding, 'kind' | 'message'> & { readonly record_id: string };

export async function* findBrokenOrganizations(
  parts: Parts,
  local: OrganizationKeyring,
): AsyncGenerator<BrokenOrganization> {
  for await (const { id, name } of namedOrganizations(parts, local)) {
    const problem = await problemOf(parts, name);
    if (problem !== undefined) yield { ...problem, record_id: id };
    await yieldToEventLoop();
  }
}

async function problemOf(
  { store, keys }: Parts,
  name: string,
): Promise<Pick<AuditFinding, 'kind' | 'message'> | undefined> {
  try {
    const keyring = await keys.organization(name);
    // Not only the keyring, which may be cached.
    if (keyring === undefined || (await store.wrappedKey(keyring.id)) === undefined)
      return {
        kind: 'record_missing',
        message: 'The key of an organization was erased, and with it all of its data.',
      };
    const head = await store.auditHead(keyring.id);
    if (head === undefined)
      return { kind: 'log_truncated', message: 'The audit log of an organization was erased.' };
    if (isAuthenticHead(keyring, head)) return undefined;
    return {
      kind: 'log_truncated',
      message: 'The audit log of an organization was truncated or rolled back.',
    };
  } catch (error) {
    if (!(error instanceof VaultError) || error.code !== 'CORRUPT') throw error;
    return { kind: 'record_damaged', message: 'The key of an organization was changed.' };
  }
}
