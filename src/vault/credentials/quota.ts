/**
 * How many credentials, and how many bytes of them, a user may have. Counted in the store when the user first writes, then
 * in memory; counted again when a limit is near or much was written, since other processes write too. So several
 * processes together may pass a limit by up to a tenth each.
 */
import { VaultError } from '../../contract/errors.ts';
import { DEFAULT_QUOTA, type QuotaLimits } from '../../contract/limits.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import type { Batch, LoadedRow } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { StackRecords } from '../stacks/repository.ts';

const USERS_REMEMBERED_MAX = 10_000;
/** The share of a quota above which every write counts the records again. */
const NEAR = 0.9;
const COUNTED_AGAIN_AFTER = 0.1;

/** What a user has, as counted, and what this process has added since. */
export class UserUsage {
  readonly #limits: QuotaLimits;
  #credentials: number;
  #bytes: number;
  #added_credentials = 0;
  #added_bytes = 0;

  constructor(credentials: number, bytes: number, limits: QuotaLimits = DEFAULT_QUOTA) {
    this.#limits = limits;
    this.#credentials = credentials;
    this.#bytes = bytes;
  }

  get needsCount(): boolean {
    const { credentials, bytes } = this.#limits;
    return (
      this.#credentials + this.#added_credentials > NEAR * credentials ||
      this.#bytes + this.#added_bytes > NEAR * bytes ||
      this.#added_credentials > COUNTED_AGAIN_AFTER * credentials ||
      this.#added_bytes > COUNTED_AGAIN_AFTER * bytes
    );
  }

  /** Throws INVALID_INPUT if the user may not have that much more. */
  assertRoomFor(credentials: number, bytes: number): void {
    const max = this.#limits;
    if (credentials > 0 && this.#credentials + this.#added_credentials + credentials > max.credentials)
      throw quotaError(`at most ${max.credentials} credentials`);
    if (bytes > 0 && this.#bytes + this.#added_bytes + bytes > max.bytes)
      throw quotaError(`at most ${max.bytes / 1024 ** 2} MiB of values`);
  }

  /** Call after the commit. */
  add(credentials: number, bytes: number): void {
    this.#added_credentials += credentials;
    this.#added_bytes += bytes;
  }
}

export class CredentialQuota {
  readonly #parts: Pick<VaultDependencies, 'store' | 'codec' | 'quota'>;
  readonly #stacks: StackRecords;
  readonly #usage = new BoundedMap<string, UserUsage>(USERS_REMEMBERED_MAX);

  constructor(parts: Pick<VaultDependencies, 'store' | 'codec' | 'quota'>, stacks: StackRecords) {
    this.#parts = parts;
    this.#stacks = stacks;
  }

  async usageOf(keyring: OrganizationKeyring, user: string): Promise<UserUsage> {
    const key = `${keyring.id.toString('latin1')}${user}`;
    const known = this.#usage.get(key);
    if (known?.needsCount === false) return known;
    const { store, codec, quota } = this.#parts;
    let [credentials, bytes] = [0, 0];
    for (const stack of await this.#stacks.idsOf(keyring, user)) {
      const { count, values_bytes } = await store.usage(codec.scopeOf(keyring, user, stack));
      credentials += count;
      bytes += values_bytes;
    }
    const usage = new UserUsage(credentials, bytes, quota);
    this.#usage.set(key, usage);
    return usage;
  }
}

export interface Growth {
  readonly credentials: number;
  readonly bytes: number;
}

/** What the last write of the batch, which is that of the credential, adds to what its user has. */
export function growthOf({ writes }: Batch, current: LoadedRow | undefined): Growth {
  const put = writes.at(-1);
  if (put?.do !== 'put') return { credentials: 0, bytes: 0 };
  const bytes = put.sealed_values.length;
  if (current === undefined) return { credentials: 1, bytes };
  return { credentials: 0, bytes: bytes - (current.sealed_values?.length ?? bytes) };
}

function quotaError(what: string): VaultError {
  const message = `A user has ${what}. Delete credentials that are no longer used. Nothing was changed.`;
  return new VaultError('INVALID_INPUT', message);
}
