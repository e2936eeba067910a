/**
 * Decisions that only a person makes, at the command line on the machine of the vault: never over an API key, MCP or a
 * page. One list of all kinds; each kind is a file of its own.
 */
import { Approval } from '../../contract/approval.ts';
import { type Caller, isLocalCommandLine } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { LIST_PAGE_MAX } from '../../contract/limits.ts';
import type { Guard } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { Versioned } from '../records/entity_repository.ts';
import { type DestinationApprovals, noSuchApproval } from './destination_approvals.ts';
import { requester, type UseApproval, type UseApprovals } from './use_approvals.ts';
import type { ValueApprovals } from './value_approvals.ts';

export class Approvals {
  readonly #guard: Guard;
  readonly #destinations: DestinationApprovals;
  readonly #requests: UseApprovals;
  readonly #values: ValueApprovals;

  constructor(
    guard: Guard,
    destinations: DestinationApprovals,
    requests: UseApprovals,
    values: ValueApprovals,
  ) {
    this.#guard = guard;
    this.#destinations = destinations;
    this.#requests = requests;
    this.#values = values;
  }

  /** What waits for a decision in an organization, newest first, 100 at most. */
  async list(caller: Caller, organization?: string): Promise<readonly Approval[]> {
    const { keyring, actor } = await this.#authorize(caller, organization);
    const requests = await this.#requests.list(keyring);
    const pending = [
      ...(await this.#destinations.list(keyring, actor)),
      ...(await this.#values.list(keyring, actor)),
      ...requests
        .filter(({ meta }) => meta.state === 'pending')
        .map((found) => describeRequest(found, actor.organization)),
    ];
    return pending.sort((a, b) => (a.created_at < b.created_at ? 1 : -1)).slice(0, LIST_PAGE_MAX);
  }

  /** Also a request that was decided. Throws NOT_FOUND for an unknown and an expired id. */
  async get(caller: Caller, id: string, organization?: string): Promise<Approval> {
    const { keyring, actor } = await this.#authorize(caller, organization);
    return this.#find(keyring, actor, id);
  }

  /** Throws as `get`; CONFLICT for a request that was decided before, and for values whose credential has changed. */
  async approve(caller: Caller, id: string, organization?: string): Promise<Approval> {
    const { keyring, actor } = await this.#authorize(caller, organization);
    const found = await this.#find(keyring, actor, id);
    if (found.kind === 'destination') return this.#destinations.approve(keyring, actor, id);
    if (found.kind === 'stored_values') return this.#values.approve(keyring, actor, id);
    await this.#requests.decide(actor, keyring, id, 'approved');
    return { ...found, state: 'approved' };
  }

  /** Throws as `approve`; INVALID_INPUT for a destination. */
  async deny(caller: Caller, id: string, organization?: string): Promise<Approval> {
    const { keyring, actor } = await this.#authorize(caller, organization);
    const found = await this.#find(keyring, actor, id);
    if (found.kind === 'destination') return this.#destinations.deny(found);
    if (found.kind === 'stored_values') return this.#values.deny(keyring, actor, id);
    await this.#requests.decide(actor, keyring, id, 'denied');
    return { ...found, state: 'denied' };
  }

  async #authorize(caller: Caller, organization: string | undefined) {
    const action = 'approve_destination';
    const authorized = await this.#guard.authorizeIn(caller, organization, 'org:admin', action);
    await this.#guard.auditDenials(caller, authorized.home, action, ['FORBIDDEN'], null, () => {
      if (!isLocalCommandLine(caller)) throw notAPerson();
    });
    return authorized;
  }

  async #find(keyring: OrganizationKeyring, actor: Caller, id: string): Promise<Approval> {
    const request = await this.#requests.get(keyring, id);
    if (request !== undefined) return describeRequest(request, actor.organization);
    const values = await this.#values.find(keyring, actor, id);
    if (values !== undefined) return values;
    const destination = await this.#destinations.find(keyring, actor, id);
    if (destination === undefined) throw noSuchApproval();
    return destination;
  }
}

function describeRequest({ id, meta }: Versioned<UseApproval>, organization: string): Approval {
  return Approval.parse({
    id,
    kind: 'request',
    state: meta.state,
    created_at: meta.created_at,
    expires_at: meta.expires_at,
    organization,
    user: meta.user,
    summary: meta.summary,
    service_id: meta.service,
    credential_id: meta.credential_id,
    stack_id: meta.stack,
    name: meta.name,
    requested_by: requester(meta),
    bound_origins: null,
    new_origins: null,
    fields: [],
    reason: meta.reason,
    headers: [...(meta.headers ?? [])],
    body: meta.body,
  } satisfies Approval);
}

function notAPerson(): VaultError {
  const message = 'A person decides on approvals, with `keyhold approvals` on the machine of the vault.';
  return new VaultError('FORBIDDEN', message);
}
