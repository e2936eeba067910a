/**
 * Requests a client to open the page of a tool's result (URL elicitation), if it declares that it can. In 2026-07-28 the client
 * calls again with the user's decision; in 2025-11-25 the server sends a request, and the result does not wait for the
 * user. "accept" only means that the page was opened.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CLIENT_CAPABILITIES_META_KEY,
  createRequestStateCodec,
  type InputRequiredResult,
  inputRequired,
  inputResponse,
  ProtocolError,
  ProtocolErrorCode,
  type RequestStateCodec,
  type Server,
  type ServerContext,
} from '@modelcontextprotocol/server';
import type { Caller } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { HANDLE_AGE_MS } from '../contract/limits.ts';
import type { ToolPage } from '../contract/tool.ts';

export type ProtocolEra = 'legacy' | 'modern';

/** Long enough for a client that decides without its user, such as one that declines everything. */
const IMMEDIATE_RESPONSE_MS = 500;
const INPUT_KEY = 'page';

/** Of a call that returned `input_required`, signed. Has nothing that the client may not see. */
export interface PageState {
  readonly tool: string;
  readonly page_id: string;
  /** The result if the user does not decline. */
  readonly result: {
    readonly content: { readonly type: 'text'; readonly text: string }[];
    readonly structuredContent: object;
  };
}

/** Bound to the principal: the state of another caller is refused. */
export function pageStateCodec(key: Uint8Array, caller: Caller): RequestStateCodec<PageState> {
  const principal = JSON.stringify([caller.organization, caller.user, caller.api_key_id ?? null]);
  return createRequestStateCodec<PageState>({
    key,
    ttlSeconds: HANDLE_AGE_MS / 1000,
    bind: ({ mcpReq }) => `${mcpReq.method}\0${principal}`,
  });
}

/** Whether the client declares URL elicitation: in the envelope of the request, or in `initialize`. */
export function opensPages(server: Server, era: ProtocolEra, { mcpReq }: ServerContext): boolean {
  const { [CLIENT_CAPABILITIES_META_KEY]: of_request } = Object(mcpReq.envelope);
  const capabilities = era === 'modern' ? of_request : server.getClientCapabilities();
  return Object(Object(capabilities).elicitation).url !== undefined;
}

/** The result of a first call in 2026-07-28. */
export async function requirePage(
  codec: RequestStateCodec<PageState>,
  context: ServerContext,
  { url, message }: ToolPage,
  state: PageState,
): Promise<InputRequiredResult> {
  const request = inputRequired.elicitUrl({ message, url });
  const requestState = await codec.mint(state, context);
  return inputRequired({ inputRequests: { [INPUT_KEY]: request }, requestState });
}

/** The result of the second call. Throws FORBIDDEN if the user declined. */
export async function resumePage(
  state: PageState,
  tool: string,
  { mcpReq }: ServerContext,
  decline: (page_id: string) => Promise<void>,
): Promise<PageState['result']> {
  if (state.tool !== tool)
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'requestState is of another tool.');
  const response = inputResponse(mcpReq.inputResponses, INPUT_KEY);
  if (response.kind === 'elicit' && response.action === 'decline') {
    await decline(state.page_id);
    throw pageDeclined();
  }
  return state.result;
}

/**
 * Sends the request in 2025-11-25. Throws FORBIDDEN if the client declines at once; a later decision is handled in the
 * background.
 */
export async function pushPage(
  server: Server,
  { url, message, id }: ToolPage,
  request_id: string,
  decline: (page_id: string) => Promise<void>,
): Promise<void> {
  const request = { mode: 'url', message, url, elicitationId: request_id } as const;
  const decided = server
    .elicitInput(request, { timeout: HANDLE_AGE_MS })
    .then(async ({ action }) => {
      if (action === 'decline') await decline(id);
      return action;
    })
    // A client that fails, or is closed: the user has the URL in the result.
    .catch(() => undefined);
  const action = await Promise.race([decided, sleep(IMMEDIATE_RESPONSE_MS, undefined, { ref: false })]);
  if (action === 'decline') throw pageDeclined();
}

function pageDeclined(): VaultError {
  return new VaultError('FORBIDDEN', 'The user declined to open the page, so nothing was stored.', {
    reason: 'handle_declined',
    next: 'Do not repeat the call unless the user wants it.',
  });
}
