/** Streamed responses of the client: time limits, responses that are not of Keyhold, and bodies that are not read. */
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { describe, expect, test } from 'vitest';
import { sendForStream } from '../../src/client/stream.ts';
import { CALL_HEADERS_HEADER, CALL_STATUS_HEADER } from '../../src/contract/use/call_headers.ts';
import { catchKeyholdError } from './failure_of.ts';
import { httpServer } from './misbehaving_server.ts';

const STREAM_HEADERS = {
  [CALL_STATUS_HEADER]: '200',
  [CALL_HEADERS_HEADER]: encodeURIComponent(JSON.stringify({ headers: { etag: 'x' } })),
};
const TIMEOUT_MS = 300;

/** Sends one request. `closed` resolves when the server sees the end of the connection. */
async function stream(listener: RequestListener, timeout_ms = 5_000) {
  let resolveClosed: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => {
    resolveClosed = resolve;
  });
  const { url } = await httpServer((request, response) => {
    request.socket.once('close', resolveClosed);
    listener(request, response);
  });
  const limit = new Promise((_resolve, reject) => {
    const timer = setTimeout(reject, TIMEOUT_MS + 2_000, new Error('the connection is still open'));
    void closed.then(() => clearTimeout(timer));
  });
  limit.catch(() => undefined);
  return {
    closed: () => Promise.race([closed, limit]),
    sent: () => sendForStream(new Request(url, { method: 'POST' }), timeout_ms),
  };
}

/** Writes a byte every 20 ms without end. */
function trickle(status: number, headers: Readonly<Record<string, string>>): RequestListener {
  return (_request, response) => {
    response.writeHead(status, headers);
    const timer = setInterval(() => response.write('x'), 20);
    response.on('close', () => clearInterval(timer));
  };
}

describe('a streamed response', () => {
  test('reports the timeout if the server does not respond in time', async () => {
    const { sent, closed } = await stream(() => undefined, TIMEOUT_MS);
    const error = await catchKeyholdError(sent);
    expect(error).toMatchObject({ code: 'UNAVAILABLE', status: null });
    expect(error.message).toContain('did not respond within 0.3 seconds');
    await closed();
  });

  test('ends at the time limit with an error, also while its body is read', async () => {
    const { sent, closed } = await stream(trickle(200, STREAM_HEADERS), TIMEOUT_MS);
    const { status, headers, body } = await sent();
    expect([status, headers]).toEqual([200, { etag: 'x' }]);
    const error = await catchKeyholdError(async () => {
      for await (const _part of body);
    });
    expect(error).toMatchObject({ code: 'UPSTREAM', message: expect.stringContaining('broke off') });
    await closed();
  });

  test.each([
    ['an endless error response', 500, {}, 'UPSTREAM'],
    ['an endless response that is not of Keyhold', 200, {}, 'UPSTREAM'],
    ['an endless response with malformed headers', 200, { [CALL_STATUS_HEADER]: '200' }, 'UPSTREAM'],
  ])('closes the connection of %s before the time limit', async (_title, status, headers, code) => {
    const flood: RequestListener = (_request, response) => {
      response.writeHead(status, headers);
      const send = () => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
        if (!response.destroyed) response.once('drain', send);
      };
      send();
    };
    const { sent, closed } = await stream(flood);
    expect((await catchKeyholdError(sent)).code).toBe(code);
    await closed();
  });

  test('a redirect is not followed, and the message explains it', async () => {
    const { sent } = await stream((_request, response) => {
      response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end();
    });
    const error = await catchKeyholdError(sent);
    expect(error).toMatchObject({ code: 'UPSTREAM', status: 307 });
    expect(error.message).toContain('responded with a redirect');
  });

  test.each([['before its first part was read'], ['after its first part was read']])(
    'closes its connection if it is returned %s',
    async (when) => {
      const { sent, closed } = await stream(trickle(200, STREAM_HEADERS));
      const { body } = await sent();
      if (when.startsWith('after')) await body.next();
      await body.return(undefined);
      await closed();
    },
  );

  test('an error of the server keeps its code and its message', async () => {
    const { sent } = await stream((_request, response) => {
      response.writeHead(403).end('{"detail":"No.","code":"FORBIDDEN","reason":"outside_policy"}');
    });
    expect(await catchKeyholdError(sent)).toMatchObject({
      code: 'FORBIDDEN',
      reason: 'outside_policy',
      message: 'No.',
      status: 403,
    });
  });

  test('the parts of the body arrive in order', async () => {
    const { sent } = await stream(async (_request, response) => {
      response.writeHead(200, STREAM_HEADERS);
      for (const part of ['one ', 'two ', 'three']) {
        if (!response.write(part)) await once(response, 'drain');
      }
      response.end();
    });
    const parts: Uint8Array[] = [];
    for await (const part of (await sent()).body) parts.push(part);
    expect(Buffer.concat(parts).toString()).toBe('one two three');
  });
});
