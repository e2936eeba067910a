/** Bytes on a socket, for requests that no HTTP client would send. */
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** Connects; the socket is destroyed when the test is over. */
export function openSocket(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => resolve(socket));
    socket.once('error', reject);
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
  });
}

/** Everything that comes until the server closes, or until `wait_ms` of silence. */
export function readAll(socket: Socket, wait_ms = 500): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    let timer = setTimeout(() => resolve(text), wait_ms);
    socket.on('data', (bytes) => {
      text += String(bytes);
      clearTimeout(timer);
      timer = setTimeout(() => resolve(text), wait_ms);
    });
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}

/** Sends lines with CR LF between them and what has to follow, and reads the answers. */
export async function sendLines(url: string, lines: readonly string[], body = ''): Promise<string> {
  const socket = await openSocket(url);
  const answer = readAll(socket);
  socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
  return answer;
}

/** The status codes of all answers in a text. */
export function statuses(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

/** A header of the (first) answer. */
export function headerOf(text: string, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)\\r$`, 'im').exec(text)?.[1];
}
