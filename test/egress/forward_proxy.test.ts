/** Requests through a forward proxy: which hosts use it, and a real proxy in front of an issuer that has no other route. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { usesProxy } from '../../src/egress/forward_proxy.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { startAuthorizationServer } from '../kit/http/authorization_server.ts';
import { ISSUER_CERT, ISSUER_CERT_KEY } from '../kit/http/certificate.ts';
import { startForwardProxy } from '../kit/http/forward_proxy.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

describe('usesProxy', () => {
  test.each<[string, string, boolean]>([
    ['https://login.example', '', true],
    ['https://login.example', '*', false],
    ['https://login.example', 'login.example', false],
    ['https://LOGIN.example', 'Login.Example', false],
    ['https://a.login.example', 'login.example', false],
    ['https://a.login.example', '.login.example', false],
    ['https://a.login.example', '*.login.example', false],
    ['https://mylogin.example', 'login.example', true],
    ['https://login.example', 'login.example:443', false],
    ['https://login.example', 'login.example:8443', true],
    ['https://login.example:8443', 'login.example:8443', false],
    ['https://10.0.0.1', '10.0.0.1', false],
    ['https://10.0.0.1', '10.0.0.2', true],
    ['https://[2001:db8::1]', '2001:DB8:0::1', false],
    ['https://localhost:8443', '', false],
    ['https://127.0.0.1', '', false],
    ['http://login.example', '', false],
  ])('for %s with NO_PROXY=%s usesProxy returns %s', (url, bypass, expected) => {
    const proxy = { url: 'http://proxy.example', bypass: bypass === '' ? [] : [bypass] };
    expect(usesProxy(new URL(url), proxy)).toBe(expected);
  });
});

describe('keyhold serve behind a proxy', () => {
  const AUDIENCE = 'keyhold';

  async function serveWith(proxy_env: (proxy_url: string) => NodeJS.ProcessEnv, status?: number) {
    const proxy = await startForwardProxy(status);
    const authorization = await startAuthorizationServer({
      audience: AUDIENCE,
      user: 'ada',
      scope: 'credentials:read',
      tls: { cert: ISSUER_CERT, key: ISSUER_CERT_KEY },
      origin: 'https://login.test',
    });
    onTestFinished(() => authorization.close());
    const home = temporaryFolder();
    const ca_path = join(temporaryFolder(), 'ca.pem');
    writeFileSync(ca_path, ISSUER_CERT);
    await runProgram(['keys', 'create', '--org', 'acme', '--user', 'zoe'], { env: { KEYHOLD_HOME: home } });
    const served = await startServeProcess({
      home,
      env: {
        KEYHOLD_OAUTH_ISSUER: authorization.issuer,
        KEYHOLD_OAUTH_AUDIENCE: AUDIENCE,
        KEYHOLD_OAUTH_ORGANIZATION: 'acme',
        NODE_EXTRA_CA_CERTS: ca_path,
        ...proxy_env(proxy.url),
      },
    });
    const token = await authorization.token();
    const response = await fetch(`${served.url}/v1/me`, { headers: { authorization: `Bearer ${token}` } });
    return { proxy, authorization, status: response.status, stderr: served.stderr() };
  }

  test('metadata and keys of the issuer are fetched through HTTPS_PROXY, with its user and password', async () => {
    const { proxy, authorization, status, stderr } = await serveWith((url) => ({
      HTTPS_PROXY: url.replace('//', '//ana:p%40ss@'),
    }));
    expect(status, stderr).toBe(200);
    expect(authorization.requested_paths).toEqual(['/.well-known/oauth-authorization-server', '/keys']);
    const target = new URL(authorization.issuer).host;
    // One tunnel for both requests.
    expect(proxy.requested).toEqual([[target, 'ana:p@ss']]);
  });

  test('an issuer in NO_PROXY is requested directly', async () => {
    const { proxy, status } = await serveWith((url) => ({ https_proxy: url, NO_PROXY: 'other, .test' }));
    // The name does not resolve.
    expect(status).toBe(503);
    expect(proxy.requested).toEqual([]);
  });

  test('a proxy may accept with any status from 200 to 299', async () => {
    const { status, stderr } = await serveWith((url) => ({ HTTPS_PROXY: url }), 202);
    expect(status, stderr).toBe(200);
  });

  test('a proxy that refuses makes tokens 503, and the log has the reason', async () => {
    const { status, stderr } = await serveWith((url) => ({ HTTPS_PROXY: url }), 407);
    expect(status).toBe(503);
    expect(stderr).toContain('The proxy refused to connect to the host');
  });
});
