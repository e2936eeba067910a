/** A TCP proxy on loopback that can hold back what each side sends, and cut all connections. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface TcpProxy {
  readonly port: number;
  /** Keeps the bytes of the server from the clients, from now on, until `cut`. */
  holdResponses(): void;
  /** Keeps the bytes of the clients from the server, from now on, until `cut`. */
  holdRequests(): void;
  /** Calls `listener` with the bytes of the clients; the server gets them when it has returned. */
  onRequest(listener: (data: Buffer) => void | Promise<void>): void;
  /**
   * Closes the connections of the clients as a network that loses them late: the function that it returns sends the bytes
   * that were held back to the server, and resolves when the server has responded.
   */
  cutClients(): () => Promise<void>;
  /** Closes all connections and accepts new ones. */
  cut(): void;
  /** Refuses connections while `true`. */
  refuse(refuses: boolean): void;
  close(): Promise<void>;
}

/** A connection of a client and the one to the server for it. */
interface Link {
  readonly client: Socket;
  readonly upstream: Socket;
  /** Bytes of the client that the server has not got. */
  readonly held: Buffer[];
  is_cut_late: boolean;
}

export async function startTcpProxy(target_port: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let holds_responses = false;
  let holds_requests = false;
  let refuses = false;
  let onRequest: (data: Buffer) => void | Promise<void> = () => undefined;
  let links: Link[] = [];
  const server = createServer((client) => {
    if (refuses) {
      client.destroy();
      return;
    }
    const upstream = connect(target_port, '127.0.0.1');
    const link: Link = { client, upstream, held: [], is_cut_late: false };
    links.push(link);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        if (!link.is_cut_late) upstream.destroy();
      });
    }
    client.on('data', async (data) => {
      client.pause();
      await onRequest(data);
      client.resume();
      if (holds_requests) link.held.push(data);
      else if (!upstream.destroyed) upstream.write(data);
    });
    upstream.on('data', (data) => {
      if (!holds_responses && !client.destroyed) client.write(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    holds_responses = false;
    holds_requests = false;
    for (const socket of sockets) socket.destroy();
    links = [];
  };
  const cutClients = () => {
    holds_requests = false;
    const cut_links = links.splice(0);
    for (const link of cut_links) {
      link.is_cut_late = true;
      link.client.destroy();
    }
    return async () => {
      const sent = cut_links.filter(({ held }) => held.length > 0);
      for (const { upstream, held } of sent) for (const data of held) upstream.write(data);
      await Promise.all(sent.map(({ upstream }) => once(upstream, 'data')));
    };
  };
  return {
    port: (server.address() as AddressInfo).port,
    holdResponses: () => {
      holds_responses = true;
    },
    holdRequests: () => {
      holds_requests = true;
    },
    onRequest: (listener) => {
      onRequest = listener;
    },
    cutClients,
    cut,
    refuse: (now) => {
      refuses = now;
    },
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
