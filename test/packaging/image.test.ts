/** The container image, built from `Dockerfile`: it runs without privileges, keeps the vault in its volume, and ends cleanly. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ContainerEngine, NO_CONTAINERS, openContainerEngine } from './container_engine.ts';

const BUILD_TIMEOUT_MS = 600_000;
const START_TIMEOUT_MS = 30_000;
const BEHIND_PROXY = ['--env', 'KEYHOLD_BEHIND_PROXY=true'];

describe.skipIf(NO_CONTAINERS)('the container image', () => {
  let engine: ContainerEngine;
  beforeAll(async () => {
    engine = openContainerEngine();
    await engine.build();
  }, BUILD_TIMEOUT_MS);
  afterAll(() => engine.close());

  test('the container refuses to listen without TLS and without a proxy that does TLS', async () => {
    const { code, stderr } = await engine.run([]);
    expect(code).toBe(2);
    expect(stderr).toContain('KEYHOLD_TLS_CERT');
  });

  test('the health check fails if no server runs', async () => {
    expect((await engine.run(['--entrypoint', 'node'], '/app/health.mjs')).code).toBe(1);
  });

  test('the image runs as user 65532 with a volume and a health check, and its settings contain no secret', async () => {
    const { stdout } = await engine.podman('image', 'inspect', 'localhost/keyhold:test');
    const [image] = JSON.parse(stdout) as { Config: { Env: readonly string[] } }[];
    expect(image?.Config).toMatchObject({
      User: '65532:65532',
      Volumes: { '/data': {} },
      Entrypoint: ['node', '/app/dist/keyhold.js'],
      Cmd: ['serve'],
      StopSignal: 'SIGTERM',
    });
    expect(JSON.stringify(image)).toContain('/app/health.mjs');
    const names = image?.Config.Env.map((text) => text.split('=')[0]);
    expect(names?.sort()).toEqual(['KEYHOLD_HOME', 'KEYHOLD_HOST', 'NODE_ENV', 'PATH']);
  });

  test('the image has the program and its four dependencies, and no source, test or development package', async () => {
    const list = async (folder: string) =>
      (await engine.run(['--entrypoint', 'ls'], '-A', folder)).stdout.trim().split('\n');
    expect(await list('/app')).toEqual(['LICENSE', 'dist', 'health.mjs', 'node_modules', 'package.json']);
    const modules = await list('/app/node_modules');
    expect(modules).toEqual(expect.arrayContaining(['better-sqlite3', 're2js', 'tldts', 'zod']));
    expect(modules.filter((name) => ['typescript', 'vitest', 'esbuild', 'pg'].includes(name))).toEqual([]);
  });

  test('a container with a read-only root and no capabilities serves, is healthy, and exits with 0 at SIGTERM; the next one opens its vault', async () => {
    const volume = ['--volume', `${engine.volume()}:/data`];
    const first = await engine.start([...volume, ...BEHIND_PROXY]);
    await untilHealthy(engine, first);
    const run = (...command: string[]) => engine.podman('exec', first, ...command);
    expect((await run('id', '-u')).stdout.trim()).toBe('65532');
    expect((await run('touch', '/app/written')).code).toBe(1);
    const store = 'echo container-secret | node /app/dist/keyhold.js store linear';
    expect(await run('sh', '-c', store)).toMatchObject({ code: 0 });
    expect((await engine.podman('stop', '--time', '20', first)).code).toBe(0);
    const state = await engine.podman('inspect', '--format', '{{.State.ExitCode}}', first);
    expect(state.stdout.trim()).toBe('0');
    const { stdout } = await engine.run(volume, 'status', 'linear', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ status: 'active' });
  });
});

async function untilHealthy(engine: ContainerEngine, container: string): Promise<void> {
  const until_ms = performance.now() + START_TIMEOUT_MS;
  while ((await engine.podman('exec', container, 'node', '/app/health.mjs')).code !== 0) {
    if (performance.now() > until_ms) throw new Error((await engine.podman('logs', container)).stderr);
    await sleep(200);
  }
}
