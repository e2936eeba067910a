/**
 * The chain heads that this process has written. A head is used for the next write without reading it, while no write of
 * another node is known; and a database whose chain does not contain it has lost acknowledged writes.
 */
import { rolledBackError } from '../errors.ts';
import { keyOf, type LoadedHead } from '../statements.ts';

export interface Head {
  readonly position: number;
  readonly key_version: number;
  readonly link: Buffer;
  readonly head_mac: Buffer;
}

interface KnownHead extends Head {
  readonly organization: Buffer;
  /** No other node is known to have written since. */
  is_current: boolean;
}

/** About 300 bytes each. Beyond this, the head that was written longest ago is forgotten. */
const HEADS_MAX = 50_000;
/** How many heads a new connection is checked for. */
const RECENT_MAX = 100;

export class KnownHeads {
  /** In the order of the last write. */
  readonly #heads = new Map<string, KnownHead>();

  /** The head to append to, as far as this process knows. */
  current(organization: Buffer): Head | undefined {
    const head = this.#heads.get(keyOf(organization));
    return head?.is_current ? head : undefined;
  }

  /** 0 for none. */
  acknowledgedPosition(organization: Buffer): number {
    return this.#heads.get(keyOf(organization))?.position ?? 0;
  }

  /** Call when the write of this head was acknowledged. */
  remember(organization: Buffer, { position, key_version, link, head_mac }: Head): void {
    const key = keyOf(organization);
    this.#heads.delete(key);
    this.#heads.set(key, { organization, position, key_version, link, head_mac, is_current: true });
    if (this.#heads.size <= HEADS_MAX) return;
    for (const oldest of this.#heads.keys()) {
      this.#heads.delete(oldest);
      return;
    }
  }

  /** Call when another node may have written to these organizations. */
  expire(organizations: Iterable<Buffer>): void {
    for (const organization of organizations) {
      const head = this.#heads.get(keyOf(organization));
      if (head !== undefined) head.is_current = false;
    }
  }

  /** Throws CORRUPT if the chain does not contain the entry that was acknowledged when its position was requested. */
  assertContains({ organization, acknowledged_link }: LoadedHead, position: number): void {
    const known = this.#heads.get(keyOf(organization));
    // This process may have written meanwhile.
    if (known === undefined || known.position !== position) return;
    if (acknowledged_link?.equals(known.link) !== true) throw rolledBackError();
  }

  /** The organizations written last. */
  recent(): Buffer[] {
    return [...this.#heads.values()].slice(-RECENT_MAX).map(({ organization }) => organization);
  }
}
