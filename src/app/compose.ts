/** Builds the parts of the program from the settings: root key source, services, vault and log. */
import { join } from 'node:path';
import type { Caller, Edge } from '../contract/caller.ts';
import { localCaller } from '../contract/caller.ts';
import type { Connections } from '../contract/connection.ts';
import type { QuotaLimits } from '../contract/limits.ts';
import type { Secret } from '../contract/secret.ts';
import type { Calls } from '../contract/use/call.ts';
import type { Tests } from '../contract/use/test.ts';
import { systemRandom } from '../crypto/random.ts';
import { newRequestId } from '../crypto/request_id.ts';
import type { Egress } from '../egress/egress.ts';
import { isTracing } from '../io/tracing/span.ts';
import { hostsOfOperator } from '../settings/allowed_hosts.ts';
import { parseCallbackPort } from '../settings/http.ts';
import { parseSettings, type Settings } from '../settings/settings.ts';
import type { AccessTokens } from '../use/access_tokens.ts';
import type { ValueProducer } from '../use/values/value_producer.ts';
import type { BackupAccess } from '../vault/backup/access.ts';
import type { RootKeySource } from '../vault/keys/root_key.ts';
import type { MoveDestination } from '../vault/move/moves.ts';
import type { CreatePolicy } from '../vault/open_vault.ts';
import type { Vault } from '../vault/vault.ts';
import { composeConnections, composeRevocations, composeTokens } from './compose_connections.ts';
import { openLogger, type ProcessLog } from './logger.ts';
import { composeNotifications } from './notify/compose_notifications.ts';
import { type ClosablePages, composePages } from './pages/compose_pages.ts';

/** The environment: of the command line, of a program that embeds the library, or of a test. */
export interface ComposeOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Prompts for a passphrase or a value without showing it. */
  readonly promptSecret: (question: string) => Promise<Secret | undefined>;
  readonly now: () => Date;
  /** Ports that Keyhold listens on, which no use of a credential may connect to. */
  readonly own_ports?: (() => readonly number[]) | undefined;
  /** Of each user; only tests change it. */
  readonly quota?: QuotaLimits | undefined;
  /** See `ValueTestOptions`; only tests change it. */
  readonly given_test_delay_ms?: number | undefined;
}

export interface App {
  /** Throws VaultError for an invalid setting. */
  settings(): Settings;
  /** See `CliContext.rootKeySource`. */
  rootKeySource(text: string): Promise<RootKeySource>;
  caller(edge: Edge): Caller;
  /** Rejects with VaultError. `onCommit` gets the number of batches of each transaction. */
  openVault(create: CreatePolicy, edge: Edge, onCommit?: (batches: number) => void): Promise<Vault>;
  /** Requests with the credentials of an open vault. Their parts are loaded by the first one. */
  calls(vault: Vault): Calls;
  /** Tests of the credentials of an open vault. Their parts are loaded by the first one. */
  tests(vault: Vault): Tests;
  /** Refreshes the access tokens of an open vault. Its parts are loaded by the first credential that has one to refresh. */
  accessTokens(vault: Vault): AccessTokens;
  /** Connects credentials of an open vault with OAuth. Its parts are loaded by the first one. */
  connections(vault: Vault): Connections;
  log(): Promise<ProcessLog>;
  /** See `parseCallbackPort`. */
  callbackPort(): number;
  /** Restores to the store of the settings. */
  readonly backups: BackupAccess;
  /** See `CliContext.moveDestination`. */
  moveDestination(text: string): Promise<MoveDestination>;
  /** Where people enter values for callers of this process. Loaded by the first request for its URL. */
  pages(vault: Vault, version: string): ClosablePages;
  /** Makes the values of uses from the stored ones. Rejects with INVALID_INPUT for an invalid setting. */
  valueProducer(): Promise<ValueProducer>;
  /**
   * The connections of uses. Rejects with INVALID_INPUT for an invalid setting. Undici is loaded by the first request, so that
   * a process that sends none starts as fast.
   */
  egress(): Promise<Egress>;
  /** Connections to hosts that the operator's settings name, which may be private ones. */
  operatorEgress(): Promise<Egress>;
  /** Ends deliveries of notifications, and closes all connections of both. */
  closeEgress(): Promise<void>;
}

