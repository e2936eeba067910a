/** The time to the first byte of pages, compared with a page of the same size that bare Hono renders with hono/jsx. */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { type HttpPrograms, listen } from './http_bench.ts';
import { atMost, inMicroseconds, median, type Row } from './report.ts';

const WARM_UP = 200;
const ROUNDS = 600;
const RATIO_MAX = 1.5;

interface Loaded {
  /** From the request to the first byte of the body. */
  readonly us: number;
  readonly bytes: number;
  readonly cookie: string;
}

function load(port: number, path: string, headers: Readonly<Record<string, string>>, body?: string) {
  return new Promise<Loaded>((resolve, reject) => {
    const start = performance.now();
    const method = body === undefined ? 'GET' : 'POST';
    const sent = request({ port, path, method, headers, host: '127.0.0.1' }, (response) => {
      let us = 0;
      let bytes = 0;
      response.on('data', (data: Buffer) => {
        if (bytes === 0) us = (performance.now() - start) * 1000;
        bytes += data.length;
      });
      response.on('end', () => {
        const [cookie = ''] = response.headers['set-cookie']?.[0]?.split(';') ?? [];
        const expected = body === undefined ? 200 : 303;
        if (response.statusCode === expected) resolve({ us, bytes, cookie });
        else reject(new Error(`${path} has the status ${response.statusCode}`));
      });
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

/** The home has a credential. One request at a time, alternating with the baseline. */
export async function benchPages(
  { keyhold, bare_pages }: Pick<HttpPrograms, 'keyhold'> & { readonly bare_pages: string },
  home: string,
): Promise<Row[]> {
  const bare = await listen(bare_pages, [], home);
  const server = await listen(keyhold, ['serve'], home);
  try {
    const key = readFileSync(join(home, 'keys', 'admin.key'), 'utf8').trim();
    const headers = {
      Origin: `http://127.0.0.1:${server.port}`,
      'Content-Type': 'application/x-www-form-urlencoded',
    };
    const signed_in = await load(server.port, '/dashboard/sign-in', headers, `api_key=${key}`);
    const pages = [
      ['the sign-in page', '/dashboard/sign-in', {}],
      ['the page of services', '/dashboard', { Cookie: signed_in.cookie }],
    ] as const;
    const rows: Row[] = [];
    for (const [name, path, sent] of pages) {
      const { bytes } = await load(server.port, path, sent);
      const times = { page: [] as number[], bare: [] as number[] };
      for (let round = -WARM_UP; round < ROUNDS; round++) {
        const page = await load(server.port, path, sent);
        const baseline = await load(bare.port, `/?bytes=${bytes}`, {});
        if (round < 0) continue;
        times.page.push(page.us);
        times.bare.push(baseline.us);
      }
      const [page, baseline] = [median(times.page), median(times.bare)];
      const what = `first byte of ${name}, of a bare one of ${Math.round(bytes / 1024)} KiB`;
      rows.push(atMost(what, page / baseline, RATIO_MAX, inMicroseconds(page), inMicroseconds(baseline)));
    }
    return rows;
  } finally {
    for (const { child } of [bare, server]) child.kill('SIGTERM');
  }
}
