/** The command line's dependencies from the process's own streams and environment. */
import type { CallbackListener, CliContext, PromptSecret } from '../cli/context.ts';
import type { Vault } from '../vault/vault.ts';
import { type App, compose } from './compose.ts';
import { takeEnvironment } from './environment.ts';

export const promptSecret: PromptSecret = async (question) => {
  const prompt = await import('../cli/terminal/prompt.ts');
  return prompt.promptSecret(question, process);
};

/** The web server is loaded by the first connection. */
export async function listenForCallback(app: App, vault: Vault, version: string): Promise<CallbackListener> {
  const [{ openCallbackListener }, { localCaller }, log] = await Promise.all([
    import('./pages/callback_listener.ts'),
    import('../contract/caller.ts'),
    app.log(),
  ]);
  return openCallbackListener({
    port: app.callbackPort(),
    vault,
    calls: app.calls(vault),
    tests: app.tests(vault),
    connections: app.connections(vault),
    log,
    version,
    now: () => new Date(),
    caller: (request_id) => localCaller('cli', request_id),
  });
}

/** Closes the connections of uses when `act` ends. */
export async function withCliContext<Result>(
  version: string,
  act: (context: CliContext) => Promise<Result>,
): Promise<Result> {
  const env = takeEnvironment();
  const composeWith = (prompt: PromptSecret) => compose({ env, promptSecret: prompt, now: () => new Date() });
  const app = composeWith(promptSecret);
  const context: CliContext = {
    version,
    env,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    settings: app.settings,
    rootKeySource: app.rootKeySource,
    caller: () => app.caller('cli'),
    log: app.log,
    promptSecret,
    calls: app.calls,
    tests: app.tests,
    connections: app.connections,
    listenForCallback: (vault) => listenForCallback(app, vault, version),
    accessTokens: app.accessTokens,
    valueProducer: app.valueProducer,
    backups: app.backups,
    moveDestination: app.moveDestination,
    async withVault(create, act, promptPassphrase) {
      const opener = promptPassphrase === undefined ? app : composeWith(promptPassphrase);
      const vault = await opener.openVault(create, 'cli');
      try {
        return await act(vault);
      } finally {
        await vault.close();
      }
    },
    async createBootstrapKey(vault) {
      const { createBootstrapKey } = await import('./bootstrap_key.ts');
      return createBootstrapKey(vault, app.caller('cli'), app.settings().home);
    },
    async connect(url, key, timeout_ms) {
      const { KeyholdClient } = await import('../client/keyhold_client.ts');
      return new KeyholdClient({
        url,
        key: key.reveal(),
        ...(timeout_ms === undefined ? {} : { timeout_ms }),
      });
    },
  };
  try {
    return await act(context);
  } finally {
    await app.closeEgress();
  }
}