export function compose(options: ComposeOptions): App {
  const { env, promptSecret, now, quota } = options;
  const page_ports: number[] = [];
  const own_ports = () => [...(options.own_ports?.() ?? []), ...page_ports];
  const settings = composeSettings(env);
  const log = composeLog(settings);
  const caller = (edge: Edge) => localCaller(edge, newRequestId());
  const egress = composeEgress(env, () => settings().home, own_ports);
  let producer: Promise<ValueProducer> | undefined;
  const valueProducer = () => {
    producer ??= import('./references.ts').then(({ openValueProducer }) =>
      openValueProducer(env, settings().root_key, egress.operatorEgress, now),
    );
    return producer;
  };
  const accessTokens = composeTokens(egress.egress, valueProducer, now);
  const { operatorEgress } = egress;
  const notifications = composeNotifications({ env, now, home: () => settings().home, operatorEgress, log });
  const testsOf = composeTests(egress.egress, valueProducer, accessTokens, options);
  return {
    settings,
    rootKeySource: composeRootKeySource(env, () => settings().home, promptSecret, operatorEgress),
    caller,
    async openVault(create, edge, onCommit) {
      const { home, store, root_key, key_cache_ms, services_folder, cipher, protects } = settings();
      // Loaded late: the first responses of an MCP server need none of it.
      const [{ ServiceCatalogue }, { openStoredVault }, { allowedReferences }, rootKey] = await Promise.all([
        import('../services/catalogue.ts'),
        import('../vault/open_vault.ts'),
        import('./references.ts'),
        import('./keys/compose_root_key.ts'),
      ]);
      const given = { key_cache_ms, services_folder, cipher, protects, quota, now, onCommit };
      const vault: Vault = await openStoredVault({
        ...given,
        store,
        root_key: await rootKey.composeRootKey(root_key, { env, home, promptSecret, operatorEgress }),
        anchor_path: join(home, 'keys', 'anchor'),
        create,
        caller: caller(edge),
        services: ServiceCatalogue.load({ folder: services_folder }),
        isHostAllowed: await hostsOfOperator(env, home),
        references: allowedReferences(env),
        random: systemRandom,
        notify: await notifications.open(),
        beforeClose: () => accessTokens(vault).idle(),
        revoke: composeRevocations(egress.egress, valueProducer, now),
        verify: async (caller, candidate) => (await testsOf(vault)).values.verify(caller, candidate),
      });
      if (isTracing()) (await import('./telemetry/vault_spans.ts')).traceVault(vault);
      return vault;
    },
    log,
    accessTokens,
    connections: composeConnections(egress.egress, valueProducer, now),
    calls: (vault) => composeCalls(vault, egress.egress, valueProducer, accessTokens(vault)),
    tests: (vault) => testsWith(() => testsOf(vault)),
    callbackPort: () => parseCallbackPort(env),
    backups: composeBackups(options, settings, egress.operatorEgress, () => caller('cli')),
    moveDestination: (text) => moveDestination(text, env, settings),
    pages(vault, version) {
      return composePages(this, vault, version, now, page_ports);
    },
    valueProducer,
    ...egress,
    closeEgress: () => notifications.close().then(egress.closeEgress),
  };
}

function composeSettings(env: NodeJS.ProcessEnv): App['settings'] {
  let parsed: Settings | undefined;
  return () => {
    parsed ??= parseSettings(env);
    return parsed;
  };
}

function composeRootKeySource(
  env: NodeJS.ProcessEnv,
  home: () => string,
  promptSecret: ComposeOptions['promptSecret'],
  operatorEgress: App['operatorEgress'],
): App['rootKeySource'] {
  return async (text) => {
    const [{ composeRootKey }, { parseNewRootKey }] = await Promise.all([
      import('./keys/compose_root_key.ts'),
      import('../settings/keys/root_key.ts'),
    ]);
    const parts = { env, home: home(), promptSecret, operatorEgress };
    return composeRootKey(parseNewRootKey(text, parts.home, env), parts);
  };
}

