/**
 * The file `run/server.json` in the home folder: where the running `keyhold serve` has its pages, for other processes of the
 * same user. Only its owner can write it. A crash leaves it behind, so its reader checks that the process lives.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as z from 'zod';
import { replaceFile } from './atomic_file.ts';
import { isSecureUrl } from './server_url.ts';
import { parseStrictJson } from './strict_json.ts';

const ServerFile = z.strictObject({
  /** Where browsers reach the server, without a slash at the end. */
  url: z.string().refine(isSecureUrl),
  pid: z.int().positive(),
});

/** Replaces the file of an earlier server: a reader finds one of the two. Throws the errors of the file system. */
export function writeServerFile(home: string, url: string): void {
  const path = pathOf(home);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  replaceFile(path, `${JSON.stringify({ url, pid: process.pid })}\n`, { mode: 0o600 }, () => undefined);
}

/** Removes the file if this process has written it. */
export function removeServerFile(home: string): void {
  if (read(home)?.pid === process.pid) rmSync(pathOf(home), { force: true });
}

/** The URL of the pages of the running server; `undefined` without one. Another program may listen there by now: check its health. */
export function readServerUrl(home: string): string | undefined {
  const found = read(home);
  return found !== undefined && isAlive(found.pid) ? found.url : undefined;
}

function read(home: string): z.infer<typeof ServerFile> | undefined {
  try {
    const json = parseStrictJson(readFileSync(pathOf(home), 'utf8'));
    return 'violation' in json ? undefined : ServerFile.parse(json.value);
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // The process of another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function pathOf(home: string): string {
  return join(home, 'run', 'server.json');
}
