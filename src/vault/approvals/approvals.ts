/**
 * Decisions that only a person makes: at the command line on the machine of the vault, signed in at a page, or over REST with
 * an API key that a person gave the scope for it. Never over MCP. One list of all kinds; each kind is a file of its own.
 */
import type { AcceptAccessInput } from '../../contract/access_request.ts';
import {
  type Approval,
  ApprovalChoice,
  type ApprovalChoiceInput,
  type ApprovalList,
} from '../../contract/approval.ts';
import { type Caller, canUseService, decidesOnApprovals } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { LIST_PAGE_MAX } from '../../contract/limits.ts';
import { parseInput } from '../../contract/validation.ts';
import { type Guard, isStackAllowed, mayActFor } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { AccessRequests } from './access_requests.ts';
import { type DestinationApprovals, noSuchApproval } from './destination_approvals.ts';
import { describeUseApproval } from './use_approval.ts';
import { isInForce, type UseApprovals } from './use_approvals.ts';
import type { FoundApproval, ValueApprovals } from './value_approvals.ts';

const ACTION = 'approve_destination';

export class Approvals {
  readonly #guard: Guard;
  readonly #destinations: DestinationApprovals;
  readonly #requests: UseApprovals;
  readonly #values: ValueApprovals;
  /** Requests of agents for services. */
  readonly access: AccessRequests;

