/** Selects the storage engine of a location. */
import type { PostgresLocation, StoreLocation } from '../io/store_location.ts';
import type { StoreEngine } from './engine.ts';
import { sqliteEngine } from './sqlite/engine.ts';

export function engineOf(location: StoreLocation): StoreEngine {
  return location.kind === 'sqlite' ? sqliteEngine(location.path) : postgresEngine(location);
}

/** The files of the engine are loaded when it is opened: a vault in a file needs none of them. */
function postgresEngine(location: PostgresLocation): StoreEngine {
  return {
    is_remote: true,
    inspect: () => 'unknown',
    assertPrivate: () => undefined,
    assertDriverLoads: async () => void (await import('pg')),
    prepare: () => undefined,
    async inspectServer() {
      const [{ inspectServer }, { optionsOf }] = await Promise.all([
        import('./postgres/inspection.ts'),
        import('./postgres/options.ts'),
      ]);
      return inspectServer(optionsOf(location));
    },
    async openTarget() {
      const [{ PostgresTarget }, { optionsOf }] = await Promise.all([
        import('./postgres/transfer/target.ts'),
        import('./postgres/options.ts'),
      ]);
      return new PostgresTarget(optionsOf(location));
    },
    async open(onCommit) {
      const [{ openPostgres }, { optionsOf }] = await Promise.all([
        import('./postgres/store.ts'),
        import('./postgres/options.ts'),
      ]);
      return openPostgres(optionsOf(location), onCommit);
    },
  };
}
