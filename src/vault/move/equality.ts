/** Makes a received copy equal to its source: header, keys, records and entries. Compares all but the header byte by byte. */
import { VaultError } from '../../contract/errors.ts';
import type { RowReader, StoredEntry, StoreSnapshot } from '../../store/store.ts';
import type { StoreReceiver } from '../../store/transfer.ts';
import { copyEntries, equalizeRows, headsByOrganization } from '../backup/copy_rows.ts';

/** The last position of each chain whose entries were found equal. Entries are never changed, but a head loses its MAC. */
export class ComparedEntries {
  readonly #positions = new Map<string, number>();

  /** Compares the entries since the last call, and the head of then. */
  async compare(from: RowReader, to: RowReader): Promise<void> {
    for (const { organization, position } of await from.heads()) {
      const key = organization.toString('hex');
      let next = this.#positions.get(key) ?? 1;
      while (next <= position) {
        const [wanted, present] = await Promise.all([
          from.entries(organization, next),
          to.entries(organization, next),
        ]);
        // The stores may divide the entries into other pages.
        const length = Math.min(wanted.length, present.length);
        if (length === 0) throw differentError();
        for (let at = 0; at < length; at++) if (!isSameEntry(wanted[at], present[at])) throw differentError();
        next = (wanted[length - 1]?.position ?? next) + 1;
      }
      this.#positions.set(key, position);
    }
  }
}

/** Copies what has changed in the source. Returns the number of changed rows. */
export async function catchUp(
  from: StoreSnapshot,
  to: StoreReceiver,
  compared: ComparedEntries,
): Promise<number> {
  let changed = await equalizeRows(from, to, true);
  await to.write({ header: from.header });
  await copyEntries(from, to, (rows) => {
    changed += rows;
  });
  await compared.compare(from, to);
  return changed;
}

/** Rejects unless the rows and heads are equal. The entries were compared. */
export async function assertEqual(from: RowReader, to: StoreReceiver): Promise<void> {
  if ((await equalizeRows(from, to, false)) > 0) throw differentError();
  const [wanted, present] = await Promise.all([from.counts(), to.counts()]);
  if (wanted.keys !== present.keys || wanted.records !== present.records) throw differentError();
  if (wanted.entries !== present.entries) throw differentError();
  const heads = headsByOrganization(await to.heads());
  const wanted_heads = await from.heads();
  if (wanted_heads.length !== heads.size) throw differentError();
  for (const { organization, position, link } of wanted_heads) {
    const head = heads.get(organization.toString('hex'));
    if (head?.position !== position || !head.link.equals(link)) throw differentError();
  }
}

function isSameEntry(a: StoredEntry | undefined, b: StoredEntry | undefined): boolean {
  return (
    a !== undefined &&
    b !== undefined &&
    a.position === b.position &&
    a.key_version === b.key_version &&
    a.sealed.equals(b.sealed) &&
    a.link.equals(b.link) &&
    a.head_mac.equals(b.head_mac)
  );
}

function differentError(): VaultError {
  return new VaultError(
    'CORRUPT',
    'The copy in the new store differs from the vault, so the vault was not moved. Another program may have written to the new store. End the move with `keyhold move --cancel`, then begin it again.',
    { reason: 'record_damaged' },
  );
}
