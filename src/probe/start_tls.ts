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

/** The next bytes of a socket. Rejects with the error of the socket, and with ECONNRESET when it is closed. */
export function readOnce(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const end = (act: () => void) => {
      socket.off('data', onData).off('error', onError).off('close', onClose);
      act();
    };
    const onData = (data: Buffer) => {
      socket.pause();
      end(() => resolve(data));
    };
    const onError = (error: Error) => end(() => reject(error));
    const onClose = () => end(() => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })));
    socket.on('data', onData).on('error', onError).on('close', onClose);
    socket.resume();
  });
}
