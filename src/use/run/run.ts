/**
 * Runs a command with the values of credentials in its environment. Every use is in the audit log before the command
 * starts; a credential that cannot be used prevents the start. No value is in an argument, a message or the audit log.
 */
import { createHash } from 'node:crypto';
import type { Writable } from 'node:stream';
import type { Caller } from '../../contract/caller.ts';
import { UNPRINTABLE_CHARACTERS_PATTERN } from '../../contract/patterns.ts';
import { PatternSet } from '../../egress/redaction/pattern_set.ts';
import type { OpenedUse, UsableCredential, UseRequest } from '../../vault/uses/use.ts';
import type { Vault } from '../../vault/vault.ts';
import type { ProducedValues, ValueProducer } from '../values/value_producer.ts';
import { type ChildEnd, runChild } from './child.ts';
import { openCredentials } from './credentials.ts';
import { inheritedEnvironment, variableTexts } from './environment.ts';
import { PrivateFiles } from './private_files.ts';
import { SignalRelay } from './signals.ts';
import type { Variable } from './variables.ts';

export interface Run {
  /** The path of the program. */
  readonly program: string;
  /** The command as it was typed. */
  readonly command: string;
  readonly args: readonly string[];
  readonly credentials: readonly UsableCredential[];
  readonly variables: readonly Variable<UsableCredential>[];
  readonly producer: Pick<ValueProducer, 'produceAll'>;
  readonly env: NodeJS.ProcessEnv;
  /** Variables of `env` with keys of Keyhold whose names do not start with KEYHOLD_. */
  readonly own_names: readonly string[];
  /** Where redacted output goes; an output that is not given is inherited. */
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
}

/** Rejects with VaultError or ProgramError if the command was not started. */
export async function runWithCredentials(vault: Vault, caller: Caller, run: Run): Promise<ChildEnd> {
  const uses = await openCredentials(vault, caller, run.credentials, requestOf(run));
  let reason = 'not started';
  let status: number | undefined;
  try {
    const end = await start(run, await produceValues(run, uses));
    status = end.code;
    reason = end.signal === null ? 'exited' : `ended by ${end.signal}`;
    return end;
  } finally {
    for (const use of uses.values()) use.finish({ status, reason });
  }
}

type Produced = ReadonlyMap<UsableCredential, ProducedValues>;

async function produceValues(
  { producer }: Run,
  uses: ReadonlyMap<UsableCredential, OpenedUse>,
): Promise<Produced> {
  const produced = new Map<UsableCredential, ProducedValues>();
  for (const [credential, { values }] of uses)
    produced.set(credential, await producer.produceAll(credential.service, values));
  return produced;
}

async function start(run: Run, produced: Produced): Promise<ChildEnd> {
  const files = new PrivateFiles(run.env);
  const signals = new SignalRelay();
  signals.start();
  try {
    const valuesOf = (source: UsableCredential) => produced.get(source)?.values ?? new Map();
    const texts = variableTexts(run.variables, valuesOf, files);
    const env = { ...inheritedEnvironment(run.env, run.own_names, run.variables), ...texts };
    return await runChild({ ...run, env, patterns: patternsOf(run, produced), signals });
  } finally {
    files.remove();
    signals.stop();
  }
}

/** Values of fields that are not secret, such as a region, are not redacted: they occur in ordinary output. */
function patternsOf({ stdout, stderr }: Run, produced: Produced): PatternSet {
  if (stdout === undefined && stderr === undefined) return new PatternSet([]);
  const secrets = [...produced].flatMap(([{ service }, { values, secrets: all }]) => {
    const plain = service.fields.filter(({ secret }) => !secret).map(({ field_id }) => values.get(field_id));
    return all.filter((secret) => !plain.includes(secret));
  });
  return new PatternSet(secrets);
}

/** An approval is for this program with these arguments and variables. The audit log gets the program only. */
function requestOf({ program, args, variables }: Run): UseRequest {
  const names = variables.map(({ name }) => name).sort();
  const hash = createHash('sha256')
    .update(JSON.stringify([program, args, names]))
    .digest('base64url');
  const line = [program, ...args].join(' ').replaceAll(UNPRINTABLE_CHARACTERS_PATTERN, ' ');
  return { kind: 'environment', path: program, hash, summary: line };
}
