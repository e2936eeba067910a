/** The Helm chart: helm renders it, wrong values are refused, pods are hardened, and the program starts with the rendered settings. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { parseTransitAccess } from '../../src/settings/keys/transit.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import { ROOT, readSources } from '../kit/source_tree.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { isMissing, runExternal } from './external_program.ts';
import {
  CHART,
  helm,
  type Manifest,
  MIGRATIONS,
  POSTGRES,
  type PodSpec,
  podsOf,
  ROOT_KEY,
  render,
  SQLITE,
} from './helm_chart.ts';

/** The pods log in at OpenBao with the token of their service account. */
const TRANSIT = [
  ...['rootKey.source=transit:https://bao.example:8200/transit/keyhold', 'rootKey.existingSecret='],
  ...['settings.KEYHOLD_TRANSIT_KUBERNETES_ROLE=keyhold', 'serviceAccount.existingAccount=keyhold-nodes'],
];

const TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

const ofKind = (manifests: readonly Manifest[], kind: string) => {
  const [found] = manifests.filter((one) => one.kind === kind);
  if (found === undefined) throw new Error(`no ${kind}`);
  return found;
};
const argsOf = ({ template }: Manifest['spec']) => template.spec.containers[0].args;
const settingOf = ({ containers }: PodSpec, setting: string) =>
  containers[0].env.find(({ name }) => name === setting)?.value;

