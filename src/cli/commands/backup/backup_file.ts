/** The file of a backup: written beside its path, synced, and renamed when it is complete. */
import { randomUUID } from 'node:crypto';
import fs, { createReadStream } from 'node:fs';
import { dirname } from 'node:path';
import { VaultError } from '../../../contract/errors.ts';
import { removeTempFiles, syncFolder } from '../../../io/atomic_file.ts';
import { errnoOf } from '../../../io/errno.ts';
import type { CliContext } from '../../context.ts';

const OWNER_ONLY = 0o600;
const READ_BYTES = 1024 * 1024;
const STANDARD_INPUT = '-';

export class BackupFile {
  readonly #path: string;
  readonly #partial: string;
  readonly #file: number;
  #is_open = true;

  /** Throws INVALID_INPUT for a file that exists, unless `force`, and for a folder or a device. */
  constructor(path: string, force: boolean) {
    this.#path = path;
    this.#partial = `${path}.${randomUUID()}`;
    try {
      const found = fs.statSync(path, { throwIfNoEntry: false });
      if (found !== undefined && !found.isFile()) throw notAFile();
      if (found !== undefined && !force) throw fileExists();
      this.#file = fs.openSync(this.#partial, 'wx', OWNER_ONLY);
    } catch (cause) {
      throw toFileError(cause);
    }
  }

  async write(bytes: Buffer): Promise<void> {
    try {
      for (let written = 0; written < bytes.length; )
        written += fs.writeSync(this.#file, bytes, written, bytes.length - written);
    } catch (cause) {
      throw toFileError(cause);
    }
  }

  /** Makes the file durable, then gives it its name. Removes what killed runs left. */
  async finish(): Promise<void> {
    try {
      fs.fsyncSync(this.#file);
      fs.renameSync(this.#partial, this.#path);
      syncFolder(dirname(this.#path));
      removeTempFiles(this.#path);
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT' && fs.existsSync(this.#path)) throw overtakenError(cause);
      throw toFileError(cause);
    }
  }

  /** Deletes the partial file, unless it was finished. */
  close(): void {
    if (!this.#is_open) return;
    this.#is_open = false;
    fs.closeSync(this.#file);
    fs.rmSync(this.#partial, { force: true });
  }
}

/** The bytes of a backup, from a file or standard input. */
export async function* readBackupFile(context: CliContext, path: string): AsyncGenerator<Buffer, void> {
  try {
    const options = { highWaterMark: READ_BYTES };
    for await (const chunk of path === STANDARD_INPUT ? context.stdin : createReadStream(path, options))
      yield Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk, 'latin1');
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    const message =
      errnoOf(cause) === 'ENOENT'
        ? 'There is no file at the path of the backup. Check the path.'
        : 'The file of the backup cannot be read. Check its permissions and its disk.';
    throw new VaultError(errnoOf(cause) === 'ENOENT' ? 'NOT_FOUND' : 'UNAVAILABLE', message, { cause });
  }
}

/** Writes to a stream and waits while it is full. */
export function writeTo(stream: NodeJS.WritableStream): (bytes: Buffer) => Promise<void> {
  return (bytes) =>
    new Promise((resolve, reject) => {
      stream.write(bytes, (error) => (error ? reject(toFileError(error)) : resolve()));
    });
}

/** The other backup took the partial file for one of a killed run. */
function overtakenError(cause: unknown): VaultError {
  return new VaultError(
    'CONFLICT',
    'Another process made a backup at the same path at the same time, and the file is that one. To make another backup, name another file.',
    { cause },
  );
}

function notAFile(): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    'There is a folder or a device at the path of the backup. Name a file.',
    {
      reason: 'not_a_file',
    },
  );
}

function fileExists(): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    'There is a file at the path of the backup already. Choose another name, or add --force to replace it.',
  );
}

function toFileError(cause: unknown): VaultError {
  if (cause instanceof VaultError) return cause;
  const is_full = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(errnoOf(cause) ?? '');
  const message = is_full
    ? 'The disk of the backup is full, or a size limit was reached. No backup was made. Free some space, then try again.'
    : 'The file of the backup cannot be written. No backup was made. Check its folder and its disk, then try again.';
  return new VaultError('UNAVAILABLE', message, { reason: is_full ? 'disk_full' : 'unreadable', cause });
}
