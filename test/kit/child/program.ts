/**
 * Child process that opens a vault and runs operations; started by `process.ts`. Each input line is a call, each
 * output line a result; calls run concurrently.
 */
import { createInterface } from 'node:readline';
import { compose } from '../../../src/app/compose.ts';
import type { Caller, Scope } from '../../../src/contract/caller.ts';
import { VaultError } from '../../../src/contract/errors.ts';
import type { Vault } from '../../../src/vault/vault.ts';

/** A caller as JSON. */
export interface SerializedCaller extends Omit<Caller, 'scopes' | 'services' | 'tools'> {
  readonly scopes: readonly Scope[];
  readonly services?: readonly string[];
  readonly tools?: readonly string[];
}

export interface Call {
  readonly number: number;
  readonly caller: SerializedCaller;
  readonly what: string;
  readonly input: readonly unknown[];
  /** Repeats the call, with `#` in texts replaced by the iteration, until it fails. */
  readonly times?: number;
}

export type CallResult =
  | { readonly number: number; readonly results: readonly unknown[] }
  | {
      readonly number: number;
      readonly results: readonly unknown[];
      readonly code: string;
      readonly reason: string | null;
      readonly message: string;
    };

const [home = ''] = process.argv.slice(2);
const vault = await compose({
  env: { KEYHOLD_HOME: home },
  promptSecret: async () => undefined,
  now: () => new Date(),
}).openVault('if_new', 'library');

function callerOf({ scopes, services, tools, ...rest }: SerializedCaller): Caller {
  return {
    ...rest,
    scopes: new Set(scopes),
    ...(services === undefined ? {} : { services: new Set(services) }),
    ...(tools === undefined ? {} : { tools: new Set(tools) }),
  };
}

type Operation = (caller: Caller, ...input: readonly unknown[]) => Promise<unknown>;

/** `store` is a method of the vault, `stacks.create` one of its stacks. */
function operationOf(of: Vault, what: string): Operation {
  const [first = '', second] = what.split('.');
  const owner: unknown = second === undefined ? of : Reflect.get(of, first);
  const method: unknown = Reflect.get(Object(owner), second ?? first);
  if (typeof method !== 'function') throw new Error(`no operation ${what}`);
  return (caller, ...input) => method.call(owner, caller, ...input);
}

async function answer({ number, caller, what, input, times = 1 }: Call): Promise<CallResult> {
  const results: unknown[] = [];
  try {
    for (let time = 0; time < times; time++) {
      const numbered: unknown[] = JSON.parse(JSON.stringify(input).replaceAll('#', String(time)));
      results.push((await operationOf(vault, what)(callerOf(caller), ...numbered)) ?? null);
    }
    return { number, results };
  } catch (error) {
    const { code, reason, message } =
      error instanceof VaultError ? error : { code: 'unknown', reason: undefined, message: String(error) };
    return { number, results, code, reason: reason ?? null, message };
  }
}

const say = (line: unknown) => process.stdout.write(`${JSON.stringify(line)}\n`);
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => void answer(JSON.parse(line)).then(say));
lines.on('close', () => void vault.close());
say('ready');
