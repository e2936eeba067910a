/** The process of one node: opens the vault that its environment names, and stores credentials as its parent requests. */
import { compose } from '../../../src/app/compose.ts';
import type { Caller } from '../../../src/contract/caller.ts';
import { type Measured, measure } from './measure.ts';

/** Sent once: the API key of each organization. */
export interface NodeSetup {
  readonly keys: readonly string[];
}

/** For each group of callers, the organizations that it stores in, by their number. */
export interface NodeLoad {
  readonly seconds: number;
  readonly groups: readonly { readonly callers: number; readonly organizations: readonly number[] }[];
}

export type NodeRequest = NodeSetup | NodeLoad;
/** One for each group; none for a setup. */
export type NodeResponse = readonly Measured[];

const VALUE = 'lin_api_0123456789abcdefghijklmnopqrstuvwxyz';
const QUOTA = { credentials: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };

const app = compose({
  env: process.env,
  promptSecret: async () => undefined,
  now: () => new Date(),
  quota: QUOTA,
});
const vault = await app.openVault('no', 'library');
const callers: Caller[] = [];
let stored = 0;

async function store(organization: number): Promise<void> {
  const caller = callers[organization];
  if (caller === undefined) throw new Error(`organization ${organization} has no key`);
  await vault.store(caller, {
    service_id: 'linear',
    credential_type: 'api_key',
    credential_value: VALUE,
    name: `n ${process.pid} ${stored++}`,
  });
}

async function respond(request: NodeRequest): Promise<NodeResponse> {
  if ('keys' in request) {
    const { request_id } = app.caller('library');
    for (const key of request.keys) callers.push(await vault.api_keys.authenticate(key, 'rest', request_id));
    return [];
  }
  return Promise.all(
    request.groups.map(({ callers: count, organizations }) => {
      let next = 0;
      return measure(count, request.seconds, () => {
        const organization = organizations[next++ % organizations.length];
        if (organization === undefined) throw new Error('the group has no organization');
        return store(organization);
      });
    }),
  );
}

process.on('message', async (request: NodeRequest) => {
  process.send?.(await respond(request));
});
process.on('disconnect', () => {
  vault.close().then(() => process.exit(0));
});
process.send?.([]);
