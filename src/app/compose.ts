/** The one place where everything is put together: settings, key source, services, vault, and the edges. */
import type { Caller, Edge } from '../contract/caller.ts';
import { localCaller } from '../contract/caller.ts';
import type { Logger } from '../contract/logger.ts';
import { Secret } from '../contract/secret.ts';
import { systemRandom } from '../crypto/random.ts';
import { newRequestId } from '../crypto/request_id.ts';
import { type LogLevel, parseSettings, type Settings } from '../settings/settings.ts';
import type { RootKeySource } from '../vault/keys/root_key.ts';
import type { CreatePolicy } from '../vault/open_vault.ts';
import type { Vault } from '../vault/vault.ts';

/** What differs between a shell, a library's host and a test. */
export interface ComposeOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Asks a person for a passphrase or a value, unseen. */
  readonly askSecret: (question: string) => Promise<Secret | undefined>;
  readonly now: () => Date;
}

export interface App {
  /** Throws VaultError for a wrong setting. */
  settings(): Settings;
  caller(edge: Edge): Caller;
  /** Rejects with VaultError. `onCommit` is told how many writes each transaction carried. */
  openVault(create: CreatePolicy, edge: Edge, onCommit?: (writes: number) => void): Promise<Vault>;
  log(): Promise<Logger>;
}

export function compose({ env, askSecret, now }: ComposeOptions): App {
  let parsed: Settings | undefined;
  const settings = () => {
    parsed ??= parseSettings(env);
    return parsed;
  };
  let log: Promise<Logger> | undefined;
  const caller = (edge: Edge) => localCaller(edge, newRequestId());
  return {
    settings,
    caller,
    async openVault(create, edge, onCommit) {
      const { store_path, root_key, services_folder, cipher } = settings();
      // Loaded here, not at the top: a server's first answers need none of it.
      const [{ ServiceCatalogue }, { openVaultFile }] = await Promise.all([
        import('../services/catalogue.ts'),
        import('../vault/open_vault.ts'),
      ]);
      return openVaultFile({
        store_path,
        root_key: rootKeySource(root_key, env, askSecret),
        create,
        caller: caller(edge),
        cipher,
        services: ServiceCatalogue.load({ folder: services_folder }),
        now,
        random: systemRandom,
        onCommit,
      });
    },
    async log() {
      log ??= openLog(settings().log);
      return log;
    },
  };
}

function rootKeySource(
  setting: Settings['root_key'],
  env: NodeJS.ProcessEnv,
  askSecret: ComposeOptions['askSecret'],
): RootKeySource {
  const secret = (name: string) => (env[name] ? new Secret(env[name]) : undefined);
  switch (setting.kind) {
    case 'file':
      return setting;
    case 'env':
      return { ...setting, value: secret(setting.name) };
    case 'passphrase':
      return {
        kind: 'passphrase',
        ask: async () => secret('KEYHOLD_PASSPHRASE') ?? askSecret('Passphrase of the vault'),
      };
  }
}

const LOG_BUFFER_BYTES = 4_096;

/**
 * JSON lines on stderr. Loaded when the first line is written. What a request leaves is written together with what others
 * leave in the same turn of the event loop; a warning or an error at once, with all that was before it.
 */
async function openLog(level: LogLevel): Promise<Logger> {
  const { default: pino } = await import('pino');
  const stderr = pino.destination({ dest: 2, sync: true, minLength: LOG_BUFFER_BYTES });
  const lines = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, stderr);
  let is_waiting = false;
  const flush = () => {
    is_waiting = false;
    stderr.flush();
  };
  process.once('exit', () => {
    if (is_waiting) flush();
  });
  const soon = (level: 'debug' | 'info'): Logger['info'] => {
    if (!lines.isLevelEnabled(level)) return () => undefined;
    return (fields, message) => {
      lines[level](fields, message);
      if (!is_waiting) setImmediate(flush);
      is_waiting = true;
    };
  };
  const atOnce = (level: 'warn' | 'error'): Logger['info'] => {
    if (!lines.isLevelEnabled(level)) return () => undefined;
    return (fields, message) => {
      lines[level](fields, message);
      flush();
    };
  };
  return { debug: soon('debug'), info: soon('info'), warn: atOnce('warn'), error: atOnce('error') };
}
