/**
 * The header `Accept` of a request to /mcp (RFC 9110, section 12.5.1), and the response in a media type that the client
 * accepts. MCP requires clients to accept both JSON and event streams; clients that accept one of them are served too.
 */
const JSON_TYPE = 'application/json';
const EVENT_STREAM_TYPE = 'text/event-stream';
const DATA_PREFIX = 'data: ';

export interface AcceptedTypes {
  readonly json: boolean;
  readonly event_stream: boolean;
}

/**
 * Names of media types are case-insensitive. Without the header, every type is accepted. A client that accepts everything
 * and does not name event streams gets JSON, which more programs can read.
 */
export function parseAccept(header: string | null): AcceptedTypes {
  const ranges = (header?.trim() || '*/*').toLowerCase().split(',').map(parseRange);
  const json = accepts(ranges, JSON_TYPE);
  const names_stream = ranges.some(({ range }) => range.startsWith('text/'));
  return { json, event_stream: accepts(ranges, EVENT_STREAM_TYPE) && (names_stream || !json) };
}

interface MediaRange {
  readonly range: string;
  readonly is_refused: boolean;
}

/** A media type with parameters, such as a version, is treated as one without: neither type here has any. */
function parseRange(text: string): MediaRange {
  const [range = '', ...parameters] = text.split(';').map((part) => part.trim());
  return { range, is_refused: parameters.some((parameter) => /^q\s*=\s*0(?:\.0*)?$/.test(parameter)) };
}

/** The most specific range that matches decides. */
function accepts(ranges: readonly MediaRange[], type: string): boolean {
  const [family] = type.split('/');
  for (const wanted of [type, `${family}/*`, '*/*']) {
    const found = ranges.find(({ range }) => range === wanted);
    if (found !== undefined) return !found.is_refused;
  }
  return false;
}

/**
 * The request as the SDK requires it: it compares the text of the header, in lower case, and rejects a wildcard, a single
 * type and a missing header. Returns the request itself if it needs no change.
 */
export function addAcceptTypes(request: Request): Request {
  const accept = request.headers.get('accept');
  if (accept?.includes(JSON_TYPE) && accept.includes(EVENT_STREAM_TYPE)) return request;
  const { url, method, signal } = request;
  const headers = new Headers(request.headers);
  headers.set('accept', `${JSON_TYPE}, ${EVENT_STREAM_TYPE}`);
  // Without the body, which has been read and is passed to the SDK beside the request.
  return new Request(url, { method, headers, signal });
}

/**
 * Converts a successful response to the media type that the client accepts. The responses of this server are one message
 * each, because its tools send no notifications.
 */
export async function convertToAcceptedType(response: Response, accepted: AcceptedTypes): Promise<Response> {
  if (response.status !== 200) return response;
  const is_stream = response.headers.get('content-type')?.startsWith(EVENT_STREAM_TYPE) === true;
  if (is_stream ? accepted.event_stream : accepted.json) return response;
  const text = await response.text();
  if (!is_stream)
    return new Response(`event: message\n${DATA_PREFIX}${text}\n\n`, {
      headers: { 'content-type': EVENT_STREAM_TYPE },
    });
  // Not a pattern: to `$` the Unicode line separators, which JSON may hold, end a line.
  const data = text.split('\n').findLast((line) => line.startsWith(DATA_PREFIX)) ?? '';
  return new Response(data.slice(DATA_PREFIX.length), { headers: { 'content-type': JSON_TYPE } });
}
