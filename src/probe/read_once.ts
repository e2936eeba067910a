/** Reads from a socket before a driver takes it over. */
import type { Socket } from 'node:net';

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
