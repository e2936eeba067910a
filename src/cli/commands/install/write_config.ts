/**
 * Changes one server in a client's configuration file: writes a backup beside it, then replaces the file atomically.
 * Follows symbolic links, of a project only within it; keeps mode and owner, and writes nothing if nothing changes. Never shows the
 * rest of the file.
 */
import fs from 'node:fs';
import path from 'node:path';
import { type ErrorReason, VaultError } from '../../../contract/errors.ts';
import { createFile, replaceFile } from '../../../io/atomic_file.ts';
import { errnoOf } from '../../../io/errno.ts';
import { existingFolder } from '../../../io/file_access.ts';
import type { ServerEntry } from './clients.ts';
import { type EditedText, removeServer, type ServerLocation, serverState, setServer } from './edit_json.ts';

/** Clients also keep their state in these files, so they grow. A larger one is not a configuration file. */
export const CONFIG_MAX_BYTES = 64 * 1024 * 1024;
/** The limit of Linux (path_resolution(7)). */
const LINKS_MAX = 40;
const BACKUPS_AT_ONCE_MAX = 100;
/** A backup has the secrets that the client had at its time. */
const BACKUPS_KEPT_MAX = 3;

export interface ConfigFile extends ServerLocation {
  /** Absolute path, as the client knows it. */
  readonly path: string;
  /** Mode of a new file, before the umask. */
  readonly new_file_mode: number;
  /** Of a file in a project: symbolic links must not lead out of this folder, which may be the work of a stranger. */
  readonly project_folder?: string | undefined;
}

export interface ConfigChange {
  readonly outcome: EditedText['outcome'];
  /** Absolute path of the copy of the old file; null if there was no file or nothing changed. */
  readonly backup: string | null;
  /** Whether the folder was created. A client that has been started has created it itself. */
  readonly is_folder_new: boolean;
}

interface OldFile {
  readonly bytes: Buffer;
  readonly stat: fs.Stats;
}

/**
 * Compares the server in the file with the entry; `absent` also if there is no file. Throws INVALID_INPUT if the path is
 * not a file or the file is not JSON, UNAVAILABLE if it cannot be read.
 */
export function readServerState(file: ConfigFile, entry: ServerEntry): 'same' | 'differs' | 'absent' {
  const old = mapErrors(file, () => readOld(followLinks(file), file));
  return old === undefined ? 'absent' : serverState(decode(old.bytes, file).text, file, entry);
}

/**
 * Sets the server to the entry, or removes it if the entry is null. `now` names the backup. Throws INVALID_INPUT if the
 * path is not a file or the file is not JSON, CONFLICT if another program changed it meanwhile, UNAVAILABLE if it cannot
 * be read or written; the file is then unchanged.
 */
export function changeServer(file: ConfigFile, entry: ServerEntry | null, now: Date): ConfigChange {
  return mapErrors(file, () => {
    const target = followLinks(file);
    const old = readOld(target, file);
    const { bom, text } = old === undefined ? { bom: '', text: '' } : decode(old.bytes, file);
    const edited = entry === null ? removeServer(text, file) : setServer(text, file, entry);
    if (edited.outcome === 'unchanged') return { outcome: 'unchanged', backup: null, is_folder_new: false };
    const is_folder_new = fs.mkdirSync(path.dirname(target), { recursive: true }) !== undefined;
    const backup = old === undefined ? null : writeBackup(target, old, file, now);
    try {
      const options = { mode: file.new_file_mode, like: old?.stat };
      replaceFile(target, bom + edited.text, options, () => assertUnchanged(target, old, file));
    } catch (error) {
      // A file that could not be replaced may have been overwritten in part. CONFLICT comes before.
      const is_written = !(error instanceof VaultError) && !isUnchanged(target, old, file);
      if (backup !== null && !is_written) fs.rmSync(backup, { force: true });
      throw error;
    }
    removeOldBackups(target);
    return { outcome: edited.outcome, backup, is_folder_new };
  });
}

/** Returns the path behind symbolic links. Not realpath, since the last link may point to a file that does not exist. */
function followLinks(file: ConfigFile): string {
  let target = file.path;
  for (let hop = 0; hop < LINKS_MAX; hop += 1) {
    if (!fs.lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink()) {
      assertInProject(target, file);
      return target;
    }
    target = path.resolve(fs.realpathSync(path.dirname(target)), fs.readlinkSync(target));
  }
  throw notAFile(file);
}

