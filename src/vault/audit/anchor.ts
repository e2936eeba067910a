/**
 * The anchor: a file beside the root key with the last position and link of each audit chain and a MAC. A vault file or
 * database that was replaced as a whole by an older copy is consistent in itself; the anchor shows that this machine has seen a
 * later state. Written at most once a minute after writes, and when the vault is closed. It never moves back by itself.
 */
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import { dirname } from 'node:path';
import * as z from 'zod';
import type { AuditFinding } from '../../contract/audit.ts';
import { VaultError } from '../../contract/errors.ts';
import { constantTimeEqual } from '../../crypto/audit_chain.ts';
import { type FileOwner, replaceFile } from '../../io/atomic_file.ts';
import { errnoOf } from '../../io/errno.ts';
import { movedError } from '../../store/errors.ts';
import type { Store, StoredHead } from '../../store/store.ts';

const WRITE_EVERY_MS = 60_000;
/** Chains that are compared at the same time: over a network they share a round trip. */
const COMPARED_AT_ONCE = 256;
const FORMAT = 1;
const Hex = z.string().regex(/^(?:[0-9a-f]{2})*$/);
const AnchorFile = z.strictObject({
  format: z.literal(FORMAT),
  vault: Hex,
  /** Organization, position, link. */
  chains: z.array(z.tuple([Hex, z.int().min(1), Hex])),
  mac: Hex,
});
type AnchorContent = Omit<z.infer<typeof AnchorFile>, 'mac'>;

/** Of every format. */
const AnchorFormat = z.looseObject({ format: z.int() });

/** `foreign`: no anchor, or that of another vault. `changed`: not written by this vault. */
type Read = AnchorContent['chains'] | 'foreign' | 'changed';

/** Reads the keys of the MAC, the newest first. The last one, derived from the vault key, identifies the vault. */
export type ReadAnchorKeys = () => Promise<readonly [Buffer, ...Buffer[]]>;

export class AuditAnchor {
  readonly #path: string;
  readonly #keys: ReadAnchorKeys;
  readonly #store: Store;
  readonly #creates_home: boolean;
  #timer: NodeJS.Timeout | undefined;
  #has_writes = false;

  /** `creates_home`: also after writes, for a vault whose store and root key are not in `KEYHOLD_HOME`; `accept` always does. */
  constructor(path: string, keys: ReadAnchorKeys, store: Store, { creates_home = false } = {}) {
    this.#creates_home = creates_home;
    this.#path = path;
    this.#keys = keys;
    this.#store = store;
  }

