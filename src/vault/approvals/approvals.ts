/**
 * Decisions that only a person makes: at the command line on the machine of the vault, or signed in at a page. Never a
 * caller over MCP or REST. One list of all kinds; each kind is a file of its own.
 */
import { Approval } from '../../contract/approval.ts';
import { type Caller, canUseService, isPerson } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { LIST_PAGE_MAX } from '../../contract/limits.ts';
import { type Guard, isStackAllowed, mayActFor } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { Versioned } from '../records/entity_repository.ts';
import { type DestinationApprovals, noSuchApproval } from './destination_approvals.ts';
import { requester, type UseApproval, type UseApprovals } from './use_approvals.ts';
import type { FoundApproval, ValueApprovals } from './value_approvals.ts';

const ACTION = 'approve_destination';

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

  /**
   * What waits for a decision, newest first, 100 at most: about credentials of the caller's user, or of the whole
   * organization for an administrator.
   */
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
    return pending
      .filter((approval) => isVisible(actor, approval))
      .sort((a, b) => (a.created_at < b.created_at ? 1 : -1))
      .slice(0, LIST_PAGE_MAX);
  }

  /** Also a request that was decided. Throws NOT_FOUND for an unknown and an expired id, and for that of another user. */
  async get(caller: Caller, id: string, organization?: string): Promise<Approval> {
    const { keyring, actor } = await this.#authorize(caller, organization);
    return (await this.#find(keyring, actor, id)).approval;
  }

  /**
   * Throws as `get`; FORBIDDEN for a request that was made with the caller's API key; CONFLICT for a request that was
   * decided before, and for values whose credential has changed.
   */
  async approve(caller: Caller, id: string, organization?: string): Promise<Approval> {
    const { keyring, actor, found } = await this.#decidable(caller, id, organization);
    if (found.kind === 'destination') return this.#destinations.approve(keyring, actor, id);
    if (found.kind === 'stored_values') return this.#values.approve(keyring, actor, id);
    await this.#requests.decide(actor, keyring, id, 'approved');
    return { ...found, state: 'approved' };
  }

  /** Throws as `approve`; INVALID_INPUT for a destination. */
  async deny(caller: Caller, id: string, organization?: string): Promise<Approval> {
    const { keyring, actor, found } = await this.#decidable(caller, id, organization);
    if (found.kind === 'destination') return this.#destinations.deny(found);
    if (found.kind === 'stored_values') return this.#values.deny(keyring, actor, id);
    await this.#requests.decide(actor, keyring, id, 'denied');
    return { ...found, state: 'denied' };
  }

  async #authorize(caller: Caller, organization: string | undefined) {
    const authorized = await this.#guard.authorizeIn(caller, organization, 'approvals:decide', ACTION);
    await this.#guard.auditDenials(caller, authorized.home, ACTION, ['FORBIDDEN'], null, () => {
      if (!isPerson(caller)) throw notAPerson();
    });
    return authorized;
  }

  async #decidable(caller: Caller, id: string, organization: string | undefined) {
    const { home, keyring, actor } = await this.#authorize(caller, organization);
    const { approval, api_key_id } = await this.#find(keyring, actor, id);
    await this.#guard.auditDenials(caller, home, ACTION, ['FORBIDDEN'], null, () => {
      if (api_key_id !== null && api_key_id === caller.api_key_id) throw ownRequest();
    });
    return { keyring, actor, found: approval };
  }

  async #find(keyring: OrganizationKeyring, actor: Caller, id: string): Promise<FoundApproval> {
    const found = await this.#findAny(keyring, actor, id);
    if (found === undefined || !isVisible(actor, found.approval)) throw noSuchApproval();
    return found;
  }

  async #findAny(
    keyring: OrganizationKeyring,
    actor: Caller,
    id: string,
  ): Promise<FoundApproval | undefined> {
    const request = await this.#requests.get(keyring, id);
    if (request !== undefined) {
      const approval = describeRequest(request, actor.organization);
      return { approval, api_key_id: request.meta.api_key_id };
    }
    const values = await this.#values.find(keyring, actor, id);
    if (values !== undefined) return values;
    const destination = await this.#destinations.find(keyring, actor, id);
    return destination && { approval: destination, api_key_id: null };
  }
}

/** Whether the approval is about a credential that the caller, with its API key's restrictions, may decide on. */
function isVisible(actor: Caller, { user, stack_id, service_id }: Approval): boolean {
  return mayActFor(actor, user) && isStackAllowed(actor, stack_id) && canUseService(actor, service_id);
}

function describeRequest({ id, meta }: Versioned<UseApproval>, organization: string): Approval {
  return Approval.parse({
    id,
    kind: 'request',
    state: meta.state,
    created_at: meta.created_at,
    expires_at: meta.expires_at,
    organization,
    user: meta.owner ?? meta.user,
    summary: meta.summary,
    service_id: meta.service,
    credential_id: meta.credential_id,
    stack_id: meta.stack,
    name: meta.name,
    requested_by: requesterOf(meta),
    bound_origins: null,
    new_origins: null,
    fields: [],
    reason: meta.reason,
    headers: [...(meta.headers ?? [])],
    body: meta.body,
  } satisfies Approval);
}

/** Names the user if another one owns the credential. */
function requesterOf(meta: UseApproval): string {
  const by = requester(meta);
  return meta.owner === undefined || meta.owner === meta.user ? by : `${by}, user ${meta.user}`;
}

function notAPerson(): VaultError {
  const message =
    'A person decides on approvals: on the pages of Keyhold, or with `keyhold approvals` on the machine of the vault.';
  return new VaultError('FORBIDDEN', message);
}

function ownRequest(): VaultError {
  const message =
    'The API key that made this request cannot decide on it. Sign in with another key, or run `keyhold approvals` on the machine of the vault.';
  return new VaultError('FORBIDDEN', message);
}
