/** The server's own routes: whether it is well, for whoever restarts it, and its metrics, for whoever runs it. */
import type { Hono } from 'hono';
import { isOperator } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Vault } from '../../vault/vault.ts';
import type { PipelineEnv } from '../context.ts';
import type { Metrics } from '../metrics.ts';
import type { RequestPipeline } from '../request/pipeline.ts';

export interface BuiltInRoutesOptions {
  readonly vault: Vault;
  readonly metrics: Metrics;
  /** Metrics need no key, since only this machine can ask. */
  readonly metrics_open: boolean;
  readonly gate: RequestPipeline;
}

export function addBuiltInRoutes(
  app: Hono<PipelineEnv>,
  { vault, metrics, metrics_open, gate }: BuiltInRoutesOptions,
): void {
  app.get('/healthz', async (c) => {
    // Why it is not well is for the log, and no caller has asked for anything that could be in it.
    const is_ready = await vault.isReady().catch(() => false);
    return is_ready ? c.json({ status: 'ok' }) : c.json({ status: 'unavailable' }, 503);
  });
  app.get('/metrics', async (c) => {
    if (!metrics_open && !isOperator(await gate.admit(c))) {
      throw new VaultError(
        'FORBIDDEN',
        'Metrics are for who runs this server: a key with the scope org:admin.',
      );
    }
    return c.body(await metrics.text(), 200, { 'Content-Type': metrics.content_type });
  });
}
