/** The organizations that other nodes write to as well: their heads are locked before changes are planned, for a while. */
import { BoundedMap } from '../../../io/bounded_map.ts';
import { keyOf } from '../statements.ts';

const CONTENDED_MS = 1_000;
const ORGANIZATIONS_MAX = 10_000;

export class Contention {
  /** By organization, by `performance.now()`. */
  readonly #until_ms = new BoundedMap<string, number>(ORGANIZATIONS_MAX);

  /** Call when another node has written to the organization. */
  add(organization: Buffer): void {
    this.#until_ms.set(keyOf(organization), performance.now() + CONTENDED_MS);
  }

  hasAny(organizations: readonly Buffer[]): boolean {
    if (this.#until_ms.size === 0) return false;
    const now = performance.now();
    return organizations.some((organization) => (this.#until_ms.get(keyOf(organization)) ?? 0) > now);
  }
}
