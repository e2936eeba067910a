/** Sends raw bytes over a socket, for requests that no HTTP client would send. */
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** The socket is destroyed when the test ends. */
export function openSocket(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => resolve(socket));
    socket.once('error', reject);
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
  });
}

/** How long a loaded machine may take until the first byte of a response. */
const FIRST_BYTE_MS = 10_000;

/**
 * Reads until the server closes the connection, or nothing more has arrived for `wait_ms`. The first byte may take longer.
 */
export function readAll(socket: Socket, wait_ms = 500): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const finish = () => {
      const read = text.length;
      // After a stall, timers run before the sockets are read.
      setImmediate(() =>
        setImmediate(() => {
          if (text.length === read) resolve(text);
        }),
      );
    };
    let timer = setTimeout(finish, Math.max(wait_ms, FIRST_BYTE_MS));
    socket.on('data', (bytes) => {
      text += String(bytes);
      clearTimeout(timer);
      timer = setTimeout(finish, wait_ms);
    });
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}

/** Sends the lines joined by CR LF, an empty line and the body, and reads the responses. */
export async function sendLines(url: string, lines: readonly string[], body = ''): Promise<string> {
  const socket = await openSocket(url);
  const responses = readAll(socket);
  socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
  return responses;
}

/** The status codes of all responses in the text. */
export function statuses(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

/** A header of the first response. */
export function headerOf(text: string, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)\\r$`, 'im').exec(text)?.[1];
}
