/** The environment of the program, without leaving secrets in it for programs that it starts. */

const SECRETS = [
  'KEYHOLD_PASSPHRASE',
  'KEYHOLD_BACKUP_PASSPHRASE',
  'KEYHOLD_API_KEY',
  'KEYHOLD_STORE_PASSWORD',
  'KEYHOLD_TRANSIT_TOKEN',
  'KEYHOLD_OIDC_CLIENT_SECRET',
  'KEYHOLD_NOTIFY_WEBHOOK_SECRET',
  'OTEL_EXPORTER_OTLP_HEADERS',
  'OTEL_EXPORTER_OTLP_TRACES_HEADERS',
  'OTEL_EXPORTER_OTLP_METRICS_HEADERS',
];

let taken: NodeJS.ProcessEnv | undefined;

/**
 * Returns the environment and removes the secrets from `process.env`, so that no child process inherits them. The list of
 * the kernel, /proc/PID/environ, keeps them.
 */
export function takeEnvironment(): NodeJS.ProcessEnv {
  if (taken !== undefined) return taken;
  taken = { ...process.env };
  const [, root_key = ''] = /^\s*env:(\w+)\s*$/.exec(process.env.KEYHOLD_ROOT_KEY ?? '') ?? [];
  for (const name of [...SECRETS, root_key]) delete process.env[name];
  return taken;
}
