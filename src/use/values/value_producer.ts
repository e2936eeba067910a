/**
 * Converts opened values to those that a request or a child process gets: runs commands, resolves references, computes one-time
 * codes. Every use of a credential passes through it between `Uses.begin` and sending.
 */
import { createHash } from 'node:crypto';
import { Secret } from '../../contract/secret.ts';
import type { FieldDefinition } from '../../contract/service/fields.ts';
import type { Service } from '../../contract/service/service.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import { type CommandSource, commandOf, isReference } from '../../vault/values/value_source.ts';
import { runCommand } from './command.ts';
import { type ReferenceSources, resolveReference } from './references.ts';
import { totpCode } from './totp.ts';
import { assertUsableText } from './value_error.ts';

export interface ProducedValues {
  /** The values to send, by field id. */
  readonly values: ReadonlyMap<string, Secret>;
  /** What no response may contain: the values, and the secrets that codes were computed from. */
  readonly secrets: readonly Secret[];
  /**
   * Call it if the service refused the values: outputs of commands that were stored before this use are not used again.
   * Returns whether there were any, so that the next use may have other values.
   */
  dropStored(): boolean;
}

export interface ValueProducerOptions {
  readonly references: ReferenceSources;
  /** PATH and HOME of it reach commands. */
  readonly env: NodeJS.ProcessEnv;
  readonly now: () => Date;
  /** Of a command; shorter in tests. */
  readonly command_timeout_ms?: number;
}

type ProducedField = Pick<FieldDefinition, 'field_id' | 'kind' | 'multiline'>;

const CACHED_OUTPUTS_MAX = 1_000;

export class ValueProducer {
  readonly #options: ValueProducerOptions;
  /** Of commands with a cache time, by the hash of the stored text. Uses at the same time share one run. */
  readonly #outputs = new BoundedMap<string, Promise<string>>(CACHED_OUTPUTS_MAX);

  constructor(options: ValueProducerOptions) {
    this.#options = options;
  }

  /** All values of an opened use. Rejects with VaultError, whose message contains no value; then nothing may be sent. */
  async produceAll(service: Service, opened: ReadonlyMap<string, Secret>): Promise<ProducedValues> {
    const values = new Map<string, Secret>();
    const secrets: Secret[] = [];
    const stored_outputs = new Map<string, Promise<string>>();
    for (const [field_id, stored] of opened) {
      const field: ProducedField = service.fields.find((one) => one.field_id === field_id) ?? { field_id };
      const source = await this.#resolve(field, stored, stored_outputs);
      const value = field.kind === 'totp' ? totpCode(field_id, source, this.#options.now()) : source;
      values.set(field_id, value);
      // The base32 text may come back in another case or without its groups only from a hostile service.
      secrets.push(...(value === source ? [value] : [value, source]));
    }
    const dropStored = () => {
      for (const [key, output] of stored_outputs)
        if (this.#outputs.get(key) === output) this.#outputs.delete(key);
      return stored_outputs.size > 0;
    };
    return { values, secrets, dropStored };
  }

  /** Adds to `stored_outputs` what it takes from an earlier run of a command. */
  async #resolve(
    field: ProducedField,
    stored: Secret,
    stored_outputs: Map<string, Promise<string>>,
  ): Promise<Secret> {
    const text = stored.reveal();
    const command = commandOf(text);
    if (command === undefined && !isReference(text)) return stored;
    const produced =
      command === undefined
        ? await resolveReference(field.field_id, text, this.#options.references)
        : await this.#outputOf(field.field_id, text, command, stored_outputs);
    assertUsableText(field, produced);
    return new Secret(produced);
  }

  #outputOf(
    field_id: string,
    text: string,
    command: CommandSource,
    stored_outputs: Map<string, Promise<string>>,
  ): Promise<string> {
    if (command.cache_seconds === 0) return this.#run(field_id, command);
    const key = createHash('sha256').update(text).digest('base64url');
    const known = this.#outputs.get(key);
    if (known !== undefined) {
      stored_outputs.set(key, known);
      return known;
    }
    const output = this.#run(field_id, command);
    this.#outputs.set(key, output);
    const remove = () => {
      if (this.#outputs.get(key) === output) this.#outputs.delete(key);
    };
    // No value stays in memory after its cache time, and a failure is not used again.
    setTimeout(remove, command.cache_seconds * 1000).unref();
    output.catch(remove);
    return output;
  }

  #run(field_id: string, command: CommandSource): Promise<string> {
    const { env, command_timeout_ms: timeout_ms } = this.#options;
    return runCommand(field_id, command, { env, ...(timeout_ms === undefined ? {} : { timeout_ms }) });
  }
}
