/** Certificates that are not accepted, each with an error that names the problem, for requests and for connections. */
import { createServer } from 'node:https';
import { createServer as createTlsServer } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { TEST_CERT, TEST_CERT_KEY } from '../kit/http/certificate.ts';
import { issueCertificate } from '../kit/upstream/certificates.ts';
import { listen, openEgress, send } from './servers.ts';

const NAME = 'api.example.com';
const CERTIFICATES = [
  ['expired', issueCertificate([NAME], [-20, -10]), /has expired/],
  ['not valid yet', issueCertificate([NAME], [10, 20]), /not valid yet/],
  ['for another host', issueCertificate(['other.example.com']), /for another host/],
  ['for a wildcard one level above', issueCertificate(['*.com']), /for another host/],
  ['for a wildcard below', issueCertificate(['*.api.example.com']), /for another host/],
  ['self-signed', { cert: TEST_CERT, key: TEST_CERT_KEY }, /self-signed/],
] as const;

describe('a server whose certificate is', () => {
  test.each(CERTIFICATES)('%s gets no request', async (_what, certificate, message) => {
    let requests = 0;
    const port = await listen(
      createServer(certificate, (_request, response) => {
        requests += 1;
        response.end();
      }),
    );
    const egress = openEgress('127.0.0.1');
    const error = { code: 'UPSTREAM', message: expect.stringMatching(message) };
    await expect(send(egress, `https://${NAME}:${port}`)).rejects.toMatchObject(error);
    await expect(egress.connect({ host: NAME, port, tls: true })).rejects.toMatchObject(error);
    expect(requests).toBe(0);
  });

  test('of an authority that is not trusted is refused, and the message names the setting', async () => {
    const port = await listen(createServer(issueCertificate([NAME]), (_request, response) => response.end()));
    await expect(
      send(openEgress('127.0.0.1', { ca: [TEST_CERT] }), `https://${NAME}:${port}`),
    ).rejects.toMatchObject({ message: expect.stringContaining('KEYHOLD_EGRESS_CA') });
  });

  test('for another host is refused for a host that is an address too', async () => {
    const port = await listen(createServer(issueCertificate([NAME]), (_request, response) => response.end()));
    await expect(send(openEgress('127.0.0.1'), `https://127.0.0.1:${port}`)).rejects.toMatchObject({
      message: expect.stringMatching(/for another host/),
    });
  });

  test('valid gets the request, also for a wildcard', async () => {
    const port = await listen(
      createServer(issueCertificate(['*.example.com']), (_request, response) => response.end('ok')),
    );
    expect((await send(openEgress('127.0.0.1'), `https://${NAME}:${port}`)).text).toBe('ok');
  });

  test('valid is not enough with TLS 1.1', async () => {
    const port = await listen(
      createTlsServer({
        ...issueCertificate([NAME]),
        minVersion: 'TLSv1',
        maxVersion: 'TLSv1.1',
        ciphers: 'DEFAULT@SECLEVEL=0',
      }),
    );
    await expect(send(openEgress('127.0.0.1'), `https://${NAME}:${port}`)).rejects.toMatchObject({
      code: 'UPSTREAM',
    });
  });
});
