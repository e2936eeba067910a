/** The file of `keyhold call --output`: it appears under its name only when it is complete. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  createWriteStream,
  openSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  type WriteStream,
} from 'node:fs';
import { finished } from 'node:stream/promises';
import { VaultError } from '../../../contract/errors.ts';

const OWNER_ONLY = 0o600;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export class OutputFile {
  readonly #path: string;
  readonly #partial: string;
  readonly #file: WriteStream;
  readonly #ended: Promise<void>;

  /** Creates the temporary file. Throws UNAVAILABLE or INVALID_INPUT; call it before the request, which cannot be undone. */
  constructor(path: string) {
    assertReplaceable(path);
    this.#path = path;
    this.#partial = `${path}.${randomUUID()}`;
    this.#file = createWriteStream(this.#partial, { fd: openNew(this.#partial) });
    this.#ended = finished(this.#file);
    this.#ended.catch(() => undefined);
    for (const signal of SIGNALS) process.once(signal, this.#onSignal);
  }

  /** Writes the parts and renames the file. Throws UNAVAILABLE if it cannot be written, or the error of `parts`. */
  async write(parts: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const part of parts) {
      if (!this.#file.write(part))
        await Promise.race([once(this.#file, 'drain'), this.#ended]).catch(throwNotWritable);
    }
    this.#file.end();
    await this.#ended.catch(throwNotWritable);
    try {
      renameSync(this.#partial, this.#path);
    } catch (cause) {
      throwNotWritable(cause);
    }
  }

  /** Deletes the temporary file, unless `write` has renamed it. Call it in every case. */
  close(): void {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    this.#file.destroy();
    rmSync(this.#partial, { force: true });
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.close();
    // Without a listener, the signal ends the process.
    process.kill(process.pid, signal);
  };
}

/** The rename would replace a device or a pipe with a file. */
function assertReplaceable(path: string): void {
  let stats: Stats | undefined;
  try {
    stats = statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throwNotWritable(cause);
  }
  if (path !== '' && (stats === undefined || stats.isFile())) return;
  const message =
    'Nothing was sent: --output must name a file, and this is a folder or a device. To write to a device, redirect standard output.';
  throw new VaultError('INVALID_INPUT', message);
}

function openNew(path: string): number {
  try {
    return openSync(path, 'wx', OWNER_ONLY);
  } catch (cause) {
    return throwNotWritable(cause);
  }
}

function throwNotWritable(cause: unknown): never {
  const message =
    'The file that --output names cannot be written. Check its folder, and the space on the disk.';
  throw new VaultError('UNAVAILABLE', message, { cause });
}
