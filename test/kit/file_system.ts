/**
 * File systems in the states that real ones get into: what is in a folder before and after, disks that are full or
 * read-only. Disks are mounted, which takes root; what cannot be had is said, and the test is skipped.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryFolder } from './vault/temp_vault.ts';

/**
 * Everything in a folder: path to kind, mode, inode, size, time of change and a hash of the bytes. Two that are equal
 * mean that nothing was touched. No vault may be open in this process: reading its file would drop its locks.
 */
export function snapshot(folder: string): Record<string, string> {
  const seen: Record<string, string> = {};
  const look = (path: string) => {
    const found = lstatSync(path);
    const { mode, ino, size, mtimeMs } = found;
    const bytes = found.isFile()
      ? hash(readFileSync(path))
      : found.isSymbolicLink()
        ? readlinkSync(path)
        : '';
    seen[relative(folder, path)] = found.isDirectory()
      ? `folder ${mode.toString(8)}`
      : `${mode.toString(8)} inode ${ino}, ${size} bytes, ${mtimeMs}, ${bytes}`;
    if (found.isDirectory()) for (const name of readdirSync(path).sort()) look(join(path, name));
  };
  look(folder);
  return seen;
}

function hash(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

/** The permission bits of a path itself, as `chmod` takes them. */
export function modeOf(path: string): string {
  return (lstatSync(path).mode & 0o7777).toString(8).padStart(4, '0');
}

export interface SmallDisk {
  readonly path: string;
  /** Takes some of the room. */
  take(kib: number): void;
  /** Takes all that is left. */
  fill(): void;
  /** Gives back everything that was taken. */
  free(): void;
  remount(how: 'ro' | 'rw'): void;
}

/** Mounts an empty disk for the length of a test; `undefined` where that is not allowed. */
export function smallDisk(size_kib: number): SmallDisk | undefined {
  const path = temporaryFolder();
  if (!mount('-t', 'tmpfs', '-o', `size=${size_kib}k,mode=0755`, 'tmpfs', path)) return undefined;
  onTestFinished(() => {
    // Lazily: a test that failed may have left a file open.
    spawnSync('umount', ['-l', path]);
  });
  const ballast = join(path, 'ballast');
  return {
    path,
    take: (kib) => appendFileSync(ballast, Buffer.alloc(kib * 1024, 1)),
    fill: () => fillUp(ballast),
    free: () => rmSync(ballast),
    remount: (how) => {
      if (!mount('-o', `remount,${how}`, path)) throw new Error(`the disk could not be remounted ${how}`);
    },
  };
}

export const NO_DISKS = 'mounting a disk takes root on Linux, so this was not tested';

function mount(...words: string[]): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  return spawnSync('mount', words).status === 0;
}

function fillUp(path: string): void {
  const file = openSync(path, 'a');
  try {
    for (const size of [4096, 512, 1]) {
      try {
        for (;;) writeSync(file, Buffer.alloc(size, 1));
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
      }
    }
  } finally {
    closeSync(file);
  }
}
