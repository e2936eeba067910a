/**
 * A real Secret Service: gnome-keyring-daemon on a separate session bus, in temporary folders. Without the programs, its tests
 * are skipped; in CI they fail.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { removeFolder } from '../remove_folder.ts';

/** Debian packages `dbus` and `gnome-keyring`. */
export const NO_KEYCHAIN: string | undefined =
  process.env.CI === undefined && spawnSync('gnome-keyring-daemon', ['--version']).status !== 0
    ? 'gnome-keyring-daemon is not installed'
    : undefined;

const PASSWORD = 'password of the keyring';

export interface KeychainSession {
  /** For the programs that use the keychain. */
  readonly env: NodeJS.ProcessEnv;
  /** Starts the daemon, with its keyring unlocked, which is created the first time, or locked. */
  start(state: 'unlocked' | 'locked'): Promise<void>;
  stop(): Promise<void>;
}

/** A session bus. Without `start`, it starts a daemon without a collection for the first request. Ends with the test. */
export async function startSession(): Promise<KeychainSession> {
  const folder = mkdtempSync(join(tmpdir(), 'keyhold-keychain-'));
  onTestFinished(() => removeFolder(folder));
  const address = `unix:path=${join(folder, 'bus')}`;
  const home = { HOME: folder, XDG_RUNTIME_DIR: folder };
  const base = { PATH: process.env.PATH, ...home };
  const bus = spawn('dbus-daemon', ['--session', '--nofork', '--print-address', `--address=${address}`], {
    env: base,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  onTestFinished(() => end(bus));
  await once(bus.stdout, 'data');
  const env = { ...home, DBUS_SESSION_BUS_ADDRESS: address };
  let daemon: ChildProcess | undefined;
  const session: KeychainSession = {
    env,
    async start(state) {
      await session.stop();
      const unlock = state === 'unlocked' ? ['--unlock'] : [];
      daemon = spawn('gnome-keyring-daemon', ['--foreground', '--components=secrets', ...unlock], {
        env: { ...base, ...env },
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      daemon.stdin?.end(state === 'unlocked' ? PASSWORD : '');
      while (!hasSecretService({ ...base, ...env })) await sleep(50);
    },
    async stop() {
      if (daemon !== undefined) await end(daemon);
      daemon = undefined;
    },
  };
  onTestFinished(() => session.stop());
  return session;
}

function hasSecretService(env: NodeJS.ProcessEnv): boolean {
  const bus = 'org.freedesktop.DBus';
  const args = [
    '--session',
    '--print-reply',
    `--dest=${bus}`,
    '/',
    `${bus}.NameHasOwner`,
    'string:org.freedesktop.secrets',
  ];
  return spawnSync('dbus-send', args, { env, encoding: 'utf8' }).stdout.includes('boolean true');
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
