/** Prepares the socket of a probe for a driver that parses what a server sends. */
import type { Socket } from 'node:net';

/**
 * Makes an exception in a listener of `data` close the socket with that error. Without it, a malformed message of a server that
 * the parser of a driver throws at would be an uncaught exception, which ends the process.
 */
export function closeOnParseError<S extends Socket>(socket: S): S {
  const on = socket.on.bind(socket) as (event: string, listener: (...args: unknown[]) => void) => S;
  const guardedOn = (event: string, listener: (...args: unknown[]) => void): S =>
    on(
      event,
      event !== 'data'
        ? listener
        : (...args) => {
            try {
              listener.apply(socket, args);
            } catch (error) {
              socket.destroy(error instanceof Error ? error : new Error('the driver failed'));
            }
          },
    );
  return Object.assign(socket, { on: guardedOn });
}
