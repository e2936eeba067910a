/** Requests for small documents whose address an operator's setting names, such as the keys of an issuer of access tokens. */
import { decodeContent } from './decoder.ts';
import type { Egress, EgressRequest } from './egress.ts';

export interface DocumentLimits {
  /** For connecting and the whole response, after the host is resolved. */
  readonly time_ms: number;
  readonly body_bytes: number;
}

export interface DocumentResponse {
  readonly status: number;
  /** By name, in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly type: string | undefined;
  readonly body: Buffer;
}

/** Any ratio: the document is small. */
const RATIO_MAX = 1_000;

/**
 * The response to GET with any status, decoded; a redirect is not followed. Rejects as `Egress.resolve` and `Egress.request` do,
 * and with UPSTREAM past a limit. `headers`: user-agent and accept-encoding are added.
 */
export async function fetchDocument(
  egress: Egress,
  url: string,
  headers: Readonly<Record<string, string>>,
  limits: DocumentLimits,
): Promise<{ readonly status: number; readonly body: Buffer }> {
  return requestDocument(egress, url, { method: 'GET', headers }, limits);
}

/** As `fetchDocument`, with any method and a body. */
export async function requestDocument(
  egress: Egress,
  url: string,
  { headers, ...request }: Pick<EgressRequest, 'method' | 'headers' | 'body'>,
  { time_ms, body_bytes }: DocumentLimits,
): Promise<DocumentResponse> {
  const { origin, pathname, search } = new URL(url);
  const response = await egress.request(await egress.resolve(origin), {
    ...request,
    path: pathname + search,
    headers: { 'user-agent': 'keyhold', ...headers, 'accept-encoding': 'gzip' },
    timeout_ms: time_ms,
  });
  const header = (name: string) => response.headers.find(([one]) => one === name)?.[1];
  const chunks: Buffer[] = [];
  try {
    const limits = { decoded_bytes: body_bytes, ratio: RATIO_MAX };
    for await (const chunk of decodeContent(response.body, header('content-encoding'), limits))
      chunks.push(chunk);
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      type: header('content-type'),
      body: Buffer.concat(chunks),
    };
  } finally {
    response.discard();
  }
}
