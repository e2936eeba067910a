/** Limits against a caller who sends too many requests, to one host or to many. */
import { setMaxListeners } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  EGRESS_HOSTS_MAX,
  EGRESS_REQUESTS_MAX,
  EGRESS_REQUESTS_PER_HOST_MAX,
  EGRESS_REQUESTS_PER_PRINCIPAL_MAX,
  EGRESS_RESOLUTIONS_PER_PRINCIPAL_MAX,
} from '../../src/contract/limits.ts';
import { Shares } from '../../src/egress/shares.ts';
import { GET, LOCAL, listenRaw, listenTls, openEgress, send } from './servers.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
/** The machine may run other tests. */
const SLOW = { timeout: 20_000 };

describe('shares', () => {
  test('are limited in total and for each principal, and given back once', () => {
    const shares = new Shares(3, 2, 'Too many.');
    const release = shares.take('ana');
    shares.take('ana');
    const error = expect.objectContaining({ code: 'RATE_LIMITED', message: 'Too many.' });
    expect(() => shares.take('ana')).toThrow(error);
    shares.take('ben');
    expect(() => shares.take('eve')).toThrow(error);
    release();
    release();
    shares.take('eve');
    expect(() => shares.take('ana')).toThrow(error);
  });
});

describe('requests', () => {
  test('past the limit of one host are refused, and others wait for their response', async () => {
    const waiting: (() => void)[] = [];
    const { origin } = await listenRaw((socket) => void waiting.push(() => socket.write(OK)));
    const egress = openEgress('127.0.0.1');
    const target = await egress.resolve(origin);
    const sent = Array.from({ length: EGRESS_REQUESTS_PER_HOST_MAX }, () =>
      egress.request(target, GET).then(async ({ body }) => {
        for await (const _ of body);
      }),
    );
    await expect.poll(() => waiting.length, SLOW).toBeGreaterThan(0);
    await expect(egress.request(target, GET)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    const timer = setInterval(() => {
      for (const respond of waiting.splice(0)) respond();
    }, 1);
    await Promise.all(sent);
    clearInterval(timer);
    // Every share was given back.
    const last = egress.request(target, GET);
    await expect.poll(() => waiting.length, SLOW).toBe(1);
    waiting[0]?.();
    expect((await last).status).toBe(200);
  });

  test('of one principal to many hosts are limited together, also those that are not read', async () => {
    const port = await listenTls((_request, response) => void response.write('x'));
    const egress = openEgress('127.0.0.1', { ca: undefined });
    // Each fails in the TLS handshake, which gives its share back.
    for (let at = 0; at < EGRESS_REQUESTS_PER_PRINCIPAL_MAX + 1; at += 128)
      await Promise.allSettled(
        Array.from({ length: 128 }, (_, index) => send(egress, `https://h${at + index}.example:${port}`)),
      );
    const { origin } = await listenRaw(() => undefined);
    const controller = new AbortController();
    setMaxListeners(0, controller.signal);
    const target = { ...(await egress.resolve(origin)), principal: 'acme/ana' };
    const sent = Array.from({ length: EGRESS_REQUESTS_PER_PRINCIPAL_MAX }, () =>
      egress.request(target, { ...GET, signal: controller.signal }),
    );
    const other = {
      origin: (await listenRaw((socket) => void socket.write(OK))).origin,
      addresses: ['127.0.0.1'],
    };
    await expect(egress.request({ ...other, principal: 'acme/ana' }, GET)).rejects.toMatchObject({
      code: 'RATE_LIMITED',
    });
    expect((await egress.request({ ...other, principal: 'acme/ben' }, GET)).status).toBe(200);
    controller.abort();
    expect((await Promise.allSettled(sent)).every(({ status }) => status === 'rejected')).toBe(true);
    expect((await egress.request({ ...other, principal: 'acme/ana' }, GET)).status).toBe(200);
    expect(EGRESS_REQUESTS_PER_PRINCIPAL_MAX).toBeLessThan(EGRESS_REQUESTS_MAX);
  });

  test('to more hosts than the limit close the connections of the host used longest ago', async () => {
    const { origin, connections } = await listenRaw((socket) => void socket.write(OK));
    const { port } = new URL(origin);
    const egress = openEgress('127.0.0.1');
    for (let at = 0; at <= EGRESS_HOSTS_MAX; at++) await send(egress, `http://h${at}.example:${port}`);
    expect(connections()).toBe(EGRESS_HOSTS_MAX + 1);
    // undici makes a connection free after the response was read.
    await setImmediate();
    await send(egress, `http://h${EGRESS_HOSTS_MAX}.example:${port}`);
    expect(connections()).toBe(EGRESS_HOSTS_MAX + 1);
    await send(egress, `http://h0.example:${port}`);
    expect(connections()).toBe(EGRESS_HOSTS_MAX + 2);
  });
});

describe('resolutions', () => {
  test('of one host at the same time are one, and of too many hosts are refused', async () => {
    const lookups: string[] = [];
    let respond: () => void = () => undefined;
    const responded = new Promise<void>((resolve) => {
      respond = resolve;
    });
    const egress = openEgress('127.0.0.1', {
      lookup: async (host) => {
        lookups.push(host);
        await responded;
        return LOCAL(host);
      },
    });
    const many = Array.from({ length: EGRESS_RESOLUTIONS_PER_PRINCIPAL_MAX }, (_, at) =>
      egress.resolve(`https://h${at}.example`, 'acme/ana'),
    );
    const same = egress.resolve('https://h0.example', 'acme/ana');
    await expect(egress.resolve('https://one.more.example', 'acme/ana')).rejects.toMatchObject({
      code: 'RATE_LIMITED',
    });
    const other = egress.resolve('https://one.more.example', 'acme/ben');
    respond();
    await Promise.all([...many, same, other]);
    expect(lookups).toHaveLength(EGRESS_RESOLUTIONS_PER_PRINCIPAL_MAX + 1);
    await egress.resolve('https://one.more.example', 'acme/ana');
  });
});
