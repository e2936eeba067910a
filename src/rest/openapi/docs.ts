/** The page `/docs` that shows the OpenAPI document. All its files come from this server, enforced by its CSP. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { OpenAPIHono } from '@hono/zod-openapi';
import { VaultError } from '../../contract/errors.ts';
import type { PipelineEnv } from '../../http/context.ts';
import { DOCS_PAGE, DOCS_SCRIPT } from './docs_page.ts';

const FILES = {
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'swagger-ui.css': 'text/css; charset=utf-8',
} as const;
type FileName = keyof typeof FILES;

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  // Swagger UI sets inline styles.
  "style-src 'self' 'unsafe-inline'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const PAGE_HEADERS = {
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
  'Cache-Control': 'no-cache',
} as const;
/** Nearly 2 MB that change only with the installed version. */
const FILE_HEADERS = { 'Cache-Control': 'public, max-age=3600' } as const;

export function addDocs(app: OpenAPIHono<PipelineEnv>): void {
  app.get('/docs', (c) => c.html(DOCS_PAGE, 200, PAGE_HEADERS));
  // The links are relative, for proxies with a path prefix. With a trailing slash they would be wrong.
  app.get('/docs/', (c) => c.redirect('../docs', 308));
  app.get('/docs/start.js', (c) =>
    c.body(DOCS_SCRIPT, 200, { ...FILE_HEADERS, 'Content-Type': 'text/javascript; charset=utf-8' }),
  );
  for (const [name, type] of Object.entries(FILES)) {
    app.get(`/docs/${name}`, async (c) =>
      c.body(await loadFile(name as FileName), 200, { ...FILE_HEADERS, 'Content-Type': type }),
    );
  }
}

const read = new Map<FileName, Promise<Uint8Array<ArrayBuffer>>>();

/** Reads each file once. Rejects with UNAVAILABLE if it is missing. */
function loadFile(name: FileName): Promise<Uint8Array<ArrayBuffer>> {
  const known = read.get(name) ?? readPackaged(name);
  read.set(name, known);
  known.catch(() => read.delete(name));
  return known;
}

async function readPackaged(name: FileName): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await readFile(join(folder(), name)));
  } catch (cause) {
    const message = 'A file of this page is missing. Install Keyhold again.';
    throw new VaultError('UNAVAILABLE', message, { reason: 'unreadable', cause });
  }
}

/** Next to the built program, or the installed package when run from source. */
function folder(): string {
  const here = fileURLToPath(new URL('./docs', import.meta.url));
  if (!import.meta.url.endsWith('.ts')) return here;
  return dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
}
