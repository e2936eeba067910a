/**
 * Changes one server in a client's configuration file: a backup beside it first, then a new file renamed over the
 * old one, so that a reader sees the old or the new file and nothing between. Writes nothing when nothing changes.
 * A link is followed, the file's mode and owner stay. Never shows what else stands in the file.
 */
import fs from 'node:fs';
import path from 'node:path';
import { VaultError } from '../../../contract/errors.ts';
import { createFile, replaceFile } from '../../../io/atomic_file.ts';
import { errnoOf } from '../../../io/errno.ts';
import type { ServerEntry } from './clients.ts';
import { type EditedText, removeServer, type ServerPlace, serverState, setServer } from './edit_json.ts';

/** Configuration files grow with what clients remember in them; past this one it is something else. */
export const CONFIG_MAX_BYTES = 64 * 1024 * 1024;
/** As many links in a row as Linux follows (path_resolution(7)). */
const LINKS_MAX = 40;
const BACKUPS_AT_ONCE_MAX = 100;

export interface ConfigFile extends ServerPlace {
  /** Absolute path, as the client knows it. */
  readonly path: string;
  /** Mode of the file where it is not there yet, before the umask. */
  readonly new_file_mode: number;
}

export interface ConfigChange {
  readonly outcome: EditedText['outcome'];
  /** Absolute path of the copy of the old file; null when there was none or nothing changed. */
  readonly backup: string | null;
  /** Whether the folder of the file had to be made. A client that has been started has made it itself. */
  readonly folder_made: boolean;
}

interface OldFile {
  readonly bytes: Buffer;
  readonly stat: fs.Stats;
}

/**
 * How the server stands in the file; `absent` also where there is no file. INVALID_INPUT when the file is not JSON
 * or no file, UNAVAILABLE when it cannot be read.
 */
export function readServerState(file: ConfigFile, entry: ServerEntry): 'same' | 'differs' | 'absent' {
  const old = guarded(file, () => readOld(followLinks(file), file));
  return old === undefined ? 'absent' : serverState(decode(old.bytes, file).text, file, entry);
}

/**
 * Sets the server to the entry, or takes it out where the entry is null. `now` names the backup.
 * INVALID_INPUT when the file is not JSON or no file, CONFLICT when another program changed it meanwhile,
 * UNAVAILABLE when it cannot be read or written; the file is then as it was.
 */
export function changeServer(file: ConfigFile, entry: ServerEntry | null, now: Date): ConfigChange {
  return guarded(file, () => {
    const target = followLinks(file);
    const old = readOld(target, file);
    const { bom, text } = old === undefined ? { bom: '', text: '' } : decode(old.bytes, file);
    const edited = entry === null ? removeServer(text, file) : setServer(text, file, entry);
    if (edited.outcome === 'unchanged') return { outcome: 'unchanged', backup: null, folder_made: false };
    const folder_made = fs.mkdirSync(path.dirname(target), { recursive: true }) !== undefined;
    const backup = old === undefined ? null : writeBackup(target, old, file, now);
    try {
      const options = { mode: file.new_file_mode, like: old?.stat };
      replaceFile(target, bom + edited.text, options, () => assertUnchanged(target, old, file));
    } catch (error) {
      if (backup !== null) fs.rmSync(backup, { force: true });
      throw error;
    }
    return { outcome: edited.outcome, backup, folder_made };
  });
}

/** Where the file really is. Links are followed by hand because the last one may point to a file not made yet. */
function followLinks(file: ConfigFile): string {
  let at = file.path;
  for (let hop = 0; hop < LINKS_MAX; hop += 1) {
    if (!fs.lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink()) return at;
    at = path.resolve(fs.realpathSync(path.dirname(at)), fs.readlinkSync(at));
  }
  throw notAFile(file);
}

function readOld(target: string, file: ConfigFile): OldFile | undefined {
  const stat = fs.statSync(target, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  // Before opening it: a pipe would wait for a writer.
  if (!stat.isFile()) throw notAFile(file);
  if (stat.size > CONFIG_MAX_BYTES) {
    throw new VaultError(
      'INVALID_INPUT',
      `The configuration file of ${file.title} is larger than ${CONFIG_MAX_BYTES} bytes. Use --print and put the entry in by hand.`,
    );
  }
  return { bytes: fs.readFileSync(target), stat };
}

function decode(bytes: Buffer, file: ConfigFile): { readonly bom: string; readonly text: string } {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new VaultError(
      'INVALID_INPUT',
      `The configuration file of ${file.title} is not UTF-8 text. Save it as UTF-8 and run this again; nothing was changed.`,
      { cause },
    );
  }
  const bom = text.startsWith('\uFEFF') ? '\uFEFF' : '';
  return { bom, text: text.slice(bom.length) };
}

/** `<file>.keyhold-backup-<UTC timestamp>`, ISO 8601 basic format. A number is added rather than one overwritten. */
function writeBackup(target: string, old: OldFile, file: ConfigFile, now: Date): string {
  const stamp = now.toISOString().replaceAll(/[-:.]/g, '');
  for (let count = 1; count <= BACKUPS_AT_ONCE_MAX; count += 1) {
    const backup = `${target}.keyhold-backup-${stamp}${count === 1 ? '' : `-${count}`}`;
    if (createFile(backup, old.bytes, { mode: 0o600, like: old.stat })) return backup;
  }
  throw notAFile(file);
}

function assertUnchanged(target: string, old: OldFile | undefined, file: ConfigFile): void {
  const now = readOld(target, file);
  if (now === undefined ? old === undefined : old !== undefined && now.bytes.equals(old.bytes)) return;
  throw new VaultError(
    'CONFLICT',
    `Another program changed the configuration file of ${file.title} meanwhile. Close ${file.title} and run this again.`,
  );
}

function notAFile({ title }: ConfigFile): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    `Something else than a file stands where ${title} keeps its configuration. Move it away and run this again.`,
    { reason: 'not_a_file' },
  );
}

/** Runs file work; what the system refuses becomes an error that says what to do. */
function guarded<Result>(file: ConfigFile, work: () => Result): Result {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    const subject = `The configuration file of ${file.title}`;
    switch (errnoOf(cause)) {
      case 'EISDIR':
      case 'ENOTDIR':
      case 'EEXIST':
      case 'ELOOP':
        throw notAFile(file);
      case 'EACCES':
      case 'EPERM':
      case 'EROFS':
        throw new VaultError(
          'UNAVAILABLE',
          `${subject} may not be read or written by this user. Use --print, or run this as its owner.`,
          { reason: 'read_only', cause },
        );
      case 'ENOSPC':
      case 'EDQUOT':
        throw new VaultError('UNAVAILABLE', `${subject} could not be written: the disk is full.`, {
          reason: 'disk_full',
          cause,
        });
      case 'EBUSY':
        throw new VaultError('UNAVAILABLE', `${subject} is in use. Close ${file.title} and run this again.`, {
          reason: 'busy',
          cause,
        });
      default:
        throw new VaultError('UNAVAILABLE', `${subject} could not be read or written. Use --print instead.`, {
          reason: 'unreadable',
          cause,
        });
    }
  }
}
