/** What callers with the scope `audit:read` do with the log of an organization: list entries, count uses, verify. */
import {
  type AuditFilter,
  type AuditPage,
  AuditPaging,
  AuditQuery,
  type AuditReport,
  UseCountInput,
  type UseCounts,
} from '../../contract/audit.ts';
import type { Caller } from '../../contract/caller.ts';
import { LIST_PAGE_MAX } from '../../contract/limits.ts';
import { parseInput } from '../../contract/validation.ts';
import type { OrganizationOption } from '../../contract/vault_client.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { Guard } from '../guard.ts';
import { countUses } from './use_counts.ts';
import { AuditVerifier, type VerifyOptions } from './verifier.ts';

export class AuditReads {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;

  constructor(parts: VaultDependencies, guard: Guard) {
    this.#parts = parts;
    this.#guard = guard;
  }

  /** Entries of the caller's organization, newest first, 100 at most. */
  async list(
    caller: Caller,
    raw: AuditFilter = {},
    limit = LIST_PAGE_MAX,
    before?: number,
  ): Promise<AuditPage> {
    const { organization, ...filter } = parseInput(AuditQuery, raw);
    const page = parseInput(AuditPaging, { limit, before });
    const service_id = filter.service_id && this.#slugOf(filter.service_id);
    const { keyring } = await this.#guard.authorizeIn(caller, organization, 'audit:read', 'list_audit');
    return this.#parts.audit_log.list(keyring, { ...filter, service_id }, page.limit, page.before);
  }

  /** Uses and refused uses of each of the last `days` days, today included. Reads a bounded number of entries. */
  async countUses(caller: Caller, days: number, service_id?: string): Promise<UseCounts> {
    const input = parseInput(UseCountInput, { days, service_id });
    const slug = input.service_id && this.#slugOf(input.service_id);
    const { keyring } = await this.#guard.authorizeIn(caller, undefined, 'audit:read', 'list_audit');
    const { audit_log, now } = this.#parts;
    return countUses(audit_log.newestFirst(keyring), now(), input.days, slug);
  }

  /** Compares the whole log with the records. Changes no record. */
  async verify(caller: Caller, options: VerifyOptions & OrganizationOption = {}): Promise<AuditReport> {
    const scope = options.accept ? 'org:admin' : 'audit:read';
    const { keyring } = await this.#guard.authorizeIn(caller, options.organization, scope, 'verify_audit');
    return new AuditVerifier(this.#parts, keyring, options).run();
  }

  /** Entries have the slug, which is the only id of a service that is no longer defined. */
  #slugOf(service_id: string): string {
    return this.#parts.services.find(service_id)?.slug ?? service_id;
  }
}
