/** Builds the request of a call without the credential, and what policy, approver and audit log see of it. */
import { createHash } from 'node:crypto';
import type * as z from 'zod';
import type { CallInput } from '../../../contract/use/call.ts';
import type { UsableCredential, UseRequest } from '../../../vault/uses/use.ts';
import type { PlainRequest } from './authentication.ts';
import { buildBody, shownBody } from './body.ts';
import { buildHeaders } from './headers.ts';
import { assertNoMethodOverride } from './method_override.ts';
import {
  assertPlaceable,
  assertUsedOverHttp,
  baseUrlOf,
  ownParameters,
  type Placement,
  placementOf,
} from './placement.ts';
import { hasField } from './templates.ts';
import { buildUrl } from './url.ts';

export type ParsedCall = z.output<typeof CallInput>;

export interface PreparedCall {
  readonly input: ParsedCall;
  readonly credential: UsableCredential;
  readonly placement: Placement;
  readonly request: PlainRequest;
  readonly use: UseRequest & { readonly origin: string };
}

/** Throws INVALID_INPUT for a request that cannot be sent, and FORBIDDEN for another host. */
export function prepareCall(credential: UsableCredential, input: ParsedCall): PreparedCall {
  assertUsedOverHttp(credential);
  const url = buildUrl(input, {
    base_url: baseUrlOf(credential),
    origins: credential.destination.origins,
    own_parameters: ownParameters(credential),
  });
  const placement = placementOf(credential, url);
  const { body, headers } = buildContent(input, credential, placement);
  assertNoMethodOverride(url.query, body);
  const { method = 'GET', reason } = input;
  const request = { method, url, headers, body };
  const use = {
    kind: 'http' as const,
    method,
    origin: url.origin,
    path: url.path,
    hash: hashOf(request, input.headers ?? {}),
    summary: `${method} ${url.origin}${url.path}${url.query === '' ? '' : `?${url.query}`}`,
    headers: input.headers,
    body: shownBody(body),
    reason,
  };
  return { input, credential, placement, request, use };
}

function buildContent(input: ParsedCall, { service }: UsableCredential, placement: Placement) {
  const given = input.headers ?? {};
  const defaults = Object.entries(placement.default_headers).filter(([, template]) => !hasField(template));
  const { idempotency_header } = service;
  if (idempotency_header !== undefined && input.idempotency_key !== undefined)
    defaults.push([idempotency_header, input.idempotency_key]);
  const headers = new Map(buildHeaders(given, Object.fromEntries(defaults), placement.headers));
  const body = buildBody(input, headers.get('content-type'));
  headers.delete('content-type');
  assertPlaceable(placement, body);
  return { body, headers };
}

/** Over all that the caller decides: an approval is for this request only. */
function hashOf({ method, url, body }: PlainRequest, given: Readonly<Record<string, string>>): string {
  const headers = Object.entries(given).map(([name, value]) => [name.toLowerCase(), value] as const);
  const in_order = headers.sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([method, url, in_order, body.content_type ?? null]))
    .update('\n')
    .update(body.bytes ?? '')
    .digest('base64url');
}
