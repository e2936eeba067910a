/**
 * Tickets with which `keyhold open` signs the person at this machine in to the pages: one record each, found by the hash of a
 * random token, for one use within a minute. The record is deleted in the transaction that creates the session.
 */
import { hash } from 'node:crypto';
import { type Caller, isLocalCommandLine } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { SIGN_IN_TICKET_AGE_MS } from '../../contract/limits.ts';
import type { RecordWrite } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository, removal, type Versioned } from '../records/entity_repository.ts';

const TOKEN_BYTES = 32;

interface TicketMeta {
  readonly expires_at: string;
}

type Parts = Pick<VaultDependencies, 'store' | 'records' | 'random' | 'now'>;

export class SignInTickets {
  readonly #parts: Parts;
  readonly #records: EntityRepository<TicketMeta>;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, 'sign_in_ticket');
  }

  /** Returns the token of a new ticket, and removes expired ones. FORBIDDEN over every interface but the local command line. */
  async create(keyring: OrganizationKeyring, caller: Caller): Promise<string> {
    if (!isLocalCommandLine(caller))
      throw new VaultError(
        'FORBIDDEN',
        'Only a person at the machine of the vault opens the pages without a key.',
      );
    const { store, records, random, now } = this.#parts;
    const scope = this.#records.scope(keyring, []);
    const others = await this.#records.list(keyring, scope, Number.POSITIVE_INFINITY);
    const expired = others.filter((one) => this.#isExpired(one)).map(removal);
    const token = random(TOKEN_BYTES).toString('base64url');
    const expires_at = new Date(now().getTime() + SIGN_IN_TICKET_AGE_MS).toISOString();
    const ref = { key: [hashOf(token)], scope };
    const put = this.#records.put(keyring, ref, records.newId(), 1, { expires_at });
    await store.commit({ writes: [...expired, put], audit: [] });
    return token;
  }

  /** Whether the ticket can still be used. */
  async isOpen(keyring: OrganizationKeyring, token: string): Promise<boolean> {
    return (await this.#find(keyring, token)) !== undefined;
  }

  /** The write that consumes the ticket. Throws UNAUTHENTICATED for one that is unknown, used or expired. */
  async consume(keyring: OrganizationKeyring, token: string): Promise<RecordWrite> {
    const found = await this.#find(keyring, token);
    if (found !== undefined) return removal(found);
    throw new VaultError(
      'UNAUTHENTICATED',
      'This sign-in was used before or has expired. Run `keyhold open` again.',
    );
  }

  async #find(keyring: OrganizationKeyring, token: string): Promise<Versioned<TicketMeta> | undefined> {
    const found = await this.#records.find(keyring, [hashOf(token)]);
    return found === undefined || this.#isExpired(found) ? undefined : found;
  }

  #isExpired({ meta }: Versioned<TicketMeta>): boolean {
    return Date.parse(meta.expires_at) <= this.#parts.now().getTime();
  }
}

function hashOf(token: string): string {
  return hash('sha256', token, 'base64url');
}