  constructor(
    guard: Guard,
    destinations: DestinationApprovals,
    requests: UseApprovals,
    values: ValueApprovals,
    access: AccessRequests,
  ) {
    this.access = access;
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
    const pending = [
      ...(await this.#destinations.list(keyring, actor)),
      ...(await this.#pendingRequests(keyring, actor)),
    ];
    return newestVisible(actor, pending);
  }

  /** As `list`, without destinations, which are found by reading all credentials: the status of each reports it too. */
  async listRequests(caller: Caller): Promise<readonly Approval[]> {
    const { keyring, actor } = await this.#authorize(caller, undefined);
    return newestVisible(actor, await this.#pendingRequests(keyring, actor));
  }

  async #pendingRequests(keyring: OrganizationKeyring, actor: Caller): Promise<readonly Approval[]> {
    const requests = await this.#requests.list(keyring);
    return [
      ...(await this.#values.list(keyring, actor)),
      ...(await this.access.list(keyring, actor)),
      ...requests
        .filter(({ meta }) => meta.state === 'pending')
        .map((found) => describeUseApproval(found, actor.organization)),
    ];
  }

  /** `in_force`: approvals of requests that permit uses. `all`: all decided ones that have not expired. Else as `list`. */
  async listDecided(
    caller: Caller,
    which: 'in_force' | 'all',
    organization?: string,
  ): Promise<readonly Approval[]> {
    const { keyring, actor } = await this.#authorize(caller, organization);
    const requests = await this.#requests.list(keyring);
    const decided = requests.filter(({ meta }) =>
      which === 'in_force' ? isInForce(meta) : meta.state !== 'pending',
    );
    const described = decided.map((found) => describeUseApproval(found, actor.organization));
    const access = which === 'all' ? await this.access.listDecided(keyring, actor) : [];
    return newestVisible(actor, [...described, ...access]);
  }

  /** As `list` or `listDecided`. */
  listOf(caller: Caller, which: ApprovalList, organization?: string): Promise<readonly Approval[]> {
    if (which === 'pending') return this.list(caller, organization);
    return this.listDecided(caller, which === 'decided' ? 'all' : which, organization);
  }

  /** Also a request that was decided. Throws NOT_FOUND for an unknown and an expired id, and for that of another user. */
  async get(caller: Caller, id: string, organization?: string): Promise<Approval> {
    const { keyring, actor } = await this.#authorize(caller, organization);
    return (await this.#find(keyring, actor, id)).approval;
  }

  /**
   * Throws as `get`; FORBIDDEN for a request that was made with the caller's API key; CONFLICT for a request that was
   * decided before, and for values whose credential has changed; INVALID_INPUT for a choice that there is not. Only a request
   * has a choice of more than once, and only an access request one of limits.
   */
  async approve(
    caller: Caller,
    id: string,
    organization?: string,
    raw: ApprovalChoiceInput = {},
  ): Promise<Approval> {
    const choice = parseInput(ApprovalChoice, raw);
    const { keyring, actor, found } = await this.#decidable(caller, id, organization);
    if (found.kind !== 'request' && (choice.for !== 'once' || choice.each !== 'request')) throw noChoice();
    const { use_policy } = choice;
    if (found.kind !== 'access_request' && use_policy !== undefined) throw noLimits();
    if (found.kind === 'destination') return this.#destinations.approve(keyring, actor, id);
    if (found.kind === 'stored_values') return this.#values.approve(keyring, actor, id);
    if (found.kind === 'access_request') return this.access.accept(keyring, actor, id, { use_policy });
    return describeUseApproval(await this.#requests.decide(actor, keyring, id, choice), actor.organization);
  }

  /** Accepts an access request with limits. Throws as `approve`; NOT_FOUND for another kind. See `AccessRequests.accept`. */
  async accept(
    caller: Caller,
    id: string,
    limits: AcceptAccessInput = {},
    organization?: string,
  ): Promise<Approval> {
    const { keyring, actor, found } = await this.#decidable(caller, id, organization);
    if (found.kind !== 'access_request') throw noSuchApproval();
    return this.access.accept(keyring, actor, id, limits);
  }

  /** Throws as `approve`; INVALID_INPUT for a destination. */
  async deny(caller: Caller, id: string, organization?: string): Promise<Approval> {
    const { keyring, actor, found } = await this.#decidable(caller, id, organization);
    if (found.kind === 'destination') return this.#destinations.deny(found);
    if (found.kind === 'stored_values') return this.#values.deny(keyring, actor, id);
    if (found.kind === 'access_request') return this.access.deny(keyring, actor, id);
    return describeUseApproval(await this.#requests.decide(actor, keyring, id, 'deny'), actor.organization);
  }

  /** Ends an approval of a request that was not used yet, or a grant. Throws NOT_FOUND for any other. */
  async revoke(caller: Caller, id: string, organization?: string): Promise<Approval> {
    const { keyring, actor, found } = await this.#decidable(caller, id, organization);
    if (found.kind !== 'request') throw noSuchApproval();
    return describeUseApproval(await this.#requests.revoke(actor, keyring, id), actor.organization);
  }

  async #authorize(caller: Caller, organization: string | undefined) {
    const authorized = await this.#guard.authorizeIn(caller, organization, 'approvals:decide', ACTION);
    await this.#guard.auditDenials(caller, authorized.home, ACTION, ['FORBIDDEN'], null, () => {
      if (!decidesOnApprovals(caller)) throw notAPerson();
    });
    // What the decision changes, such as a protected credential, only a person changes.
    return { ...authorized, actor: { ...authorized.actor, is_person: true } as const };
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
      const approval = describeUseApproval(request, actor.organization);
      return { approval, api_key_id: request.meta.api_key_id };
    }
    const values = await this.#values.find(keyring, actor, id);
    if (values !== undefined) return values;
    const access = await this.access.find(keyring, actor, id);
    if (access !== undefined) return access;
    const destination = await this.#destinations.find(keyring, actor, id);
    return destination && { approval: destination, api_key_id: null };
  }
}

function newestVisible(actor: Caller, approvals: readonly Approval[]): readonly Approval[] {
  return approvals
    .filter((approval) => isVisible(actor, approval))
    .sort((a, b) => (a.created_at < b.created_at ? 1 : -1))
    .slice(0, LIST_PAGE_MAX);
}

/** Whether the approval is about a credential that the caller, with its API key's restrictions, may decide on. */
function isVisible(actor: Caller, { user, stack_id, service_id }: Approval): boolean {
  return mayActFor(actor, user) && isStackAllowed(actor, stack_id) && canUseService(actor, service_id);
}

function notAPerson(): VaultError {
  const message = 'A person decides on approvals: on the pages of Keyhold, or with `keyhold approvals`.';
  return new VaultError('FORBIDDEN', message);
}

function ownRequest(): VaultError {
  const message =
    'The API key that made this request cannot decide on it. Use another key, or run `keyhold approvals` on the machine of the vault.';
  return new VaultError('FORBIDDEN', message);
}

function noChoice(): VaultError {
  const message = 'Only a request can be approved for a session, a duration, an endpoint or a host.';
  return new VaultError('INVALID_INPUT', message);
}

function noLimits(): VaultError {
  const message = 'Only an access request is approved with a use policy. Set one for a credential instead.';
  return new VaultError('INVALID_INPUT', message);
}
