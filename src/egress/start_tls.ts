/** Begins TLS on an open connection, after the protocol has agreed on it. */
import type { Socket } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';

/** Rejects with the error of the handshake. The TLS socket closes the connection when it is closed. */
export function startTls(socket: Socket, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secure = connect({ ...options, socket });
    secure.once('secureConnect', () => resolve(secure));
    // It stays: later errors close the socket.
    secure.on('error', reject);
    secure.once('close', () => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })));
  });
}
