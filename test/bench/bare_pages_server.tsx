/** The baseline for pages: bare Hono that renders a page with hono/jsx. The query `bytes` gives its size. */
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import type { FC } from 'hono/jsx';

const ELEMENT_BYTES = 300;

const Page: FC<{ readonly elements: number }> = ({ elements }) => (
  <html lang="en">
    <head>
      <title>Bare</title>
    </head>
    <body>
      <ul>
        {Array.from({ length: elements }, (_, at) => (
          <Element name={`Service ${at}`} />
        ))}
      </ul>
    </body>
  </html>
);

/** As a tile of the list of services: the same number of elements and attributes. */
const Element: FC<{ readonly name: string }> = ({ name }) => (
  <li data-filter-text={`${name} other`}>
    <a class="tile" href={`/dashboard/tools/${encodeURIComponent(name)}`}>
      <span class="logo logo-1" aria-hidden="true">
        SE
      </span>
      <span class="tile-main">
        <span class="tile-title">{name}</span>
        <span class="tile-text">A description of the service in one line.</span>
      </span>
    </a>
  </li>
);

const app = new Hono();
app.get('/', (c) => {
  const bytes = Number(c.req.query('bytes'));
  return c.html(`<!doctype html>${<Page elements={Math.round(bytes / ELEMENT_BYTES)} />}`);
});
serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
  process.stdout.write(`bare listening on http://127.0.0.1:${port}\n`);
});
