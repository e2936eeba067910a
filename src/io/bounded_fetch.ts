/**
 * A request whose answer is neither waited for nor read without bound. A signal alone is no bound: `fetch` of Node 20
 * loses it in a garbage collection where the request carries it, and loses any once the head of the answer is there.
 */

export interface FetchLimits {
  /** For all of it: connecting, the head of the answer and its body. */
  readonly time_ms: number;
  readonly body_bytes: number;
}

/** `head` is the answer as `fetch` gave it; its body is spent, and whole in `body`. */
export interface BufferedResponse {
  readonly response: Response;
  readonly body: Uint8Array;
}

/** The answer is larger than `body_bytes`. */
export class ResponseTooLargeError extends Error {
  readonly status: number;

  constructor(status: number) {
    super();
    this.status = status;
  }
}

/** The answer was not there within `time_ms`. */
export class ResponseTimeoutError extends Error {}

/** Rejects with AnswerTooLate, AnswerTooLarge, or with the error of `fetch`. No redirect is followed. */
export async function fetchBounded(request: Request, limits: FetchLimits): Promise<BufferedResponse> {
  const limit = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new ResponseTimeoutError());
      limit.abort();
    }, limits.time_ms);
  });
  try {
    return await Promise.race([fetchWhole(request, limits.body_bytes, limit.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function fetchWhole(
  request: Request,
  limit_bytes: number,
  signal: AbortSignal,
): Promise<BufferedResponse> {
  // The signal stands beside the request and not in it: so it reaches what `fetch` holds for as long as it waits. A
  // request that is not ended keeps its connection, and the connection the process.
  const head = await fetch(request, { redirect: 'manual', signal });
  return { response: head, body: await readWhole(head, limit_bytes, signal) };
}

/** Ends when `signal` says so, also where it has said so before. */
async function readWhole(
  { body, status }: Response,
  limit_bytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const stop = () => reader.cancel().catch(() => undefined);
  signal.addEventListener('abort', stop);
  if (signal.aborted) await stop();
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      bytes += part.value.byteLength;
      if (bytes > limit_bytes) throw new ResponseTooLargeError(status);
      parts.push(part.value);
    }
  } finally {
    await stop();
  }
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