function assertInProject(target: string, { project_folder, title }: ConfigFile): void {
  if (project_folder === undefined) return;
  const project = fs.realpathSync(project_folder);
  const from_project = path.relative(project, fs.realpathSync(existingFolder(path.dirname(target))));
  if (from_project.split(path.sep)[0] !== '..' && !path.isAbsolute(from_project)) return;
  throw new VaultError(
    'INVALID_INPUT',
    `The configuration file of ${title} in this project is a symbolic link out of the project folder, and nothing was changed. Remove the link, or use --scope user.`,
  );
}

function readOld(target: string, file: ConfigFile): OldFile | undefined {
  const stat = fs.statSync(target, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  // Checked before opening: opening a named pipe would wait for a writer.
  if (!stat.isFile()) throw notAFile(file);
  if (stat.size > CONFIG_MAX_BYTES) {
    throw new VaultError(
      'INVALID_INPUT',
      `The configuration file of ${file.title} is larger than ${CONFIG_MAX_BYTES} bytes. Use --print and add the entry by hand.`,
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

/** Writes `<file>.keyhold-backup-<UTC timestamp>` (ISO 8601 basic format), with a number if that exists. */
function writeBackup(target: string, old: OldFile, file: ConfigFile, now: Date): string {
  const stamp = now.toISOString().replaceAll(/[-:.]/g, '');
  for (let count = 1; count <= BACKUPS_AT_ONCE_MAX; count += 1) {
    const backup = `${target}.keyhold-backup-${stamp}${count === 1 ? '' : `-${count}`}`;
    if (createFile(backup, old.bytes, { mode: 0o600, like: old.stat })) return backup;
  }
  throw notAFile(file);
}

/** Keeps the newest backups; their names sort by time. */
function removeOldBackups(target: string): void {
  const folder = path.dirname(target);
  const prefix = `${path.basename(target)}.keyhold-backup-`;
  const backups = fs
    .readdirSync(folder)
    .filter((name) => name.startsWith(prefix) && /^\d{8}T\d{9}Z(?:-\d+)?$/.test(name.slice(prefix.length)))
    .sort();
  for (const name of backups.slice(0, -BACKUPS_KEPT_MAX)) fs.rmSync(path.join(folder, name), { force: true });
}

function isUnchanged(target: string, old: OldFile | undefined, file: ConfigFile): boolean {
  const now = readOld(target, file);
  return now === undefined ? old === undefined : old !== undefined && now.bytes.equals(old.bytes);
}

function assertUnchanged(target: string, old: OldFile | undefined, file: ConfigFile): void {
  if (isUnchanged(target, old, file)) return;
  throw new VaultError(
    'CONFLICT',
    `Another program changed the configuration file of ${file.title} meanwhile. Close ${file.title} and run this again.`,
  );
}

function notAFile({ title }: ConfigFile): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    `The configuration path of ${title} is not a file. Move it away and run this again.`,
    { reason: 'not_a_file' },
  );
}

const UNREADABLE = ['unreadable', 'could not be read or written. Use --print instead.'] as const;
const FILE_ERRORS: Readonly<Record<string, readonly [ErrorReason, string]>> = {
  EACCES: [
    'read_only',
    'or its folder may not be read or written by this user. Use --print, or run this as its owner.',
  ],
  EPERM: [
    'read_only',
    'or its folder is locked against changes, for example with `chattr +i`. Unlock it, or use --print and add the entry by hand.',
  ],
  EROFS: [
    'read_only',
    'is on a read-only file system. Mount it writable, or use --print and add the entry where the file is made.',
  ],
  ENOSPC: ['disk_full', 'could not be written: the disk is full. Free some space and run this again.'],
  EBUSY: ['busy', 'is locked by another program. Close the client and run this again.'],
};
const SAME_ERROR: Readonly<Record<string, string>> = { EDQUOT: 'ENOSPC', ETXTBSY: 'EBUSY' };
const NOT_A_FILE_CODES = ['EISDIR', 'ENOTDIR', 'EEXIST', 'ELOOP'];

/** Runs `work` and converts the errors of the system into errors that name the next step. */
function mapErrors<Result>(file: ConfigFile, work: () => Result): Result {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    const code = errnoOf(cause) ?? '';
    if (NOT_A_FILE_CODES.includes(code)) throw notAFile(file);
    const [reason, problem] = FILE_ERRORS[SAME_ERROR[code] ?? code] ?? UNREADABLE;
    const message = `The configuration file of ${file.title} ${problem}`;
    throw new VaultError('UNAVAILABLE', message, { reason, cause });
  }
}
