/**
 * The record of an approval of a use, and what it is bound to. Until it is granted for more than one request, its key is the
 * whole request; a grant's key is what it covers. Pure functions.
 */
import { hash } from 'node:crypto';
import { Approval, type ApprovalChoice, type Waiting } from '../../contract/approval.ts';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import {
  USE_APPROVAL_AGE_MS,
  USE_BODY_SHOWN_MAX_CHARACTERS,
  USE_GRANT_MAX_MS,
  USE_GRANT_USES_MAX,
  USE_HEADER_SHOWN_MAX_CHARACTERS,
  USE_REASON_MAX_CHARACTERS,
  USE_SUMMARY_SHOWN_MAX_CHARACTERS,
} from '../../contract/limits.ts';
import { GRANT_EXTENTS, type GrantExtent } from '../../contract/use/rules.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { Versioned } from '../records/entity_repository.ts';
import type { UsableCredential, UseRequest } from '../uses/use.ts';

/** What a grant permits beyond one request, and how often it was used. */
export interface UseGrant {
  readonly for: ApprovalChoice['for'];
  readonly each: GrantExtent;
  readonly uses: number;
  readonly uses_max: number;
  readonly last_used_at: string | null;
}

/** The parts of a request that a grant can be for. Approvals of earlier versions have none. */
interface Target {
  readonly kind: UseRequest['kind'];
  readonly hash: string;
  readonly method: string | null;
  readonly origin: string | null;
  readonly path: string | null;
}

/** What the person who decides sees, and the decision. */
export interface UseApproval {
  /** SHA-256, base64url, of what the approval is bound to; its key. */
  readonly binding: string;
  /** Who made the request. */
  readonly user: string;
  readonly api_key_id: string | null;
  /** See `Caller.session_id`. */
  readonly session_id?: string | null;
  readonly edge: string;
  readonly claimed_client: string | null;
  /** The user whose credential it is. Absent: `user`. */
  readonly owner?: string;
  readonly service: string;
  readonly stack: string;
  readonly name: string | null;
  readonly credential_id: string;
  readonly target?: Target;
  readonly summary: string;
  /** The headers that the caller gave. Approvals of earlier versions have none. */
  readonly headers?: readonly string[];
  /** The begin of the body, as the caller gave it. */
  readonly body: string | null;
  readonly reason: string | null;
  readonly created_at: string;
  readonly expires_at: string;
  /** `granted`: permits uses as `grant` has it, until it expires. */
  readonly state: 'pending' | 'approved' | 'denied' | 'used' | 'granted';
  readonly decided_at: string | null;
  readonly decided_by?: string;
  readonly grant?: UseGrant;
}

/** The parts of a use that its approval is bound to. */
export interface BoundUse {
  readonly caller: Caller;
  readonly keyring: OrganizationKeyring;
  readonly credential: UsableCredential;
  readonly request: UseRequest;
}

/** What one approval of one request is bound to. */
export function requestBinding({ caller, credential, request }: BoundUse): string {
  const { credential_id, stable_revision } = credential;
  return bindingOf([credential_id, stable_revision, request.hash, caller.user, caller.api_key_id ?? null]);
}

/** What the grants that cover the use are bound to: for this session or any, for the request, its endpoint or its host. */
export function grantBindings({ caller, credential, request }: BoundUse): readonly string[] {
  const { user, api_key_id = null, session_id } = caller;
  const { credential_id } = credential;
  const target = targetOf(request);
  return [null, ...(session_id === undefined ? [] : [session_id])].flatMap((session) =>
    GRANT_EXTENTS.flatMap((each) => {
      const covered = coveredBy(each, target);
      return covered === undefined ? [] : [grantBinding([credential_id, user, api_key_id, session], covered)];
    }),
  );
}

function grantBinding(caller: readonly (string | null)[], covered: readonly string[]): string {
  return bindingOf(['grant', ...caller, ...covered]);
}

function bindingOf(bound: readonly (string | number | null)[]): string {
  return hash('sha256', JSON.stringify(bound), 'base64url');
}

function targetOf({ kind, hash, method, origin, path }: UseRequest): Target {
  return { kind, hash, method: method ?? null, origin: origin ?? null, path: path ?? null };
}

/** What equal uses have in common; `undefined` if the use has no such part, as a child process has no host. */
function coveredBy(each: GrantExtent, target: Target): readonly string[] | undefined {
  const { kind, hash, method, origin, path } = target;
  if (each === 'request') return ['request', kind, hash];
  if (kind !== 'http' || method === null || origin === null || path === null) return undefined;
  return each === 'host' ? ['host', origin] : ['endpoint', method, origin, path];
}

