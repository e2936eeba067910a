/** Renders the Helm chart. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { ROOT } from '../kit/source_tree.ts';
import { runExternal } from './external_program.ts';

export const CHART = join(ROOT, 'packaging/helm/keyhold');
export const SQLITE = [
  ...['image.repository=registry.example/keyhold', 'rootKey.existingSecret=keyhold-root'],
  'persistence.existingClaim=keyhold-data',
];
export const POSTGRES = [
  ...['image.repository=registry.example/keyhold', 'rootKey.existingSecret=keyhold-root', 'replicaCount=3'],
  'store.url=postgres://keyhold@db.example:5432/keyhold?sslmode=verify-full',
  ...['store.passwordSecret.name=keyhold-store', 'store.caSecret.name=database-ca'],
  ...['tls.existingSecret=keyhold-tls', 'publicUrl=https://vault.example', 'ingress.enabled=true'],
  ...['ingress.host=vault.example', 'ingress.tlsSecret=vault-tls', 'settings.KEYHOLD_LOG=warn'],
  ...['metrics.serviceMonitor.enabled=true', 'metrics.serviceMonitor.apiKeySecret.name=keyhold-metrics'],
  ...['secretSettings[0].variable=KEYHOLD_OIDC_CLIENT_SECRET', 'secretSettings[0].name=oidc'],
  'secretSettings[0].key=secret',
];

export const MIGRATIONS = [
  'store.migrations.url=postgres://keyhold_migrations@db.example:5432/keyhold?sslmode=verify-full',
  'store.migrations.passwordSecret.name=keyhold-migrations',
];

export const ROOT_KEY = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 3 + 2)).toString('base64');

interface Variable {
  readonly name: string;
  readonly value?: string;
}
interface Container {
  readonly args: readonly string[];
  readonly env: readonly Variable[];
  readonly securityContext: unknown;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly readinessProbe?: { readonly httpGet: { readonly path: string } };
}
export interface PodSpec {
  readonly containers: readonly [Container];
  readonly initContainers?: readonly {
    readonly command: readonly [string, ...string[]];
    readonly securityContext: unknown;
    readonly volumeMounts: Container['volumeMounts'];
  }[];
  readonly volumes: readonly { readonly name: string }[];
  readonly securityContext: unknown;
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken: boolean;
  readonly terminationGracePeriodSeconds?: number;
}
export interface Manifest {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly replicas?: number;
    readonly strategy?: unknown;
    readonly jobLabel?: string;
    readonly endpoints?: readonly { readonly scheme: string; readonly tlsConfig?: unknown }[];
    readonly template: { readonly spec: PodSpec };
  };
}

const sets = (values: readonly string[]) => values.flatMap((value) => ['--set', value]);
export const helm = (command: string, values: readonly string[]) =>
  runExternal('helm', [...(command === 'template' ? [command, 'vault'] : [command]), CHART, ...sets(values)]);

export async function render(values: readonly string[]): Promise<readonly Manifest[]> {
  const { code, stdout, stderr } = await helm('template', values);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return parseAllDocuments(stdout, { version: '1.1' }).map((document) => document.toJS() as Manifest);
}

export const podsOf = (manifests: readonly Manifest[]) =>
  manifests
    .filter(({ kind }) => kind === 'Deployment' || kind === 'Job')
    .map(({ spec }) => spec.template.spec);
