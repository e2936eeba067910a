/** What the router knows about a request: the pattern that it fell to, and what else its path would take. */
import type { Context, Hono } from 'hono';
import { routePath } from 'hono/route';
import type { PipelineEnv } from '../context.ts';
import { HttpError } from '../errors.ts';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
/** What logs and metrics call a path that is no route's. */
export const UNMATCHED_ROUTE = 'none';

/** The pattern of the route that answers, where the one for all paths, which asks, comes first. */
export function routePattern(c: Context): string {
  return routePath(c, 1) || UNMATCHED_ROUTE;
}

/** Where there is no route: 405 if the path takes other methods, 404 if not. */
export function noRoute(app: Hono<PipelineEnv>, path: string): HttpError {
  const allowed = METHODS.filter((method) =>
    app.router.match(method, path)[0].some(([[, { method: registered }]]) => registered !== 'ALL'),
  );
  if (allowed.length === 0)
    return new HttpError(404, 'NOT_FOUND', 'There is no such route. GET /openapi.json lists what there is.');
  const message = `This route takes ${allowed.join(' and ')}.`;
  return new HttpError(405, 'INVALID_INPUT', message, { Allow: allowed.join(', ') });
}
