/**
 * The server of the same home, if one runs. `keyhold serve` writes its URL to a file in the home, which only the user of the home can
 * change; a request shows that it still runs.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { fetchBounded } from '../../client/bounded_fetch.ts';

const FILE_MAX_CHARACTERS = 4_096;
const HEALTH_LIMITS = { time_ms: 1_000, body_bytes: 4_096 };

const ServerFile = z.object({ url: z.url({ protocol: /^https?$/ }), pid: z.int().min(1) });

/** The URL without a trailing slash; `undefined` without a server that responds. */
export async function findRunningServer(home: string): Promise<string | undefined> {
  const found = await readServerFile(join(home, 'run', 'server.json'));
  if (found === undefined || !isRunning(found.pid)) return undefined;
  const url = found.url.replace(/\/+$/, '');
  try {
    const { response } = await fetchBounded(new Request(`${url}/healthz`), HEALTH_LIMITS);
    return response.ok ? url : undefined;
  } catch {
    return undefined;
  }
}

async function readServerFile(path: string): Promise<z.infer<typeof ServerFile> | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    return text.length > FILE_MAX_CHARACTERS ? undefined : ServerFile.parse(JSON.parse(text));
  } catch {
    // Missing, or of another version: then no server is known.
    return undefined;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Of another user.
    return Object(error).code === 'EPERM';
  }
}