export function newApproval(use: BoundUse, binding: string, now: Date): UseApproval {
  const { caller, credential, request } = use;
  return {
    binding,
    user: caller.user,
    api_key_id: caller.api_key_id ?? null,
    session_id: caller.session_id ?? null,
    edge: caller.edge,
    claimed_client: caller.claimed_client ?? null,
    owner: credential.user,
    service: credential.service.slug,
    stack: credential.stack,
    name: credential.name,
    credential_id: credential.credential_id,
    target: targetOf(request),
    summary: shortened(request.summary, USE_SUMMARY_SHOWN_MAX_CHARACTERS),
    headers: Object.entries(request.headers ?? {}).map(
      ([header, value]) => `${header}: ${shortened(value, USE_HEADER_SHOWN_MAX_CHARACTERS)}`,
    ),
    body: request.body === undefined ? null : shortened(request.body, USE_BODY_SHOWN_MAX_CHARACTERS),
    reason: request.reason === undefined ? null : shortened(request.reason, USE_REASON_MAX_CHARACTERS),
    created_at: now.toISOString(),
    expires_at: new Date(now.getTime() + USE_APPROVAL_AGE_MS).toISOString(),
    state: 'pending',
    decided_at: null,
  };
}

/** The approval as the person has decided. Throws INVALID_INPUT for a choice that this request does not have. */
export function approvedAs(meta: UseApproval, choice: ApprovalChoice, now: Date): UseApproval {
  const { each, minutes } = choice;
  if (choice.for === 'once' && each === 'request') return { ...meta, state: 'approved' };
  const covered = meta.target && coveredBy(each, meta.target);
  if (covered === undefined)
    throw new VaultError(
      'INVALID_INPUT',
      'This request has no endpoint and no host: approve the request alone.',
    );
  const { user, api_key_id, session_id = null, credential_id } = meta;
  const in_session = choice.for === 'session';
  if (in_session && session_id === null)
    throw new VaultError(
      'INVALID_INPUT',
      'The caller of this request has no session, as `keyhold mcp` has. Approve it once or for a duration.',
    );
  if (choice.for === 'duration' && minutes === undefined)
    throw new VaultError('INVALID_INPUT', 'A duration needs its minutes.');
  const age_ms = minutes === undefined ? USE_GRANT_MAX_MS : minutes * 60_000;
  const is_once = choice.for === 'once';
  return {
    ...meta,
    binding: grantBinding([credential_id, user, api_key_id, in_session ? session_id : null], covered),
    state: 'granted',
    expires_at: is_once ? meta.expires_at : new Date(now.getTime() + age_ms).toISOString(),
    grant: {
      for: choice.for,
      each,
      uses: 0,
      uses_max: is_once ? 1 : USE_GRANT_USES_MAX,
      last_used_at: null,
    },
  };
}

/** A person must see that there is more than what is shown. */
function shortened(text: string, max: number): string {
  if (text.length <= max) return text;
  return `(the first ${max} of ${text.length} characters) ${text.slice(0, max)}`;
}

export function describeUseApproval({ id, meta }: Versioned<UseApproval>, organization: string): Approval {
  const { user, owner = user, target, grant } = meta;
  const is_http = target?.kind === 'http' && target.origin !== null;
  return Approval.parse({
    id,
    kind: 'request',
    state: meta.state,
    created_at: meta.created_at,
    expires_at: meta.expires_at,
    organization,
    user: owner,
    summary: meta.summary,
    service_id: meta.service,
    credential_id: meta.credential_id,
    stack_id: meta.stack,
    name: meta.name,
    requested_by: owner === user ? requester(meta) : `${requester(meta)}, user ${user}`,
    bound_origins: null,
    new_origins: null,
    fields: [],
    reason: meta.reason,
    headers: [...(meta.headers ?? [])],
    body: meta.body,
    endpoint: is_http ? `${target.method ?? ''} ${target.origin ?? ''}${target.path ?? ''}` : null,
    host: is_http ? target.origin : null,
    has_session: (meta.session_id ?? null) !== null,
    decided_at: meta.decided_at,
    decided_by: meta.decided_by ?? null,
    grant: grant ?? null,
    access: null,
  } satisfies Approval);
}

/** For a notification: without the query, which may have personal data. */
export function waitingUse({ id, meta }: Versioned<UseApproval>, organization: string): Waiting {
  const { user, owner = user, service, target, created_at, expires_at } = meta;
  const { method, origin = null, path } = target ?? {};
  const use = origin === null ? `a command with ${service}` : `${method} ${origin}${path ?? ''}`;
  const summary = `${requester(meta)} requests ${shortened(use, USE_SUMMARY_SHOWN_MAX_CHARACTERS)}`;
  const waiting = { kind: 'request', approval_id: id, organization, user: owner, summary } as const;
  return { ...waiting, code: null, created_at, expires_at };
}

/** The interface, and the API key and the client as far as known. */
export function requester({
  edge,
  api_key_id,
  claimed_client,
}: Pick<UseApproval, 'edge' | 'api_key_id' | 'claimed_client'>): string {
  const key = api_key_id === null ? '' : `, API key ${api_key_id}`;
  return `${edge}${key}${claimed_client === null ? '' : `, client ${claimed_client}`}`;
}
