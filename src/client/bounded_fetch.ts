/**
 * `fetch` with a time limit and a response size limit. An AbortSignal is not enough: Node 20 loses a signal attached to the
 * Request when it is garbage-collected, and ignores any signal after the response headers have arrived.
 */

export interface FetchLimits {
  /** For connecting, the response headers and the body together. */
  readonly time_ms: number;
  readonly body_bytes: number;
}

/** The body of `response` has been read and is in `body`. */
export interface BufferedResponse {
  readonly response: Response;
  readonly body: Uint8Array;
}

/** The response is larger than `body_bytes`. */
export class ResponseTooLargeError extends Error {
  readonly status: number;

  constructor(status: number) {
    super();
    this.status = status;
  }
}

/** The response was not complete within `time_ms`. */
export class ResponseTimeoutError extends Error {}

/** Rejects with ResponseTimeoutError, ResponseTooLargeError or the error of `fetch`. Follows no redirect. */
export async function fetchBounded(request: Request, limits: FetchLimits): Promise<BufferedResponse> {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new ResponseTimeoutError());
      controller.abort();
    }, limits.time_ms);
  });
  try {
    return await Promise.race([fetchBuffered(request, limits.body_bytes, controller.signal), timeout]);
  } finally {
    clearTimeout(timer);
  }
}

async function fetchBuffered(
  request: Request,
  limit_bytes: number,
  signal: AbortSignal,
): Promise<BufferedResponse> {
  // The signal is passed beside the request, so `fetch` keeps a reference to it. A request that is not aborted would keep
  // its connection open, and the connection the process running.
  const response = await fetch(request, { redirect: 'manual', signal });
  return { response, body: await readBody(response, limit_bytes, signal) };
}

/** Returns what it has when the signal aborts. Rejects with ResponseTooLargeError past the limit. */
export async function readBody(
  { body, status }: Response,
  limit_bytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const stop = () => reader.cancel().catch(() => undefined);
  signal.addEventListener('abort', stop);
  if (signal.aborted) await stop();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      bytes += chunk.value.byteLength;
      if (bytes > limit_bytes) throw new ResponseTooLargeError(status);
      chunks.push(chunk.value);
    }
  } finally {
    await stop();
  }
  const body_bytes = new Uint8Array(bytes);
  let offset = 0;
  for (const chunk of chunks) {
    body_bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return body_bytes;
}
