/** Deletes expired records of organizations in the background. */
import { performance } from 'node:perf_hooks';
import { BoundedMap } from '../../io/bounded_map.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';

const SWEEP_EVERY_MS = 60 * 60_000;
const ORGANIZATIONS_REMEMBERED_MAX = 10_000;

export class HourlySweep {
  readonly #swept_at_ms = new BoundedMap<string, number>(ORGANIZATIONS_REMEMBERED_MAX);

  /** Calls `deleteExpired` unless this process did so for the organization within the last hour. A failure is ignored. */
  run(keyring: OrganizationKeyring, deleteExpired: (keyring: OrganizationKeyring) => Promise<void>): void {
    const organization = keyring.id.toString('latin1');
    const now_ms = performance.now();
    if (now_ms - (this.#swept_at_ms.get(organization) ?? Number.NEGATIVE_INFINITY) < SWEEP_EVERY_MS) return;
    this.#swept_at_ms.set(organization, now_ms);
    void deleteExpired(keyring).catch(() => undefined);
  }
}
