/**
 * Child process: one node with callers of many organizations, who write to the vault until standard input ends. Reports each
 * acknowledged and each refused write, one JSON object per line. Started by `load_process.ts`.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { compose } from '../../../src/app/compose.ts';
import { type Caller, localCaller } from '../../../src/contract/caller.ts';
import { VaultError } from '../../../src/contract/errors.ts';
import { newRequestId } from '../../../src/crypto/request_id.ts';
import type { Vault } from '../../../src/vault/vault.ts';

/** The one argument of the program, as JSON. */
export interface LoadStart {
  readonly env: NodeJS.ProcessEnv;
  /** Names the users of this node. */
  readonly node: string;
  readonly organizations: readonly string[];
  readonly callers: number;
  /** Between two writes of a caller. */
  readonly pause_ms: number;
}

export type LoadLine =
  | { readonly event: 'ready' }
  | {
      readonly event: 'acknowledged';
      readonly organization: string;
      readonly request_id: string;
      readonly waited_ms: number;
    }
  | {
      readonly event: 'refused';
      readonly code: string;
      readonly reason: string | null;
      readonly waited_ms: number;
    };

const SERVICE = 'api_credential';

const { env, node, organizations, callers, pause_ms }: LoadStart = JSON.parse(process.argv[2] ?? '{}');
const composition = compose({ env, promptSecret: async () => undefined, now: () => new Date() });
const write = (line: LoadLine) => void process.stdout.write(`${JSON.stringify(line)}\n`);
let is_ending = false;

async function writeAsOne(vault: Vault, at: number): Promise<void> {
  const organization = organizations[at % organizations.length] ?? '';
  const name = `${node}-${at}`;
  for (let number = 1; !is_ending; number++) {
    const caller: Caller = { ...localCaller('library', newRequestId()), organization, user: name };
    const began_ms = performance.now();
    const waited = () => Math.round(performance.now() - began_ms);
    try {
      await vault.update(caller, { service_id: SERVICE, credentials: { api_key: `${name}-${number}` } });
      write({ event: 'acknowledged', organization, request_id: caller.request_id, waited_ms: waited() });
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      write({ event: 'refused', code: error.code, reason: error.reason ?? null, waited_ms: waited() });
    }
    await sleep(pause_ms);
  }
}

const vault = await composition.openVault('no', 'library');
const lines = createInterface({ input: process.stdin });
const begun = new Promise((resolve) => lines.once('line', resolve));
lines.once('close', () => {
  is_ending = true;
});
write({ event: 'ready' });
await begun;
await Promise.all(Array.from({ length: callers }, (_, at) => writeAsOne(vault, at)));
await vault.close();
