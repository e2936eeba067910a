/**
 * One router for each area. In a single one, two overlapping paths of one dialect would keep every request of all others
 * from the library's fast way to find a route, which knows no overlap.
 */
import type { Result, Router } from 'hono/router';
import { RegExpRouter } from 'hono/router/reg-exp-router';
import { SmartRouter } from 'hono/router/smart-router';
import { TrieRouter } from 'hono/router/trie-router';
import type { FindRouteGroup, RouteGroup } from './route_groups.ts';

export class GroupRouter<Handler> implements Router<Handler> {
  readonly name = 'AreaRouter';
  readonly #findArea: FindRouteGroup;
  readonly #routers = new Map<RouteGroup, Router<Handler>>();
  /** What is for every path, of areas too that no route has been added to yet. */
  readonly #everywhere: (readonly [method: string, handler: Handler])[] = [];

  constructor(findArea: FindRouteGroup) {
    this.#findArea = findArea;
  }

  /** A route is the area's that its path, up to the first parameter, belongs to. */
  add(method: string, path: string, handler: Handler): void {
    if (path !== '*' && path !== '/*') {
      this.#routerFor(path).add(method, path, handler);
      return;
    }
    for (const router of this.#routers.values()) router.add(method, path, handler);
    this.#everywhere.push([method, handler]);
  }

  match(method: string, path: string): Result<Handler> {
    return this.#routerFor(path).match(method, path);
  }

  #routerFor(path: string): Router<Handler> {
    const area = this.#findArea(path);
    const known = this.#routers.get(area);
    if (known !== undefined) return known;
    const router = new SmartRouter<Handler>({ routers: [new RegExpRouter(), new TrieRouter()] });
    for (const [method, handler] of this.#everywhere) router.add(method, '*', handler);
    this.#routers.set(area, router);
    return router;
  }
}
