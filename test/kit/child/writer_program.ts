/**
 * Child process that writes to a vault; started and killed by tests through `writer_process.ts`. Reports each write
 * before it starts and after it is acknowledged, one JSON object per line, written synchronously so that lines
 * survive SIGKILL.
 */
import { writeSync } from 'node:fs';
import { compose } from '../../../src/app/compose.ts';
import { VaultError } from '../../../src/contract/errors.ts';
import type { Vault } from '../../../src/vault/vault.ts';

/** The task of a writer. */
export type WriterOrder =
  /** Opens the vault, creating it if it is missing, and stores one credential under `name`. */
  | { readonly task: 'store_once'; readonly name: string }
  /** Stores sequentially for `for_ms`, then reports the number of writes and the longest one. */
  | { readonly task: 'flood'; readonly name: string; readonly for_ms: number }
  /** Sets `field` of the one credential `name` to `<field>-1`, `<field>-2` ... `<field>-<rounds>`. */
  | { readonly task: 'one_field'; readonly name: string; readonly field: string; readonly rounds: number }
  /** Stores, updates and deletes credentials `shared-0` ... at random until it is killed. */
  | { readonly task: 'mix'; readonly label: string; readonly credentials: number };

/** An output line. */
export type WriterLine =
  | { readonly said: 'ready' }
  | {
      readonly said: 'begin';
      readonly request_id: string;
      readonly action: 'store' | 'update' | 'delete';
      readonly name: string;
      readonly values: Readonly<Record<string, string>>;
    }
  | { readonly said: 'acknowledged'; readonly request_id: string }
  | { readonly said: 'finished'; readonly writes: number; readonly longest_ms: number }
  | {
      readonly said: 'failed';
      readonly code: string;
      readonly reason: string | null;
      readonly message: string;
    };

/** The one argument of the program, as JSON. */
export interface WriterStart {
  readonly home: string;
  readonly order: WriterOrder;
  /** Overrides `process.pid`: processes in two containers can have the same id. */
  readonly pid?: number;
}

const SERVICE = 'api_credential';
/** Concurrent writes in `mix`, so that some share a transaction. */
const MIX_AT_ONCE = 3;

const { home, order, pid }: WriterStart = JSON.parse(process.argv[2] ?? '{}');
if (pid !== undefined) Object.defineProperty(process, 'pid', { value: pid });
const composition = compose({
  env: { KEYHOLD_HOME: home },
  promptSecret: async () => undefined,
  now: () => new Date(),
});
const newCaller = () => composition.caller('library');

/** Writes synchronously: the process may be killed right after. */
function say(line: WriterLine): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

function told(): Promise<unknown> {
  return new Promise((resolve) => {
    process.stdin.once('data', resolve);
  });
}

async function flood(vault: Vault, name: string, for_ms: number): Promise<void> {
  const until = Date.now() + for_ms;
  let writes = 0;
  let longest_ms = 0;
  for (let before = Date.now(); before < until; writes++) {
    await vault.store(newCaller(), {
      service_id: SERVICE,
      credential_type: 'api_key',
      credential_value: `${writes}`,
      name,
    });
    const after = Date.now();
    longest_ms = Math.max(longest_ms, after - before);
    before = after;
  }
  say({ said: 'finished', writes, longest_ms });
}

async function oneField(vault: Vault, name: string, field: string, rounds: number): Promise<void> {
  for (let round = 1; round <= rounds; round++) {
    await vault.update(newCaller(), {
      service_id: SERVICE,
      credentials: { [field]: `${field}-${round}` },
      name,
    });
  }
  say({ said: 'finished', writes: rounds, longest_ms: 0 });
}

async function mix(vault: Vault, label: string, credentials: number): Promise<never> {
  for (let written = 0; ; written++) {
    const caller = newCaller();
    const place = { service_id: SERVICE, name: `shared-${Math.floor(Math.random() * credentials)}` };
    const dice = Math.random();
    const value = `${label}-${written}`;
    const action = dice < 0.3 ? 'store' : dice < 0.85 ? 'update' : 'delete';
    const field = ['api_key', 'username', 'password'][written % 3] ?? 'api_key';
    const values: Record<string, string> =
      action === 'store' ? { api_key: value } : action === 'update' ? { [field]: value } : {};
    say({ said: 'begin', request_id: caller.request_id, action, name: place.name, values });
    if (action === 'store') {
      await vault.store(caller, { ...place, credential_type: 'api_key', credential_value: value });
    } else if (action === 'update') await vault.update(caller, { ...place, credentials: values });
    else if (!(await deleteIfThere(vault, caller, place))) continue;
    say({ said: 'acknowledged', request_id: caller.request_id });
  }
}

async function deleteIfThere(
  vault: Vault,
  caller: ReturnType<typeof newCaller>,
  place: { service_id: string; name: string },
): Promise<boolean> {
  try {
    await vault.delete(caller, place);
    return true;
  } catch (error) {
    if (error instanceof VaultError && error.code === 'NOT_FOUND') return false;
    throw error;
  }
}

async function carryOut(): Promise<void> {
  const vault = await composition.openVault('if_new', 'library');
  if (order.task === 'store_once') {
    const place = { service_id: SERVICE, credential_type: 'api_key' as const, name: order.name };
    await vault.store(newCaller(), { ...place, credential_value: order.name });
    say({ said: 'finished', writes: 1, longest_ms: 0 });
  } else {
    say({ said: 'ready' });
    await told();
    if (order.task === 'flood') await flood(vault, order.name, order.for_ms);
    else if (order.task === 'one_field') await oneField(vault, order.name, order.field, order.rounds);
    else {
      const { label, credentials } = order;
      await Promise.all(
        Array.from({ length: MIX_AT_ONCE }, (_, at) => mix(vault, `${label}-${at}`, credentials)),
      );
    }
  }
  await vault.close();
}

try {
  await carryOut();
} catch (error) {
  const { code, reason, message } =
    error instanceof VaultError ? error : { code: 'unknown', reason: undefined, message: String(error) };
  say({ said: 'failed', code, reason: reason ?? null, message });
  process.exitCode = 1;
}
process.stdin.destroy();
