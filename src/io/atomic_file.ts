/**
 * Drafts of a key file: what is written, whole and durable, before it gets the file's name, and is left where a process
 * was killed then.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/** A name for a draft of this file that no other draft has. */
export function newTempPath(path: string): string {
  return `${path}.${randomUUID()}`;
}

/** Writes a draft that only its owner can read, and its folder where there is none. Throws what the system throws. */
export function writeTempFile(draft: string, text: string): void {
  mkdirSync(dirname(draft), { recursive: true, mode: 0o700 });
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes durable which names there are in the folder. */
export function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const opened = openSync(folder, 'r');
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

/** Paths of the drafts of this file; none where there is no folder. */
export function tempFilesOf(path: string): string[] {
  const folder = dirname(path);
  const start = `${basename(path)}.`;
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith(start) && UUID.test(name.slice(start.length)))
    .map((name) => join(folder, name));
}
