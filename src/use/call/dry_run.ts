/** Describes the request of a call without sending it. Opens no value. */
import type { CallView, DryRun } from '../../contract/use/call.ts';
import type { PreparedCall } from './request/prepare.ts';

/** `policy`: "allowed", or why the call would be refused. */
export function describeDryRun({ placement, request }: PreparedCall, policy: string): CallView {
  const { method, url, headers, body } = request;
  const names = [
    ...headers.keys(),
    ...placement.headers,
    ...(body.content_type === undefined ? [] : ['content-type']),
  ];
  const dry_run: DryRun = {
    method,
    url: `${url.origin}${url.path}${url.query === '' ? '' : `?${url.query}`}`,
    headers: [...new Set(names)].sort(),
    body_bytes: body.bytes?.length ?? 0,
    credential: [...placement.described],
    allowed: policy === 'allowed',
    policy,
  };
  return { output: { ok: dry_run.allowed, dry_run }, image: undefined };
}
