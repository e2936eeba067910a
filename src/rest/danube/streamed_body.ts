/** A response body that is read from its source as fast as the client reads it. */
import { VaultError } from '../../contract/errors.ts';
import { UNREAD_RESPONSE_TIMEOUT_MS } from '../../contract/limits.ts';

/**
 * `endConnection` is called if the source fails, or if the client reads nothing for `unread_timeout_ms`: only the end of the
 * connection shows the client that the body is incomplete. It returns false without a connection; then the stream fails. A
 * stream that fails on a connection would make the HTTP adapter write the error to standard error, which is for the log.
 */
export function streamedBody(
  source: AsyncGenerator<Uint8Array>,
  endConnection: (error: unknown) => boolean,
  unread_timeout_ms = UNREAD_RESPONSE_TIMEOUT_MS,
): ReadableStream<Uint8Array> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const fail = (controller: ReadableStreamDefaultController, error: unknown) => {
    void source.return(undefined).catch(() => undefined);
    if (!endConnection(error)) controller.error(error);
  };
  return new ReadableStream({
    async pull(controller) {
      clearTimeout(timer);
      try {
        let part = await source.next();
        while (!part.done && part.value.length === 0) part = await source.next();
        if (part.done) return controller.close();
        controller.enqueue(part.value);
      } catch (error) {
        return fail(controller, error);
      }
      // The next pull comes when the client has read this part.
      const unread = new VaultError('UNAVAILABLE', 'The client does not read the response.');
      timer = setTimeout(() => fail(controller, unread), unread_timeout_ms);
    },
    async cancel() {
      clearTimeout(timer);
      await source.return(undefined);
    },
  });
}
