/** Starts nodes as processes of their own, and sends them their load. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { NodeEnvironment } from './durable_server.ts';
import type { NodeLoad, NodeRequest, NodeResponse } from './node_program.ts';

export interface BenchNode {
  run(load: NodeLoad): Promise<NodeResponse>;
  stop(): Promise<void>;
}

/** `home`: of this node. `keys`: of all organizations. */
export async function startNode(
  environment: NodeEnvironment,
  home: string,
  keys: readonly string[],
): Promise<BenchNode> {
  const program = fileURLToPath(new URL('./node_program.ts', import.meta.url));
  const child = fork(program, { env: { ...process.env, ...environment, KEYHOLD_HOME: home } });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const response = () =>
    new Promise<NodeResponse>((resolve, reject) => {
      child.once('message', (message) => resolve(message as NodeResponse));
      ended.then((code) => reject(new Error(`the node ended with ${code}`)));
    });
  const send = (request: NodeRequest) => {
    const responded = response();
    child.send(request);
    return responded;
  };
  await response();
  await send({ keys });
  return {
    run: send,
    async stop() {
      child.disconnect();
      await ended;
    },
  };
}
