/** Selects the storage engine of a location. */
import { VaultError } from '../contract/errors.ts';
import type { PostgresLocation, StoreLocation } from '../io/store_location.ts';
import type { StoreEngine } from './engine.ts';
import { sqliteEngine } from './sqlite/engine.ts';

export function engineOf(location: StoreLocation): StoreEngine {
  return location.kind === 'sqlite' ? sqliteEngine(location.path) : postgresEngine(location);
}

function postgresEngine(_location: PostgresLocation): StoreEngine {
  throw new VaultError('UNAVAILABLE', 'This version of Keyhold has no engine for PostgreSQL.', {
    reason: 'driver_unusable',
  });
}
