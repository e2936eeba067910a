/** The routes of the server itself: health and readiness, for supervisors and balancers, and metrics, for the operator. */
import type { Hono } from 'hono';
import { isOperator } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Vault } from '../../vault/vault.ts';
import { HEALTH_PATH, type PipelineEnv, READY_PATH } from '../context.ts';
import type { Metrics } from '../metrics.ts';
import type { RequestPipeline } from '../request/pipeline.ts';

export interface BuiltInRoutesOptions {
  readonly vault: Vault;
  readonly metrics: Metrics;
  /** Metrics need no key, because only this machine can request them. */
  readonly metrics_open: boolean;
  readonly pipeline: RequestPipeline;
  /** Whether the server is about to stop: a balancer must send it no further requests. */
  readonly isDraining: () => boolean;
}

export function addBuiltInRoutes(
  app: Hono<PipelineEnv>,
  { vault, metrics, metrics_open, pipeline, isDraining }: BuiltInRoutesOptions,
): void {
  // Without the store: a restart of all nodes would not end an outage of the database.
  app.get(HEALTH_PATH, (c) => c.json({ status: 'ok' }));
  app.get(READY_PATH, async (c) => {
    if (isDraining()) return c.json({ status: 'draining' }, 503);
    const status = await vault.nodes.readiness();
    return c.json({ status }, status === 'ready' ? 200 : 503);
  });
  app.get('/metrics', async (c) => {
    if (!metrics_open && !isOperator(await pipeline.authenticate(c))) {
      throw new VaultError(
        'FORBIDDEN',
        'Only the operator may read the metrics. Use an API key with the scope org:admin.',
        { required_scope: 'org:admin' },
      );
    }
    return c.body(await metrics.text(), 200, { 'Content-Type': metrics.content_type });
  });
}
