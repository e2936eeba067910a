/**
 * Child process that opens a vault, started by `vault_process.ts`. With a task it writes to the vault and reports each
 * write before it starts and after it is acknowledged; without one it runs the calls in its input. Output is one JSON
 * object per line, written synchronously so that lines survive SIGKILL.
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { compose } from '../../../src/app/compose.ts';
import type { Caller, Scope } from '../../../src/contract/caller.ts';
import { VaultError } from '../../../src/contract/errors.ts';
import type { Calls } from '../../../src/contract/use/call.ts';
import { errnoOf } from '../../../src/io/errno.ts';
import type { Vault } from '../../../src/vault/vault.ts';

/** The one argument of the program, as JSON. */
export interface ProgramStart {
  readonly env: NodeJS.ProcessEnv;
  readonly task?: WriterTask;
  /** Overrides `process.pid`: processes in two containers can have the same id. */
  readonly pid?: number;
}

export type WriterTask =
  /** Opens the vault, creating it if it is missing, and stores one credential under `name`. */
  | { readonly task: 'store_once'; readonly name: string }
  /** Stores sequentially for `for_ms`, then reports the number of writes and the longest one. */
  | { readonly task: 'flood'; readonly name: string; readonly for_ms: number }
  /** Sets `field` of the one credential `name` to `<field>-1`, `<field>-2` ... `<field>-<rounds>`. */
  | { readonly task: 'one_field'; readonly name: string; readonly field: string; readonly rounds: number }
  /** Stores, updates and deletes credentials `shared-0` ... at random until it is killed. */
  | { readonly task: 'mix'; readonly label: string; readonly credentials: number };

/** An output line of a task. */
export type WriterLine =
  | { readonly event: 'ready' }
  | {
      readonly event: 'begin';
      readonly request_id: string;
      readonly action: 'store' | 'update' | 'delete';
      readonly name: string;
      readonly values: Readonly<Record<string, string>>;
    }
  | { readonly event: 'acknowledged'; readonly request_id: string }
  | { readonly event: 'finished'; readonly writes: number; readonly longest_ms: number }
  | ({ readonly event: 'failed' } & Failure);

interface Failure {
  readonly code: string;
  readonly reason: string | null;
  readonly message: string;
}

/** A caller as JSON. */
export interface SerializedCaller extends Omit<Caller, 'scopes' | 'services' | 'tools'> {
  readonly scopes: readonly Scope[];
  readonly services?: readonly string[];
  readonly tools?: readonly string[];
}

export interface Call {
  readonly number: number;
  readonly caller: SerializedCaller;
  /** `store` is a method of the vault, `stacks.create` one of its stacks, `calls.call` one of the calls with it. */
  readonly operation: string;
  readonly input: readonly unknown[];
  /** Repeats the call, with `#` in texts replaced by the iteration, until it fails. */
  readonly times: number;
}

export type CallResult = { readonly number: number; readonly results: readonly unknown[] } & Partial<Failure>;

const SERVICE = 'api_credential';
/** Concurrent writes in `mix`, so that some share a transaction. */
const MIX_CONCURRENCY = 3;

const { env, task, pid }: ProgramStart = JSON.parse(process.argv[2] ?? '{}');
if (pid !== undefined) Object.defineProperty(process, 'pid', { value: pid });
const composition = compose({ env, promptSecret: async () => undefined, now: () => new Date() });
/** A remote engine needs the policy of `keyhold init`. */
const create = env.KEYHOLD_STORE === undefined ? 'if_new' : 'yes';
const newCaller = () => composition.caller('library');

