/**
 * A small balancer: sends each request to the next node, round robin, and takes a node out while its `/readyz` is not 200. It
 * repeats no request: a request that fails at its node fails for the client.
 */
import { once } from 'node:events';
import { Agent, createServer, request as sendHttp } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';

export interface Balancer {
  readonly url: string;
  /** Resolves when the node takes requests. */
  add(url: string): Promise<void>;
  remove(url: string): void;
}

interface Node {
  readonly url: string;
  readonly agent: Agent;
  is_ready: boolean;
}

const PROBE_EVERY_MS = 100;
const PROBE_MAX_MS = 2_000;

/** Stopped when the test ends. */
export async function startBalancer(): Promise<Balancer> {
  const nodes: Node[] = [];
  let next = 0;
  const server = createServer((incoming, outgoing) => {
    const ready = nodes.filter(({ is_ready }) => is_ready);
    const node = ready[next++ % ready.length];
    if (node === undefined) {
      outgoing.writeHead(503).end('no node is ready');
      return;
    }
    const { method, headers, url: path } = incoming;
    const forwarded = sendHttp(node.url + path, { method, headers, agent: node.agent }, (response) => {
      const { connection: _, 'keep-alive': __, ...kept } = response.headers;
      outgoing.writeHead(response.statusCode ?? 502, kept);
      response.pipe(outgoing).on('error', () => undefined);
    });
    forwarded.on('error', () => {
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502).end('the node failed');
    });
    incoming.pipe(forwarded);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stopping = new AbortController();
  const probing = (async () => {
    while (!stopping.signal.aborted) {
      await Promise.all(nodes.map(probe));
      await sleep(PROBE_EVERY_MS);
    }
  })();
  onTestFinished(async () => {
    stopping.abort();
    await probing;
    for (const { agent } of nodes) agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async add(url) {
      const node = { url, agent: new Agent({ keepAlive: true }), is_ready: false };
      nodes.push(node);
      while (!node.is_ready && nodes.includes(node)) await sleep(PROBE_EVERY_MS / 2);
    },
    remove(url) {
      const at = nodes.findIndex((node) => node.url === url);
      nodes.splice(at, at < 0 ? 0 : 1)[0]?.agent.destroy();
    },
  };
}

async function probe(node: Node): Promise<void> {
  try {
    const signal = AbortSignal.timeout(PROBE_MAX_MS);
    const response = await fetch(`${node.url}/readyz`, { signal, headers: { connection: 'close' } });
    await response.arrayBuffer();
    node.is_ready = response.status === 200;
  } catch {
    node.is_ready = false;
  }
}
