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

export interface Growth {
  readonly credentials: number;
  readonly bytes: number;
}

const NOTHING: Growth = { credentials: 0, bytes: 0 };

/** The credentials of a user: those counted in the store, those added since, and those in transactions of this process. */
export class UserUsage {
  readonly #limits: QuotaLimits;
  #counted: Growth | undefined;
  #added = NOTHING;
  #reserved = NOTHING;
  #counting: Promise<void> | undefined;

  constructor(limits: QuotaLimits = DEFAULT_QUOTA) {
    this.#limits = limits;
  }

  get needsCount(): boolean {
    if (this.#counted === undefined) return true;
    const { credentials, bytes } = this.#limits;
    const total = this.#total();
    return (
      total.credentials > NEAR * credentials ||
      total.bytes > NEAR * bytes ||
      this.#added.credentials > COUNTED_AGAIN_AFTER * credentials ||
      this.#added.bytes > COUNTED_AGAIN_AFTER * bytes
    );
  }

  /** Counts again, or waits for the count that runs. What is added meanwhile may be counted twice, but is never left out. */
  countAgain(count: () => Promise<Growth>): Promise<void> {
    this.#counting ??= this.#count(count).finally(() => {
      this.#counting = undefined;
    });
    return this.#counting;
  }

  async #count(count: () => Promise<Growth>): Promise<void> {
    const before = this.#added;
    this.#counted = await count();
    this.#added = difference(this.#added, before);
  }

  /** Throws INVALID_INPUT if the user may not have that much more. Follow it by `commit` or `release`. */
  reserve(growth: Growth): void {
    const max = this.#limits;
    const total = sum(this.#total(), growth);
    if (growth.credentials > 0 && total.credentials > max.credentials)
      throw quotaError(`at most ${max.credentials} credentials`);
    if (growth.bytes > 0 && total.bytes > max.bytes)
      throw quotaError(`at most ${max.bytes / 1024 ** 2} MiB of values`);
    this.#reserved = sum(this.#reserved, growth);
  }

  release(growth: Growth): void {
    this.#reserved = difference(this.#reserved, growth);
  }

  commit(growth: Growth): void {
    this.release(growth);
    this.#added = sum(this.#added, growth);
  }

  #total(): Growth {
    return sum(sum(this.#counted ?? NOTHING, this.#added), this.#reserved);
  }
}

/** What one write reserves. Its plan may run several times. */
export class Reservation {
  readonly #usage: UserUsage;
  #growth: Growth | undefined;

  constructor(usage: UserUsage) {
    this.#usage = usage;
  }

  /** Throws INVALID_INPUT if the user may not have that much more. */
  replace(growth: Growth): void {
    this.release();
    this.#usage.reserve(growth);
    this.#growth = growth;
  }

  release(): void {
    if (this.#growth !== undefined) this.#usage.release(this.#growth);
    this.#growth = undefined;
  }

  /** Call after the commit. */
  commit(): void {
    if (this.#growth !== undefined) this.#usage.commit(this.#growth);
    this.#growth = undefined;
  }
}

function sum(a: Growth, b: Growth): Growth {
  return { credentials: a.credentials + b.credentials, bytes: a.bytes + b.bytes };
}

function difference(a: Growth, b: Growth): Growth {
  return { credentials: a.credentials - b.credentials, bytes: a.bytes - b.bytes };
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
    const known = this.#usage.get(key) ?? new UserUsage(this.#parts.quota);
    this.#usage.set(key, known);
    if (known.needsCount) await known.countAgain(() => this.#count(keyring, user));
    return known;
  }

  async #count(keyring: OrganizationKeyring, user: string): Promise<Growth> {
    const { store, codec } = this.#parts;
    let total = NOTHING;
    for (const stack of await this.#stacks.idsOf(keyring, user)) {
      const { count, values_bytes } = await store.usage(codec.scopeOf(keyring, user, stack));
      total = sum(total, { credentials: count, bytes: values_bytes });
    }
    return total;
  }
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
