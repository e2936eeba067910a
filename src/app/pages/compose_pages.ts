/** The pages of a process that is not a server. Loads their server with the first request for its URL. */
import { type Caller, localCaller } from '../../contract/caller.ts';
import type { Connections } from '../../contract/connection.ts';
import type { Logger } from '../../contract/logger.ts';
import type { Pages } from '../../contract/pages.ts';
import type { Calls } from '../../contract/use/call.ts';
import type { Tests } from '../../contract/use/test.ts';
import type { Vault } from '../../vault/vault.ts';

export interface ClosablePages extends Pages {
  close(): Promise<void>;
}

/** The parts of the process. */
interface ProcessParts {
  settings(): { readonly home: string };
  callbackPort(): number;
  calls(vault: Vault): Calls;
  tests(vault: Vault): Tests;
  connections(vault: Vault): Connections;
  log(): Promise<Logger>;
}

/** `ports` has the ports that are listened on. */
export function composePages(
  app: ProcessParts,
  vault: Vault,
  version: string,
  now: () => Date,
  ports: number[],
): ClosablePages {
  let opened: Promise<ClosablePages> | undefined;
  const caller = (request_id: string): Caller => localCaller('web', request_id);
  const open = async () => {
    const { LocalPages } = await import('./local_pages.ts');
    return new LocalPages({
      vault,
      calls: app.calls(vault),
      tests: app.tests(vault),
      connections: app.connections(vault),
      log: await app.log(),
      home: app.settings().home,
      callback_port: app.callbackPort(),
      version,
      now,
      caller,
      onPorts: (used) => void ports.splice(0, ports.length, ...used),
    });
  };
  const pages = () => {
    opened ??= open();
    return opened;
  };
  return {
    baseUrl: async () => (await pages()).baseUrl(),
    dashboardUrl: async () => (await pages()).dashboardUrl(),
    close: async () => (await opened)?.close(),
  };
}