/** Returns when the whole line is written: the pipe may accept a part of it, or nothing while it is full. */
function writeLine(line: WriterLine | CallResult): void {
  let rest = Buffer.from(`${JSON.stringify(line)}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function toFailure(error: unknown): Failure {
  const { code, reason, message } =
    error instanceof VaultError ? error : { code: 'unknown', reason: undefined, message: String(error) };
  return { code, reason: reason ?? null, message };
}

async function serveCalls(vault: Vault): Promise<void> {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => void runCall(vault, JSON.parse(line)).then(writeLine));
  lines.on('close', () => void vault.close());
  writeLine({ event: 'ready' });
}

async function runCall(vault: Vault, { number, caller, operation, input, times }: Call): Promise<CallResult> {
  const results: unknown[] = [];
  try {
    for (let time = 0; time < times; time++) {
      const numbered: unknown[] = JSON.parse(JSON.stringify(input).replaceAll('#', String(time)));
      results.push((await methodOf(vault, operation)(toCaller(caller), ...numbered)) ?? null);
    }
    return { number, results };
  } catch (error) {
    return { number, results, ...toFailure(error) };
  }
}

let calls: Calls | undefined;

function callsOf(vault: Vault): Calls {
  calls ??= composition.calls(vault);
  return calls;
}

type Method = (caller: Caller, ...input: readonly unknown[]) => Promise<unknown>;

function methodOf(vault: Vault, operation: string): Method {
  const [first = '', second] = operation.split('.');
  const owner: unknown =
    second === undefined ? vault : first === 'calls' ? callsOf(vault) : Reflect.get(vault, first);
  const method: unknown = Reflect.get(Object(owner), second ?? first);
  if (typeof method !== 'function') throw new Error(`no operation ${operation}`);
  return (caller, ...input) => method.call(owner, caller, ...input);
}

function toCaller({ scopes, services, tools, ...rest }: SerializedCaller): Caller {
  return {
    ...rest,
    scopes: new Set(scopes),
    ...(services === undefined ? {} : { services: new Set(services) }),
    ...(tools === undefined ? {} : { tools: new Set(tools) }),
  };
}

async function storeOnce(vault: Vault, name: string): Promise<void> {
  await vault.store(newCaller(), {
    service_id: SERVICE,
    credential_type: 'api_key',
    credential_value: name,
    name,
  });
  writeLine({ event: 'finished', writes: 1, longest_ms: 0 });
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
  writeLine({ event: 'finished', writes, longest_ms });
}

async function updateOneField(vault: Vault, name: string, field: string, rounds: number): Promise<void> {
  for (let round = 1; round <= rounds; round++) {
    await vault.update(newCaller(), {
      service_id: SERVICE,
      credentials: { [field]: `${field}-${round}` },
      name,
    });
  }
  writeLine({ event: 'finished', writes: rounds, longest_ms: 0 });
}

async function mix(vault: Vault, label: string, credentials: number): Promise<never> {
  for (let written = 0; ; written++) {
    const caller = newCaller();
    const target = { service_id: SERVICE, name: `shared-${Math.floor(Math.random() * credentials)}` };
    const dice = Math.random();
    const value = `${label}-${written}`;
    const action = dice < 0.3 ? 'store' : dice < 0.85 ? 'update' : 'delete';
    const field = ['api_key', 'username', 'password'][written % 3] ?? 'api_key';
    const values: Record<string, string> =
      action === 'store' ? { api_key: value } : action === 'update' ? { [field]: value } : {};
    writeLine({ event: 'begin', request_id: caller.request_id, action, name: target.name, values });
    if (action === 'store') {
      await vault.store(caller, { ...target, credential_type: 'api_key', credential_value: value });
    } else if (action === 'update') await vault.update(caller, { ...target, credentials: values });
    else if (!(await deleteIfPresent(vault, caller, target))) continue;
    writeLine({ event: 'acknowledged', request_id: caller.request_id });
  }
}

async function deleteIfPresent(
  vault: Vault,
  caller: Caller,
  target: { service_id: string; name: string },
): Promise<boolean> {
  try {
    await vault.delete(caller, target);
    return true;
  } catch (error) {
    if (error instanceof VaultError && error.code === 'NOT_FOUND') return false;
    throw error;
  }
}

async function runTask(vault: Vault, writer: WriterTask): Promise<void> {
  if (writer.task === 'store_once') return storeOnce(vault, writer.name);
  writeLine({ event: 'ready' });
  await new Promise((resolve) => process.stdin.once('data', resolve));
  if (writer.task === 'flood') return flood(vault, writer.name, writer.for_ms);
  if (writer.task === 'one_field') return updateOneField(vault, writer.name, writer.field, writer.rounds);
  const { label, credentials } = writer;
  await Promise.all(
    Array.from({ length: MIX_CONCURRENCY }, (_, at) => mix(vault, `${label}-${at}`, credentials)),
  );
}

if (task === undefined) await serveCalls(await composition.openVault(create, 'library'));
else {
  try {
    const vault = await composition.openVault(create, 'library');
    await runTask(vault, task);
    await vault.close();
  } catch (error) {
    writeLine({ event: 'failed', ...toFailure(error) });
    process.exitCode = 1;
  }
  process.stdin.destroy();
}
