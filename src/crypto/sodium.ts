/**
 * The only importer of libsodium. Loading it costs tens of milliseconds (it is WebAssembly), so it is loaded
 * when a vault is opened, never before.
 */
import type Sodium from 'libsodium-wrappers';

export type LoadedSodium = typeof Sodium;

let loading: Promise<LoadedSodium> | undefined;

/** Loads libsodium once per process; later calls share the first. */
export function loadSodium(): Promise<LoadedSodium> {
  loading ??= import('libsodium-wrappers').then(async (module) => {
    const sodium = module.default;
    await sodium.ready;
    return sodium;
  });
  return loading;
}
