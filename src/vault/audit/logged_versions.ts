/** Follows the versions of an organization's data key through its audit log. */
import type { AuditEntry } from '../../contract/audit.ts';

export class LoggedVersions {
  newest = 1;
  /** All records were encrypted again with this one. */
  of_records = 1;

  /** Whether the entry has the version that is due: each version begins with the entry of its rotation. */
  follow(key_version: number, { action, outcome }: AuditEntry): boolean {
    const begins = action === 'rotate_data_key' && outcome === 'allowed';
    const is_due = begins ? key_version > this.newest : key_version === this.newest;
    this.newest = Math.max(this.newest, key_version);
    if (action === 'reencrypt_records' && outcome === 'allowed') this.of_records = this.newest;
    return is_due;
  }
}
