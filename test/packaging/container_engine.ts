/**
 * Builds the container image with podman and runs it. No registry is reached: the base image has the Node.js and npm of this
 * machine and busybox. Files are in a folder of their own, which `close` removes.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { removeFolder } from '../kit/remove_folder.ts';
import { ROOT } from '../kit/source_tree.ts';
import { isMissing, type Output, runExternal } from './external_program.ts';

const BASE_IMAGE = 'docker.io/library/node:24-slim';
const IMAGE = 'localhost/keyhold:test';
/** Of Debian's package busybox-static. */
const BUSYBOX = '/bin/busybox';
/** As `docker run --read-only --cap-drop=all --security-opt no-new-privileges`. */
const HARDENED = [
  ...['--read-only', '--tmpfs', '/tmp', '--cap-drop=all', '--security-opt', 'no-new-privileges'],
  ...['--network', 'none', '--no-healthcheck', '--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=2048:2048'],
];

const IMAGE_USER_ID = 65_532;

/** podman needs root here, to build without user namespaces. */
export const NO_CONTAINERS: boolean =
  process.platform !== 'linux' ||
  process.getuid?.() !== 0 ||
  isMissing('podman') ||
  (process.env.CI === undefined && !existsSync(BUSYBOX));

export interface ContainerEngine {
  /** Builds `Dockerfile`. */
  build(): Promise<void>;
  podman(...args: readonly string[]): Promise<Output>;
  /** Runs the image to its end with a read-only root, without capabilities and without a network. */
  run(options: readonly string[], ...command: readonly string[]): Promise<Output>;
  /** Starts it in the background and returns the id of the container. */
  start(options: readonly string[], ...command: readonly string[]): Promise<string>;
  /** A folder of the user of the image. */
  volume(): string;
  close(): Promise<void>;
}

export function openContainerEngine(): ContainerEngine {
  const folder = mkdtempSync(join(tmpdir(), 'keyhold-containers-'));
  const options = [
    ...['--root', join(folder, 'storage'), '--runroot', join(folder, 'run'), '--storage-driver=overlay'],
    ...['--cgroup-manager=cgroupfs', '--events-backend=file'],
    // crun does not support hosts with both versions of cgroups.
    ...(existsSync('/usr/sbin/runc') ? ['--runtime=runc'] : []),
  ];
  const podman = (...args: readonly string[]) => runExternal('podman', [...options, ...args]);
  const must = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await podman(...args);
    if (code !== 0) throw new Error(`podman ${args[0]} failed: ${stdout}${stderr}`);
    return stdout.trim();
  };
  return {
    podman,
    run: (more, ...command) => podman('run', '--rm', ...HARDENED, ...more, IMAGE, ...command),
    start: (more, ...command) => must('run', '--detach', ...HARDENED, ...more, IMAGE, ...command),
    volume() {
      const path = mkdtempSync(join(folder, 'volume-'));
      chownSync(path, IMAGE_USER_ID, IMAGE_USER_ID);
      return path;
    },
    async build() {
      const archive = join(folder, 'base.tar');
      writeBaseImage(join(folder, 'base'));
      execFileSync('tar', ['-cf', archive, '-C', join(folder, 'base'), '.']);
      await must('import', archive, BASE_IMAGE);
      const cache = execFileSync('npm', ['config', 'get', 'cache'], { encoding: 'utf8' }).trim();
      mkdirSync(join(cache, '_cacache'), { recursive: true });
      const mounts = ['--volume', `${join(cache, '_cacache')}:/root/.npm/_cacache`];
      const network = ['--network', 'host', '--isolation', 'chroot', '--pull=never', '--format', 'docker'];
      await must('build', ...network, ...mounts, '--tag', IMAGE, ROOT);
    },
    async close() {
      await podman('rm', '--all', '--force', '--time', '0');
      await podman('rmi', '--all', '--force');
      await podman('system', 'reset', '--force');
      await removeFolder(folder);
    },
  };
}

function writeBaseImage(root: string): void {
  const folders = [
    'bin',
    'dev',
    'etc/ssl/certs',
    'proc',
    'root/.npm/_prebuilds',
    'sys',
    'tmp',
    'usr/bin',
    'usr/etc',
  ];
  for (const name of folders) mkdirSync(join(root, name), { recursive: true });
  chmodSync(join(root, 'tmp'), 0o1777);
  cpSync(BUSYBOX, join(root, 'bin', 'busybox'));
  const { stdout } = spawnSync(BUSYBOX, ['--list'], { encoding: 'utf8' });
  for (const name of stdout.split('\n').filter((name) => /^[a-z]/.test(name) && name !== 'busybox'))
    symlinkSync('busybox', join(root, 'bin', name));
  symlinkSync('../../bin/env', join(root, 'usr', 'bin', 'env'));
  cpSync(realpathSync(process.execPath), join(root, 'usr', 'bin', 'node'));
  for (const library of librariesOf(process.execPath)) {
    mkdirSync(dirname(join(root, library)), { recursive: true });
    cpSync(realpathSync(library), join(root, library));
  }
  const npm = dirname(dirname(realpathSync(pathOf('npm'))));
  cpSync(npm, join(root, 'usr', 'lib', 'node_modules', 'npm'), { recursive: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr', 'bin', 'npm'));
  for (const file of ['/etc/ssl/certs/ca-certificates.crt', '/usr/etc/npmrc'])
    if (existsSync(file)) cpSync(file, join(root, file));
  writeFileSync(join(root, 'etc', 'passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  addPrebuiltDriver(join(root, 'root/.npm/_prebuilds'));
}

function pathOf(program: string): string {
  return execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
}

function librariesOf(program: string): readonly string[] {
  return execFileSync('ldd', [program], { encoding: 'utf8' }).match(/\/\S+/g) ?? [];
}

/** Puts the native module of the tests into the cache of prebuild-install, which else downloads one or compiles it. */
function addPrebuiltDriver(cache: string): void {
  const driver = join(ROOT, 'node_modules', 'better-sqlite3');
  const { version } = JSON.parse(readFileSync(join(driver, 'package.json'), 'utf8')) as { version: string };
  const name = `better-sqlite3-v${version}-node-v${process.versions.modules}-linux-${process.arch}.tar.gz`;
  const url = `https://github.com/WiseLibs/better-sqlite3/releases/download/v${version}/${name}`;
  const digest = createHash('sha512').update(url).digest('hex').slice(0, 6);
  const path = join(cache, `${digest}-${name.replaceAll(/[^a-zA-Z0-9.]+/g, '-')}`);
  execFileSync('tar', ['-czf', path, '-C', driver, 'build/Release/better_sqlite3.node']);
}
