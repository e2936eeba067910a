/** A TCP connection path that can be cut like a cable: no packet passes, and no connection is closed or refused. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class TcpLink {
  readonly port: number;
  readonly #server: Server;
  readonly #target_port: number;
  readonly #sockets = new Set<Socket>();
  #is_cut = false;

  static async open(target_port: number): Promise<TcpLink> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new TcpLink(server, target_port);
  }

  private constructor(server: Server, target_port: number) {
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the link has no port');
    this.port = address.port;
    this.#server = server;
    this.#target_port = target_port;
    server.on('connection', (socket) => this.#accept(socket));
  }

  cut(): void {
    this.#is_cut = true;
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  /** Connections from before are reset: their packets are lost. */
  restore(): void {
    this.#is_cut = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.restore();
    this.#server.close();
  }

  #accept(socket: Socket): void {
    this.#track(socket);
    if (this.#is_cut) return void socket.pause();
    const target = connect({ host: '127.0.0.1', port: this.#target_port, allowHalfOpen: true });
    this.#track(target);
    socket.once('close', () => this.#is_cut || target.destroy());
    target.once('close', () => this.#is_cut || socket.destroy());
    socket.setNoDelay().pipe(target.setNoDelay()).pipe(socket);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket));
  }
}
