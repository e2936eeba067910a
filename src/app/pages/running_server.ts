/** The server of the same home, if one runs: `keyhold serve` writes its URL to a file, and a request shows that it still runs. */
import { fetchBounded } from '../../client/bounded_fetch.ts';
import { readServerUrl } from '../../io/server_file.ts';

const HEALTH_LIMITS = { time_ms: 1_000, body_bytes: 4_096 };

/** The URL without a trailing slash; `undefined` without a server that responds. */
export async function findRunningServer(home: string): Promise<string | undefined> {
  const url = readServerUrl(home)?.replace(/\/+$/, '');
  if (url === undefined) return undefined;
  try {
    const { response } = await fetchBounded(new Request(`${url}/healthz`), HEALTH_LIMITS);
    return response.ok ? url : undefined;
  } catch {
    return undefined;
  }
}
