/** Loads the database driver, whose native module has to fit the version of Node.js and the machine. */
import { VaultError } from '../../contract/errors.ts';
import { errnoOf } from '../../io/errno.ts';

/** Throws UNAVAILABLE if the native module is missing or was built for something else. */
export async function assertDriverLoads(): Promise<void> {
  try {
    const { default: Driver } = await import('better-sqlite3');
    new Driver(':memory:').close();
  } catch (error) {
    throw toDriverError(error) ?? error;
  }
}

/** The error to report if the driver could not be loaded; `undefined` for all other errors. */
export function toDriverError(thrown: unknown): VaultError | undefined {
  if (!isDriverFailure(thrown)) return undefined;
  const { versions, version, platform, arch } = process;
  return new VaultError(
    'UNAVAILABLE',
    `Node.js ${version} (module version ${versions.modules}, ${platform} ${arch}) cannot load the database driver better-sqlite3: its native module is missing, damaged, or was installed with another Node.js. With this Node.js run \`npm rebuild better-sqlite3\` in the folder where Keyhold is installed, or \`npm rebuild -g better-sqlite3\` for a global installation; with pnpm run \`pnpm approve-builds\` first.`,
    { reason: 'driver_unusable', cause: thrown },
  );
}

function isDriverFailure(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  const code = errnoOf(thrown);
  // The package `bindings` lists the paths that it tried and sets no code.
  if (code === 'ERR_DLOPEN_FAILED' || 'tries' in thrown) return true;
  const is_missing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
  return is_missing && /better-sqlite3|bindings/.test(thrown.message);
}