describe.skipIf(isMissing('helm'))('the Helm chart', () => {
  test.each([
    ['no image', SQLITE.slice(1), 'image/repository'],
    ['no root key', [SQLITE[0] ?? '', SQLITE[2] ?? ''], 'The vault needs a root key'],
    ['no volume for SQLite', SQLITE.slice(0, 2), 'persistence.existingClaim'],
    [
      'permissions of a volume that is not there',
      [...POSTGRES, 'persistence.volumePermissions=true'],
      'persistence.existingClaim',
    ],
    ['two replicas with SQLite', [...SQLITE, 'replicaCount=2'], 'Several replicas need PostgreSQL'],
    ['a password in the URL', [...POSTGRES, 'store.url=postgres://keyhold:secret@db/keyhold'], 'store/url'],
    ['an unknown value', [...SQLITE, 'rootkey=abc'], 'rootkey'],
    ['an ingress without a host', [...SQLITE, 'ingress.enabled=true'], 'An ingress needs'],
    ['metrics without a key', [...SQLITE, 'metrics.serviceMonitor.enabled=true'], 'Metrics need an API key'],
    [
      'metrics over TLS without a name',
      [...POSTGRES, 'publicUrl=', 'ingress.enabled=false'],
      'tlsConfig.serverName',
    ],
    ['a Kubernetes role without an account', [...SQLITE, TRANSIT[2] ?? ''], 'serviceAccount.existingAccount'],
  ])('the chart is not rendered with %s, and the message names it', async (_, values, message) => {
    const { code, stderr } = await helm('template', values);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });

  test.each([
    ['SQLite', SQLITE],
    ['PostgreSQL', POSTGRES],
  ])(
    'helm lint accepts the chart with values for %s, and its version is that of the package',
    async (_, values) => {
      expect((await helm('lint', values)).code).toBe(0);
      const { stdout } = await runExternal('helm', ['show', 'chart', CHART]);
      expect(stdout).toContain(`appVersion: ${packageJson.version}\n`);
    },
  );

  test('one pod at a time opens a vault in SQLite; three pods with PostgreSQL are replaced one by one', async () => {
    const small = await render(SQLITE);
    expect(small.map(({ kind }) => kind).sort()).toEqual(['Deployment', 'Job', 'Service', 'ServiceAccount']);
    expect(ofKind(small, 'Deployment').spec).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } });
    const large = await render(POSTGRES);
    expect(large.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['PodDisruptionBudget', 'Ingress', 'ServiceMonitor']),
    );
    const strategy = { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } };
    expect(ofKind(large, 'Deployment').spec).toMatchObject({ replicas: 3, strategy });
  });

  test('the vault is created by a job before the first installation only', async () => {
    const { metadata, spec } = ofKind(await render(POSTGRES), 'Job');
    expect(metadata.annotations?.['helm.sh/hook']).toBe('pre-install');
    expect(spec.template.spec.containers[0].args).toEqual(['init']);
    const kinds = (await render([...POSTGRES, 'init.enabled=false'])).map(({ kind }) => kind);
    expect(kinds).not.toContain('Job');
  });

  test('the jobs of init and of upgrades use the role that owns the tables, and the nodes another one', async () => {
    expect((await helm('template', [...SQLITE, MIGRATIONS[0] ?? ''])).stderr).toContain(
      'store.migrations is for PostgreSQL',
    );
    const manifests = await render([...POSTGRES, ...MIGRATIONS]);
    const jobs = manifests.filter(({ kind }) => kind === 'Job');
    expect(jobs.map(({ metadata, spec }) => [metadata.annotations?.['helm.sh/hook'], argsOf(spec)])).toEqual([
      ['pre-install', ['init']],
      ['pre-upgrade', ['status', '--json']],
    ]);
    const stores = podsOf(manifests).map((pod) => [
      /^postgres:\/\/(\w+)@/.exec(settingOf(pod, 'KEYHOLD_STORE') ?? '')?.[1],
      JSON.stringify(pod.volumes).match(/"name":"(keyhold-(?:store|migrations))"/)?.[1],
    ]);
    const migrations = ['keyhold_migrations', 'keyhold-migrations'];
    expect(stores.toSorted()).toEqual([['keyhold', 'keyhold-store'], migrations, migrations]);
  });

  test('Prometheus gives the metrics the job of the alert rules, and verifies the name of the public URL', async () => {
    const manifests = await render(POSTGRES);
    const { jobLabel = '', endpoints } = ofKind(manifests, 'ServiceMonitor').spec;
    const job = ofKind(manifests, 'Service').metadata.labels[jobLabel];
    const rules = readFileSync(join(ROOT, 'packaging/monitoring/alerts.yaml'), 'utf8');
    expect(new Set([...rules.matchAll(/\{job="(\w+)"/g)].map(([, name]) => name))).toEqual(new Set([job]));
    expect(endpoints).toMatchObject([{ scheme: 'https', tlsConfig: { serverName: 'vault.example' } }]);
    const values = ['tlsConfig.serverName=node.example', 'tlsConfig.ca.secret.name=ca'];
    const named = await render([...POSTGRES, ...values.map((value) => `metrics.serviceMonitor.${value}`)]);
    expect(ofKind(named, 'ServiceMonitor').spec.endpoints).toMatchObject([
      { tlsConfig: { serverName: 'node.example', ca: { secret: { name: 'ca' } } } },
    ]);
    const plain = await render([...POSTGRES, 'tls.existingSecret=']);
    const [endpoint] = ofKind(plain, 'ServiceMonitor').spec.endpoints ?? [];
    expect([endpoint?.scheme, endpoint?.tlsConfig]).toEqual(['http', undefined]);
  });

  test('pods and jobs use an existing account, since a job runs before the chart creates one', async () => {
    const own = await render([...POSTGRES, ...MIGRATIONS]);
    const account = ofKind(own, 'ServiceAccount').metadata.name;
    expect(ofKind(own, 'Deployment').spec.template.spec.serviceAccountName).toBe(account);
    expect(ofKind(own, 'Job').spec.template.spec.serviceAccountName).toBeUndefined();
    const manifests = await render([...POSTGRES, ...MIGRATIONS, 'serviceAccount.existingAccount=aws']);
    expect(manifests.map(({ kind }) => kind)).not.toContain('ServiceAccount');
    expect(podsOf(manifests).map(({ serviceAccountName }) => serviceAccountName)).toEqual([
      'aws',
      'aws',
      'aws',
    ]);
  });

  test('pods and jobs with a Kubernetes role have the token of their account where the program reads it, others have none', async () => {
    const role = { KEYHOLD_TRANSIT_KUBERNETES_ROLE: 'keyhold' };
    expect(parseTransitAccess(role, '/data').login).toEqual({
      kind: 'kubernetes',
      role: 'keyhold',
      path: TOKEN,
    });
    const projected = { sources: [{ serviceAccountToken: { path: basename(TOKEN) } }] };
    const pods = podsOf(await render([...POSTGRES, ...MIGRATIONS, ...TRANSIT]));
    expect(pods.length).toBe(3);
    for (const pod of pods) {
      const mounted = pod.containers[0].volumeMounts.find(({ mountPath }) => mountPath === dirname(TOKEN));
      expect(pod.volumes.find(({ name }) => name === mounted?.name)).toMatchObject({ projected });
    }
    expect(JSON.stringify(await render(POSTGRES))).not.toContain('serviceAccountToken');
  });

  test('a claim with PostgreSQL keeps the folder of the anchor and of the first API key', async () => {
    const claim = 'persistence.existingClaim=keyhold-keys';
    for (const pod of podsOf(await render([...POSTGRES, ...MIGRATIONS, claim]))) {
      const mounted = pod.containers[0].volumeMounts.find(({ mountPath }) => mountPath === '/data/keys');
      expect(pod.volumes.find(({ name }) => name === mounted?.name)).toMatchObject({
        persistentVolumeClaim: { claimName: 'keyhold-keys' },
      });
    }
  });

  test.each([
    ['SQLite', SQLITE],
    ['PostgreSQL', [...POSTGRES, ...MIGRATIONS, 'persistence.existingClaim=keyhold-keys']],
    ['a key service', [...POSTGRES, ...MIGRATIONS, ...TRANSIT]],
  ])('pods with %s have no privileges, mount each volume, and know no secret value', async (_, values) => {
    const manifests = await render(values);
    expect(manifests.filter(({ kind }) => kind === 'Secret')).toEqual([]);
    for (const { securityContext, automountServiceAccountToken, containers, volumes } of podsOf(manifests)) {
      const [container] = containers;
      expect(securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 65_532, fsGroup: 65_532 });
      expect(automountServiceAccountToken).toBe(false);
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(container.volumeMounts.map(({ name }) => name)).toEqual(volumes.map(({ name }) => name));
      const with_value = container.env.filter(({ value }) => value !== undefined).map(({ name }) => name);
      expect(with_value.filter((name) => /PASSWORD$|SECRET$|PASSPHRASE$/.test(name))).toEqual([]);
    }
  });

  test('every setting in the pods is one of the program', async () => {
    const source = [...readSources('src').values()].map(({ text }) => text).join('\n');
    const names = podsOf(await render(POSTGRES)).flatMap(({ containers }) =>
      containers[0].env.map(({ name }) => name),
    );
    expect(names.length).toBeGreaterThan(15);
    expect(names.filter((name) => name !== 'POD_IP' && !source.includes(name))).toEqual([]);
  });

  test('the program creates the vault and serves with the settings of the pod: the probe, Prometheus and clients reach it', async () => {
    const [deployment] = podsOf(await render([...SQLITE, 'drainSeconds=0']));
    const container = deployment?.containers[0];
    const folder = temporaryFolder();
    const home = join(folder, 'data');
    mkdirSync(home);
    writeFileSync(join(folder, 'root.key'), ROOT_KEY, { mode: 0o400 });
    const env: Record<string, string> = { KEYHOLD_HOME: home };
    for (const { name, value = '10.1.2.3' } of container?.env ?? [])
      env[name] = value.replace('$(POD_IP)', '10.1.2.3').replace('/run/secrets/keyhold-root', folder);
    expect(await runProgram(['init'], { env })).toMatchObject({ code: 0 });
    const server = await startServeProcess({ home, env: { ...env, KEYHOLD_PORT: '0' } });
    const { port } = new URL(server.url);
    const statusOf = async (path: string, host: string) => {
      const curl = ['-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', `Host: ${host}`];
      const key = ['-H', `Authorization: Bearer ${server.admin_key}`];
      return (await runExternal('curl', [...curl, ...key, `http://127.0.0.1:${port}${path}`])).stdout;
    };
    expect(await statusOf(container?.readinessProbe?.httpGet.path ?? '', '10.9.9.9:8787')).toBe('200');
    expect(await statusOf('/metrics', '10.1.2.3:8787')).toBe('200');
    expect(await statusOf('/v1/servers', 'vault.default.svc.cluster.local:8787')).toBe('200');
    expect(await statusOf('/metrics', '10.9.9.9:8787')).toBe('403');
    expect(deployment?.terminationGracePeriodSeconds).toBe(20);
  });
});
