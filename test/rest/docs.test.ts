/** The page `/docs`: all its files come from this server. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { addDocs } from '../../src/rest/openapi/docs.ts';
import { addOpenApi } from '../../src/rest/openapi/document.ts';
import { startV1 } from './v1_server.ts';

const start = () => startV1({ settings: { open_routes: [addOpenApi, addDocs] } });
const { resolve } = createRequire(import.meta.url);

describe('the page /docs', () => {
  test('/docs loads only files of this server and contains no inline script', async () => {
    const server = await start();
    const page = await fetch(`${server.url}/docs`);
    const html = await page.text();
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=UTF-8']);
    const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link ?? '');
    expect(links.filter((link) => !link.startsWith('data:'))).toHaveLength(4);
    expect(html).not.toMatch(/https?:|<script(?![^>]*src)|\son\w+=/);
    for (const link of links.filter((one) => !one.startsWith('data:'))) {
      const response = await fetch(new URL(link, `${server.url}/docs`));
      expect([link, response.status]).toEqual([link, 200]);
      await response.arrayBuffer();
    }
  });

  test('the content security policy of /docs allows only resources of this server', async () => {
    const server = await start();
    const page = await fetch(`${server.url}/docs`);
    await page.text();
    const policy = new Map(
      (page.headers.get('content-security-policy') ?? '').split('; ').map((one) => {
        const [name = '', ...sources] = one.split(' ');
        return [name, sources.join(' ')] as const;
      }),
    );
    expect(Object.fromEntries(policy)).toEqual({
      'default-src': "'none'",
      'script-src': "'self'",
      'style-src': "'self' 'unsafe-inline'",
      'connect-src': "'self'",
      'img-src': "'self' data:",
      'base-uri': "'none'",
      'form-action': "'none'",
      'frame-ancestors': "'none'",
    });
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
  });

  test.each([
    ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
    ['swagger-ui.css', 'text/css; charset=utf-8'],
  ])('/docs/%s is identical to the file in the swagger-ui-dist package', async (name, type) => {
    const server = await start();
    const response = await fetch(`${server.url}/docs/${name}`);
    expect([response.status, response.headers.get('content-type')]).toEqual([200, type]);
    const body = Buffer.from(await response.arrayBuffer());
    expect(body.equals(readFileSync(resolve(`swagger-ui-dist/${name}`)))).toBe(true);
  });

  test('the start script of /docs loads openapi.json, without an external validator and without storing a key', async () => {
    const server = await start();
    const script = await fetch(`${server.url}/docs/start.js`);
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    const started: Record<string, unknown>[] = [];
    runInNewContext(await script.text(), {
      SwaggerUIBundle: (options: Record<string, unknown>) => void started.push(options),
    });
    expect(started).toMatchObject([{ url: 'openapi.json', validatorUrl: null, persistAuthorization: false }]);
    const document = await fetch(new URL('openapi.json', `${server.url}/docs`));
    expect(((await document.json()) as { openapi: string }).openapi).toBe('3.1.0');
  });

  test('/docs/ redirects to /docs, and an unknown file below it returns 404', async () => {
    const server = await start();
    const redirected = await fetch(`${server.url}/docs/`, { redirect: 'manual' });
    expect([redirected.status, redirected.headers.get('location')]).toEqual([308, '../docs']);
    for (const path of ['package.json', 'index.html', '..%2f..%2fpackage.json', 'swagger-ui-bundle.js.map']) {
      const response = await fetch(`${server.url}/docs/${path}`);
      expect([path, response.status]).toEqual([path, 404]);
    }
  });
});
