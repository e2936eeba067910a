/**
 * `keyhold mcp`: the tools over stdin and stdout. Loads only what the first responses need: settings, keys, database and
 * services are loaded by the first call of a tool.
 */
import { TOOLS } from '../../tools/catalogue.ts';
import { localCaller } from '../contract/caller.ts';
import { describeFailure, type Logger } from '../contract/logger.ts';
import { newRequestId } from '../crypto/request_id.ts';
import { serveMcpOverStdio } from '../mcp/stdio.ts';
import type { ToolContext } from '../use/tool_context.ts';
import type { App } from './compose.ts';
import { takeEnvironment } from './environment.ts';
import type { ClosablePages } from './pages/compose_pages.ts';
import { guardProcess } from './process_guards.ts';
import { exitWithoutReaders, waitForShutdownSignal } from './shutdown.ts';
import { hasTelemetryEndpoint, type Telemetry } from './telemetry/telemetry.ts';

/** Resolves when the client has disconnected and the vault is closed. */
export async function runMcp(version: string): Promise<void> {
  let app: Promise<App> | undefined;
  const getApp = () => {
    app ??= import('./compose.ts').then(({ compose }) =>
      // No prompt: stdin belongs to the protocol.
      compose({ env: takeEnvironment(), promptSecret: async () => undefined, now: () => new Date() }),
    );
    return app;
  };
  // Opened by the first call that needs it. If that fails, the next call tries again.
  let context: Promise<ToolContext & { readonly pages: ClosablePages }> | undefined;
  const getContext = async () => {
    context ??= getApp()
      .then(async (opened) => {
        const vault = await opened.openVault('if_new', 'mcp');
        const pages = opened.pages(vault, version);
        return { vault, calls: opened.calls(vault), tests: opened.tests(vault), pages };
      })
      .catch((error: unknown) => {
        context = undefined;
        throw error;
      });
    const opened = await context;
    await opened.vault.definitions.loadApproved();
    return opened;
  };
  const session_id = newRequestId();
  const log = async () => (await getApp()).log();
  guardProcess(log);
  const telemetry = hasTelemetryEndpoint(process.env) ? await startTraces(version, log) : undefined;
  await serveMcpOverStdio<ToolContext>({
    version,
    tools: TOOLS,
    context: getContext,
    caller: () => ({ ...localCaller('mcp', newRequestId()), session_id }),
    log,
    shutdownRequested: waitForShutdownSignal(),
  });
  const opened = await context?.catch(() => undefined);
  await opened?.pages.close();
  await opened?.vault.close();
  await (await app)?.closeEgress();
  await telemetry?.close();
  exitWithoutReaders(0);
}

/** Without them the tools work: an invalid setting is only logged. */
async function startTraces(version: string, openLog: () => Promise<Logger>): Promise<Telemetry | undefined> {
  const { startTelemetry } = await import('./telemetry/start.ts');
  const env = takeEnvironment();
  let log: Logger | undefined;
  try {
    log = await openLog();
    return await startTelemetry({ env, version, log });
  } catch (error) {
    log?.warn({ failure: describeFailure(error) }, 'no traces are exported');
    return undefined;
  }
}
