/** The upstreams of the test kit, through a real egress and from a child process. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { decodeContent } from '../../src/egress/decoder.ts';
import { removeFolder } from '../kit/remove_folder.ts';
import { ECHO_CODINGS, ECHO_ENCODINGS, echo, respond, truncated } from '../kit/upstream/handlers.ts';
import { openUpstreamEgress, startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';

const VALUE = 'canary/å+1';
const LIMITS = { decoded_bytes: 1_000_000, ratio: 1000 };

async function get(origin: string, egress = openUpstreamEgress()) {
  const target = await egress.resolve(origin);
  const { status, headers, body } = await egress.request(target, {
    method: 'POST',
    path: '/a?b=c',
    headers: { 'x-value': 'plain' },
    body: Buffer.from(VALUE),
  });
  const coding = new Map(headers).get('content-encoding');
  const chunks: Buffer[] = [];
  for await (const chunk of decodeContent(body, coding, LIMITS)) chunks.push(chunk);
  return { status, headers: Object.fromEntries(headers), text: Buffer.concat(chunks).toString() };
}

describe('an upstream of the test kit', () => {
  test('is not reached under a name that it does not have', async () => {
    await startUpstream(['api.github.com'], echo());
    await expect(get('https://evil.example')).rejects.toMatchObject({ code: 'UPSTREAM' });
  });

  test('is not trusted without the test CA', async () => {
    const upstream = await startUpstream(['api.github.com'], echo());
    const egress = openUpstreamEgress({ ca: [] });
    await expect(get('https://api.github.com', egress)).rejects.toMatchObject({ code: 'UPSTREAM' });
    expect(upstream.requests).toEqual([]);
  });

  test('does not exist under its name after its test', async () => {
    await expect(get('https://api.github.com')).rejects.toMatchObject({ code: 'UPSTREAM' });
  });

  test('is reached under the real names of its service and under its port', async () => {
    const upstream = await startUpstream(['api.github.com', '*.amazonaws.com'], respond(200, 'here'));
    const origins = ['https://api.github.com', 'https://sts.amazonaws.com'];
    for (const origin of [...origins, `https://api.github.com:${upstream.port}`])
      expect(await get(origin)).toMatchObject({ status: 200, text: 'here' });
    expect(upstream.requests[1]).toMatchObject({
      method: 'POST',
      path: '/a?b=c',
      body: Buffer.from(VALUE),
      server_name: 'sts.amazonaws.com',
      headers: { host: 'sts.amazonaws.com', 'x-value': 'plain' },
    });
  });

  test.each(ECHO_ENCODINGS)('returns the whole request encoded as %s', async (encoding) => {
    await startUpstream(['api.github.com'], echo({ encoding, in_headers: true, chunk_bytes: 7 }));
    const { text, headers } = await get('https://api.github.com');
    const is_plain = encoding === 'raw' || encoding === 'json';
    expect(text.includes(VALUE)).toBe(is_plain);
    expect(headers['x-echo-x-value']?.includes('plain')).toBe(is_plain || /percent|json/.test(encoding));
  });

  test.each(ECHO_CODINGS)('compresses with %s', async (coding) => {
    await startUpstream(['api.github.com'], echo({ coding }));
    const { text, headers } = await get('https://api.github.com');
    expect(headers['content-encoding']).toBe(coding);
    expect(text).toMatch(/^POST \/a\?b=c\n.*x-value: plain\n.*\n\ncanary/s);
  });

  test('can break off in the middle of its response', async () => {
    await startUpstream(['api.github.com'], truncated());
    await expect(get('https://api.github.com')).rejects.toMatchObject({ code: 'UPSTREAM' });
  });

  test('is reached by child processes, which find no other name', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'keyhold-upstream-'));
    onTestFinished(() => removeFolder(folder));
    const upstream = await startUpstream(['api.github.com'], echo());
    const script = `
      const { request } = require('node:https');
      const ca = require('node:fs').readFileSync(process.env.KEYHOLD_EGRESS_CA);
      for (const host of ['api.github.com', 'evil.example'])
        request({ host, path: '/child', ca }, (response) => response.resume()).on('error', ({ code }) => console.log(host, code)).end();
    `;
    const env = { ...upstreamEnv(folder), PATH: process.env.PATH };
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { env });
    expect(stdout).toBe('evil.example ENOTFOUND\n');
    expect(upstream.requests.map(({ path }) => path)).toEqual(['/child']);
    expect(readFileSync(join(folder, 'upstream_lookups.txt'), 'utf8')).toBe('api.github.com\nevil.example\n');
  });
});
