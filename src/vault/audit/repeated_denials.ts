/**
 * Writes denials to the audit log: the first of a group of equal ones at once, the others as one entry a minute with their
 * number. An entry for each would let a caller without any permission fill the log.
 *
 * A group ends after a minute without a further denial, with the next allowed entry of the caller, and when the vault is
 * closed. What was counted since the last entry is in memory: a process that is killed loses it, which is a minute's
 * number at most and never the first denial.
 */
import type { NewAuditEntry } from '../../contract/audit.ts';
import { DENIAL_GROUPS_MAX, DENIALS_LOGGED_EVERY_MS } from '../../contract/limits.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';

type WriteEntry = (keyring: OrganizationKeyring, entry: NewAuditEntry) => Promise<void>;

/** Denials of one caller that are equal, since the last entry. */
interface Group {
  readonly keyring: OrganizationKeyring;
  count: number;
  /** The last of them, without the parts in which they differ. `undefined`: none since the last entry. */
  summary: NewAuditEntry | undefined;
  timer: NodeJS.Timeout | undefined;
}

export class RepeatedDenials {
  readonly #write: WriteEntry;
  /** By caller, then by what was denied. */
  readonly #groups = new Map<string, Map<string, Group>>();
  #size = 0;
  readonly #writes = new Set<Promise<void>>();

  constructor(write: WriteEntry) {
    this.#write = write;
  }

  /** Resolves when the denial is in the log, or counted in a group. Rejects if the first of a group cannot be written. */
  async record(keyring: OrganizationKeyring, denial: NewAuditEntry): Promise<void> {
    const caller = callerOf(keyring, denial);
    const what = JSON.stringify([denial.action, denial.reason, denial.service_id]);
    const known = this.#groups.get(caller)?.get(what);
    if (known !== undefined) {
      count(known, denial, 1);
      return;
    }
    if (this.#size >= DENIAL_GROUPS_MAX) this.#endOldest();
    const group: Group = { keyring, count: 0, summary: undefined, timer: undefined };
    const of_caller = this.#groups.get(caller) ?? new Map<string, Group>();
    this.#groups.set(caller, of_caller.set(what, group));
    this.#size += 1;
    const remove = () => {
      if (of_caller.get(what) !== group) return;
      of_caller.delete(what);
      if (of_caller.size === 0) this.#groups.delete(caller);
      this.#size -= 1;
      clearTimeout(group.timer);
    };
    this.#writeEveryMinute(group, remove);
    try {
      await this.#track(this.#write(keyring, { ...denial, count: 1 }));
    } catch (error) {
      // The next denial is written at once again.
      if (group.count === 0) remove();
      throw error;
    }
  }

  /** Ends the groups of the caller of an entry, so that the log has its denials beside the entry. */
  endGroupsOf(keyring: OrganizationKeyring, entry: NewAuditEntry): void {
    if (this.#size > 0) this.#end(callerOf(keyring, entry));
  }

  /** Ends all groups. Resolves when their numbers are in the log or could not be written. */
  async flush(): Promise<void> {
    for (const caller of [...this.#groups.keys()]) this.#end(caller);
    await Promise.allSettled(this.#writes);
  }

  #endOldest(): void {
    const [oldest] = this.#groups.keys();
    if (oldest !== undefined) this.#end(oldest);
  }

  #end(caller: string): void {
    const ended = this.#groups.get(caller);
    if (ended === undefined) return;
    this.#groups.delete(caller);
    this.#size -= ended.size;
    const groups = [...ended.values()];
    ended.clear();
    for (const group of groups) {
      clearTimeout(group.timer);
      this.#writeCount(group);
    }
  }

  #writeEveryMinute(group: Group, remove: () => void): void {
    group.timer = setTimeout(() => {
      if (group.count === 0) return remove();
      this.#writeCount(group);
      this.#writeEveryMinute(group, remove);
    }, DENIALS_LOGGED_EVERY_MS).unref();
  }

  #writeCount(group: Group): void {
    const { keyring, count: number, summary } = group;
    if (summary === undefined) return;
    group.count = 0;
    group.summary = undefined;
    // What cannot be written is counted in the next entry, unless the group has ended: then the number is lost.
    void this.#track(this.#write(keyring, { ...summary, count: number })).catch(() =>
      count(group, summary, number),
    );
  }

  #track(write: Promise<void>): Promise<void> {
    const tracked = write.finally(() => this.#writes.delete(tracked));
    this.#writes.add(tracked);
    return tracked;
  }
}

function count(group: Group, denial: NewAuditEntry, number: number): void {
  group.summary = group.summary === undefined ? denial : commonParts(group.summary, denial);
  group.count += number;
}

/** An entry must not name one record for denials that concern several. */
function commonParts(earlier: NewAuditEntry, last: NewAuditEntry): NewAuditEntry {
  const common = <Part extends keyof NewAuditEntry>(part: Part) =>
    earlier[part] === last[part] ? last[part] : null;
  return {
    ...last,
    api_key_id: common('api_key_id'),
    made_by: common('made_by'),
    claimed_client: common('claimed_client'),
    owner: common('owner'),
    stack_id: common('stack_id'),
    name: common('name'),
    use: common('use'),
  };
}

/** Failed authentications have no caller, so all of an organization over one interface are one group. */
function callerOf({ id }: OrganizationKeyring, { action, user, edge, api_key_id }: NewAuditEntry): string {
  const organization = id.toString('base64');
  return JSON.stringify(
    action === 'authenticate' ? [organization, edge] : [organization, user, edge, api_key_id],
  );
}