  /** Call after each commit. */
  noteCommit(): void {
    this.#has_writes = true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#writeAfterCommits();
    }, WRITE_EVERY_MS).unref();
  }

  /** Call before the store is closed. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writeAfterCommits();
  }

  /**
   * Throws CORRUPT if the store is older than the anchor, or UNAVAILABLE if the vault was moved away. A database that was restored
   * from a backup, or whose standby lost writes, must not be written to: what was acknowledged since would be lost for good. An
   * anchor that cannot be read or was changed shows no rollback; the verification reports it.
   */
  async assertReached(): Promise<void> {
    let chains: Read;
    try {
      chains = await this.#read();
    } catch {
      return;
    }
    if (chains === 'foreign' || chains === 'changed' || (await this.#isReached(chains))) return;
    const move = await this.#store.move();
    // The new store has the later writes.
    if (move?.is_done === true) throw movedError(move);
    throw new VaultError(
      'CORRUPT',
      'The database is older than the last state that keys/anchor recorded: writes that were confirmed are missing in it. Connect to the newest copy of the database; if you restored this one on purpose, run `keyhold audit verify --accept`.',
      { reason: 'store_rolled_back' },
    );
  }

  /** The finding of the verification, if the vault is older than the anchor. Throws as `#read`. */
  async verify(): Promise<Pick<AuditFinding, 'kind' | 'message'> | undefined> {
    const chains = await this.#read();
    if (chains === 'foreign') return undefined;
    const accept =
      'If you restored a backup on purpose, run `keyhold audit verify --accept`; otherwise restore the newest copy and find out who could write to the file.';
    if (chains === 'changed')
      return { kind: 'vault_rolled_back', message: `The file keys/anchor was changed. ${accept}` };
    if (await this.#isReached(chains)) return undefined;
    const message = `The vault is older than the last state that keys/anchor recorded. ${accept}`;
    return { kind: 'vault_rolled_back', message };
  }

  /** Whether the log has entries after its first one, and this machine has no anchor of the vault. False for an unreadable one. */
  async isMissing(): Promise<boolean> {
    const chains = await this.#read().catch(() => undefined);
    return chains === 'foreign' && (await this.#store.auditHeads()).some(({ position }) => position > 1);
  }

  /** Takes the present state of the vault for the newest, or the one with these heads. Throws UNAVAILABLE if the file cannot be written. */
  async accept(heads?: readonly StoredHead[]): Promise<void> {
    await this.#write(heads ?? (await this.#store.auditHeads()));
  }

  /** Leaves an anchor that shows a rollback as it is. A failure costs protection only: the next write tries again. */
  async #writeAfterCommits(): Promise<void> {
    if (!this.#has_writes) return;
    this.#has_writes = false;
    if (!this.#creates_home && !fs.existsSync(dirname(dirname(this.#path)))) return;
    try {
      const chains = await this.#read();
      if (chains === 'changed' || (chains !== 'foreign' && !(await this.#isReached(chains)))) return;
      const heads = await this.#store.auditHeads();
      if (!(await this.#isRecorded(heads))) await this.#write(heads);
    } catch {
      // The folder of the key may be read-only, as in a container, and the anchor unreadable or of a later format.
    }
  }

  /** Whether another process has recorded the same state or a later one since these heads were read. */
  async #isRecorded(heads: readonly StoredHead[]): Promise<boolean> {
    const chains = await this.#read();
    if (chains === 'foreign' || chains === 'changed') return chains === 'changed';
    const recorded = new Map(chains.map(([organization, position]) => [organization, position]));
    return heads.every(
      ({ organization, position }) => (recorded.get(organization.toString('hex')) ?? 0) >= position,
    );
  }

  /** Whether the store has all entries that the anchor names. */
  async #isReached(chains: AnchorContent['chains']): Promise<boolean> {
    for (let at = 0; at < chains.length; at += COMPARED_AT_ONCE) {
      const compared = chains.slice(at, at + COMPARED_AT_ONCE).map(async ([organization, position, link]) => {
        const [entry] = await this.#store.auditEntries(Buffer.from(organization, 'hex'), position, 1);
        return entry?.position === position && entry.link.toString('hex') === link;
      });
      if ((await Promise.all(compared)).includes(false)) return false;
    }
    return true;
  }

  /** Throws UNAVAILABLE for a file that cannot be read or has a later format: neither shows a rollback. */
  async #read(): Promise<Read> {
    let text: string;
    try {
      text = fs.readFileSync(this.#path, 'utf8');
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOENT') return 'foreign';
      const message = `The file keys/anchor cannot be read (${errno}). Make it a file that the user of Keyhold can read, then verify again.`;
      throw new VaultError('UNAVAILABLE', message, { reason: 'unreadable' });
    }
    const json = parseJson(text);
    if ((AnchorFormat.safeParse(json).data?.format ?? 0) > FORMAT) {
      const message =
        'The file keys/anchor was written by a newer Keyhold. Upgrade Keyhold to verify the vault.';
      throw new VaultError('UNAVAILABLE', message, { reason: 'newer_format' });
    }
    const parsed = AnchorFile.safeParse(json);
    if (!parsed.success) return 'changed';
    const { mac, ...content } = parsed.data;
    const keys = await this.#keys();
    if (content.vault !== vaultIdOf(keys)) return 'foreign';
    // One that was written before a rotation of the key has the MAC of an older one until the next write.
    const is_own = keys.some((key) => constantTimeEqual(Buffer.from(mac, 'hex'), macOf(key, content)));
    return is_own ? content.chains : 'changed';
  }

  async #write(heads: readonly StoredHead[]): Promise<void> {
    const keys = await this.#keys();
    const chains = heads.map(({ organization, position, link }): AnchorContent['chains'][number] => [
      organization.toString('hex'),
      position,
      link.toString('hex'),
    ]);
    const content: AnchorContent = { format: FORMAT, vault: vaultIdOf(keys), chains };
    const text = JSON.stringify({ ...content, mac: macOf(keys[0], content).toString('hex') });
    writeAnchorFile(this.#path, `${text}\n`);
  }
}

const OWNER_ONLY = 0o600;

/** Creates the folder too: with a root key that is elsewhere nothing else does. */
function writeAnchorFile(path: string, text: string): void {
  const folder = dirname(path);
  try {
    if (fs.mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined) giveToOwnerOfParent(folder);
    replaceFile(path, text, { mode: OWNER_ONLY, like: ownerOf(path) }, () => undefined);
  } catch (cause) {
    const message = `The file keys/anchor cannot be written (${errnoOf(cause)}). Check that the folder keys in KEYHOLD_HOME belongs to the user of Keyhold and that its disk is writable and not full, then run the command again.`;
    const reason = errnoOf(cause) === 'ENOSPC' ? 'disk_full' : 'unreadable';
    throw new VaultError('UNAVAILABLE', message, { reason, cause });
  }
}

/** A command that root runs must not take the anchor away from the user of the service. */
function ownerOf(path: string): FileOwner {
  const found = fs.statSync(path, { throwIfNoEntry: false });
  return found ?? { ...ownerIds(dirname(path)), mode: OWNER_ONLY };
}

function giveToOwnerOfParent(folder: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = ownerIds(dirname(folder));
  try {
    // Not the target of a symbolic link that the other user puts there meanwhile.
    fs.lchownSync(folder, uid, gid);
  } catch {
    // A file server can refuse it to root. The file can be written all the same.
  }
}

function ownerIds(folder: string): Pick<FileOwner, 'uid' | 'gid'> {
  const { uid, gid } = fs.statSync(folder);
  return { uid, gid };
}

function macOf(key: Buffer, { format, vault, chains }: AnchorContent): Buffer {
  return createHmac('sha256', key)
    .update(`anchor\0${JSON.stringify([format, vault, chains])}`)
    .digest();
}

/** The id of a vault in its anchor and its backups: stays the same whatever its root key is. `keys`: those of the anchor. */
export function vaultIdOf(keys: readonly Buffer[]): string {
  return createHmac('sha256', keys.at(-1) ?? '')
    .update('vault id')
    .digest('hex')
    .slice(0, 32);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
