/** The methods of the client that involve a person: enter values, connect with OAuth, decide on access and on approvals. */
import type { AccessRequest, RequestAccessInput } from '../contract/access_request.ts';
import type { Approval, ApprovalChoiceInput, ApprovalList } from '../contract/approval.ts';
import type {
  ConnectDescription,
  ConnectInput,
  DeviceState,
  StartedConnection,
  StartedDevice,
} from '../contract/connection.ts';
import type { CredentialStatusInput } from '../contract/credential.ts';
import type { HandleInput, PendingHandle, PolledHandle } from '../contract/handle.ts';
import { HANDLE_PATTERN } from '../contract/patterns.ts';
import type { PersonRequests } from '../contract/vault_client.ts';
import type { ServerConnection } from './connection.ts';
import { validId } from './inputs.ts';
import { KeyholdError } from './keyhold_error.ts';

/** Every method rejects with KeyholdError. */
export class PersonClient implements PersonRequests {
  readonly #server: ServerConnection;

  constructor(server: ServerConnection) {
    this.#server = server;
  }

  /**
   * Requests values for a credential. Give `url` and `code` to the person, who signs in and enters the values there; then call
   * `getHandle`, at most every `retry_after_ms`.
   */
  async createHandle(input: HandleInput): Promise<PendingHandle> {
    return this.#server.call('handle', 'POST', '/v1/handles', { body: input });
  }

  /** Whether the person has entered the values. NOT_FOUND unless the handle was created with the same API key. */
  async getHandle(handle: string): Promise<PolledHandle> {
    return this.#server.call('state', 'POST', '/v1/handles/status', {
      body: { handle: validHandle(handle) },
    });
  }

  /** Ends a handle of the user without values. */
  async declineHandle(handle: string): Promise<void> {
    await this.#server.call('success', 'POST', '/v1/handles/decline', {
      body: { handle: validHandle(handle) },
    });
  }

  /** Requests a service, in the catalogue or not. The person decides at `url`, and enters the values. */
  async requestAccess(input: RequestAccessInput): Promise<AccessRequest> {
    return this.#server.call('approval_id', 'POST', '/v1/access-requests', { body: input });
  }

  /** The access request for a credential that waits or was accepted; `null` without one, and once values are stored. */
  async getAccessRequest(
    input: Pick<CredentialStatusInput, 'service_id' | 'stack_id' | 'name'>,
  ): Promise<AccessRequest | null> {
    type Body = { access_request: AccessRequest | null };
    const { access_request } = await this.#server.call<Body>('access_request', 'GET', '/v1/access-requests', {
      query: input,
    });
    return access_request;
  }

  /** How a person connects a service with OAuth, and which fields are stored before. */
  async describeConnection(input: Omit<ConnectInput, 'scopes'>): Promise<ConnectDescription> {
    return this.#server.call('grants', 'GET', '/v1/connections', { query: input });
  }

  /**
   * Starts a connection. Open `authorization_url` in the browser of the person, who is signed in on the pages as the same user;
   * then poll with `getCredentialStatus`. INVALID_INPUT if a required field has no value.
   */
  async startConnection(input: ConnectInput): Promise<StartedConnection> {
    return this.#server.call('authorization_url', 'POST', '/v1/connections', { body: input });
  }

  /** Starts a connection with a code, which the person enters at `verification_uri`. Throws as `startConnection`. */
  async startDeviceConnection(input: ConnectInput): Promise<StartedDevice> {
    return this.#server.call('user_code', 'POST', '/v1/connections/device', { body: input });
  }

  /** Whether the person has entered the code. NOT_FOUND unless it was started with the same API key. */
  async getDeviceConnection(device_id: string): Promise<DeviceState> {
    const id = validId(device_id, 'device_id must be the id that startDeviceConnection returned.');
    return this.#server.call('state', 'GET', `/v1/connections/device/${id}`);
  }

  /** Approvals, newest first, 100 at most: by default those that wait for a decision. Needs a key with `approvals:decide`. */
  async listApprovals(which?: ApprovalList, organization?: string): Promise<readonly Approval[]> {
    type Body = { approvals: readonly Approval[] };
    const query = { list: which, organization };
    return (await this.#server.call<Body>('approvals', 'GET', '/v1/approvals', { query })).approvals;
  }

  async getApproval(id: string, organization?: string): Promise<Approval> {
    return this.#server.call('kind', 'GET', approvalPath(id), { query: { organization } });
  }

  /**
   * Approves: a request once, or as `choice` has it. FORBIDDEN for a request that was made with the key of this client;
   * CONFLICT if it was decided before.
   */
  async approve(id: string, choice: ApprovalChoiceInput = {}, organization?: string): Promise<Approval> {
    return this.#decide(id, 'approve', organization, choice);
  }

  /** Denies. What was requested never happens. Throws as `approve`. */
  async deny(id: string, organization?: string): Promise<Approval> {
    return this.#decide(id, 'deny', organization);
  }

  /** Ends an approval of a request that is in force. NOT_FOUND for any other. */
  async revokeApproval(id: string, organization?: string): Promise<Approval> {
    return this.#decide(id, 'revoke', organization);
  }

  #decide(
    id: string,
    decision: 'approve' | 'deny' | 'revoke',
    organization: string | undefined,
    body?: object,
  ): Promise<Approval> {
    const options = { query: { organization }, ...(body === undefined ? {} : { body }) };
    return this.#server.call('kind', 'POST', `${approvalPath(id)}/${decision}`, options);
  }
}

function approvalPath(id: string): string {
  return `/v1/approvals/${validId(id, 'id must be the id of an approval: a UUID from listApprovals.')}`;
}

/** Sends nothing else, such as a value that was given by mistake. */
function validHandle(handle: string): string {
  if (typeof handle === 'string' && HANDLE_PATTERN.test(handle)) return handle;
  throw new KeyholdError('INVALID_INPUT', 'handle must be the handle that createHandle returned.');
}