/** Loads the parts of a restore when one begins. */
function composeBackups(
  { env, promptSecret, now }: ComposeOptions,
  settings: App['settings'],
  operatorEgress: App['operatorEgress'],
  caller: () => Caller,
): BackupAccess {
  const rootKey = async () => {
    const { composeRootKey } = await import('./keys/compose_root_key.ts');
    const { home, root_key } = settings();
    return composeRootKey(root_key, { env, home, promptSecret, operatorEgress });
  };
  const open = async () =>
    (await import('../vault/backup/access.ts')).backupAccess({ settings, rootKey, caller, now });
  return {
    verify: async (...input) => (await open()).verify(...input),
    restore: async (...input) => (await open()).restore(...input),
  };
}

async function moveDestination(text: string, env: NodeJS.ProcessEnv, settings: App['settings']) {
  const { openMoveDestination } = await import('../vault/move/destination.ts');
  return openMoveDestination(parseSettings({ ...env, KEYHOLD_STORE: text }).store, settings().store);
}

function composeLog(settings: App['settings']): App['log'] {
  let log: Promise<ProcessLog> | undefined;
  return async () => {
    log ??= openLogger(settings().log);
    return log;
  };
}

function testsWith(open: () => ReturnType<ReturnType<typeof composeTests>>): Tests {
  return {
    test: async (caller, input) => (await open()).stored.test(caller, input),
    testById: async (caller, id) => (await open()).stored.testById(caller, id),
    testGiven: async (caller, input) => (await open()).values.testGiven(caller, input),
  };
}

function composeCalls(
  vault: Vault,
  openEgress: App['egress'],
  openProducer: App['valueProducer'],
  tokens: AccessTokens,
): Calls {
  const open = async () => {
    const [{ CallService }, egress, values] = await Promise.all([
      import('../use/call/call_service.ts'),
      openEgress(),
      openProducer(),
    ]);
    return new CallService({ uses: vault.uses, egress, values, tokens, nodes: vault.nodes });
  };
  let service: Promise<Calls> | undefined;
  const opened = () => {
    service ??= open();
    return service;
  };
  return {
    call: async (caller, input) => (await opened()).call(caller, input),
    stream: async (caller, input, signal) => (await opened()).stream(caller, input, signal),
  };
}

/** Loads the tests of a vault once, so that all interfaces share their limits. */
function composeTests(
  openEgress: App['egress'],
  openProducer: App['valueProducer'],
  accessTokens: App['accessTokens'],
  { now, given_test_delay_ms }: ComposeOptions,
) {
  const open = async (vault: Vault) => {
    const [{ CredentialTests }, { ValueTests }, egress, values] = await Promise.all([
      import('../probe/credential_tests.ts'),
      import('../probe/value_tests.ts'),
      openEgress(),
      openProducer(),
    ]);
    const parts = { vault, egress, values, now, tokens: accessTokens(vault) };
    return { stored: new CredentialTests(parts), values: new ValueTests({ ...parts, given_test_delay_ms }) };
  };
  const opened = new WeakMap<Vault, ReturnType<typeof open>>();
  return (vault: Vault): ReturnType<typeof open> => {
    const tests = opened.get(vault) ?? open(vault);
    opened.set(vault, tests);
    return tests;
  };
}

function composeEgress(
  env: NodeJS.ProcessEnv,
  home: () => string,
  own_ports: ComposeOptions['own_ports'],
): Pick<App, 'egress' | 'operatorEgress' | 'closeEgress'> {
  const open = async (is_operator: boolean) => {
    const [{ Egress }, { AllowList }, { parseEgressSettings, parseForwardProxy }] = await Promise.all([
      import('../egress/egress.ts'),
      import('../egress/allow_list.ts'),
      import('../settings/egress.ts'),
    ]);
    const { allow, ca } = parseEgressSettings(env, home());
    const proxy = parseForwardProxy(env);
    return new Egress(is_operator ? { allow: AllowList.all(), ca, proxy } : { allow, ca, proxy, own_ports });
  };
  let egress: Promise<Egress> | undefined;
  let operator_egress: Promise<Egress> | undefined;
  return {
    egress() {
      egress ??= open(false);
      return egress;
    },
    operatorEgress() {
      operator_egress ??= open(true);
      return operator_egress;
    },
    async closeEgress() {
      // One that could not be opened has been reported.
      await Promise.all(
        [egress, operator_egress].map((one) => one?.then((opened) => opened.close()).catch(() => undefined)),
      );
    },
  };
}
