/**
 * Keeps the debugger of Node.js closed. Through its port, which has no authentication, every user of this machine could
 * read the keys in memory.
 */

const NOTICE =
  'The debugger of Node.js was open, through which every user of this machine could read the keys. It was closed. Start Keyhold without --inspect, also in NODE_OPTIONS.\n';

/**
 * Ignores SIGUSR1, at which Node.js opens the debugger (`--disable-sigusr1` exists since 22.14 only), and closes a debugger
 * that --inspect or an earlier signal has opened. Called before anything else.
 */
export function closeDebugger(): void {
  process.on('SIGUSR1', () => undefined);
  // Node.js can be built without the inspector; then the import fails.
  if (process.features.inspector) void closeOpenInspector();
}

async function closeOpenInspector(): Promise<void> {
  const { default: inspector } = await import('node:inspector');
  const close = () => {
    if (inspector.url() === undefined) return;
    inspector.close();
    process.stderr.write(NOTICE);
  };
  close();
  // A signal that came before the handler takes effect in the first iteration of the event loop.
  setImmediate(close);
}
