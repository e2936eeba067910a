/**
 * Snapshots of folders, and full or read-only disks. Mounting a disk needs root; without it the test is skipped with
 * a reason.
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
  truncateSync,
  writeSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryFolder } from './vault/temp_vault.ts';

/**
 * All paths in a folder with kind, mode, inode, size, modification time and a hash of the bytes. Equal snapshots mean
 * that nothing was changed. No vault may be open in this process: reading its file would drop its locks (POSIX,
 * fcntl).
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

/** The permission bits of the path, not following links, in octal. */
export function modeOf(path: string): string {
  return (lstatSync(path).mode & 0o7777).toString(8).padStart(4, '0');
}

export interface SmallDisk {
  readonly path: string;
  /** Uses some of the free space. */
  take(kib: number): void;
  /** Uses all remaining space. */
  fill(): void;
  /** Frees all space that was used. */
  free(): void;
  remount(how: 'ro' | 'rw'): void;
}

/** Mounts an empty disk until the test ends; `undefined` if mounting is not allowed. */
export function smallDisk(size_kib: number): SmallDisk | undefined {
  const path = temporaryFolder();
  if (!mount('-t', 'tmpfs', '-o', `size=${size_kib}k,mode=0755`, 'tmpfs', path)) return undefined;
  onTestFinished(() => {
    // Unmounts lazily: a failed test may have left a file open.
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

/**
 * Mounts a disk with exFAT until the test ends: no hard links, and every file has the mode 0777, which `chmod` does not
 * change. Undefined if mounting is not allowed or the programs are missing. Missing programs fail in CI.
 */
export function exfatDisk(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  const image = join(temporaryFolder(), 'exfat.img');
  closeSync(openSync(image, 'w'));
  truncateSync(image, EXFAT_BYTES);
  const path = temporaryFolder();
  const loop =
    run('mkfs.exfat', image) && spawnSync('losetup', ['-f', '--show', image], { encoding: 'utf8' });
  const device = loop ? loop.stdout.trim() : '';
  const is_mounted = device !== '' && run('mount.exfat-fuse', '-o', 'umask=000', device, path);
  onTestFinished(() => {
    if (is_mounted) spawnSync('umount', ['-l', path]);
    if (device !== '') spawnSync('losetup', ['-d', device]);
  });
  const has_programs = ['mkfs.exfat', 'mount.exfat-fuse'].every((program) => run('which', program));
  if (!has_programs && process.env.CI) throw new Error('exFAT needs the packages exfat-fuse and exfatprogs');
  return is_mounted ? path : undefined;
}

export const NO_EXFAT = 'mounting exFAT takes root on Linux and exfat-fuse, so this was not tested';
const EXFAT_BYTES = 16 * 1024 * 1024;

function run(program: string, ...args: string[]): boolean {
  return spawnSync(program, args).status === 0;
}

/** Mounts a file over another one, as containers do. Returns how to unmount it; `undefined` if mounting is not allowed. */
export function bindMount(from: string, onto: string): (() => void) | undefined {
  if (!mount('--bind', from, onto)) return undefined;
  return () => void spawnSync('umount', ['-l', onto]);
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
