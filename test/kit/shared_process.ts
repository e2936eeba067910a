/**
 * Folders whose test files share a process per worker, which has loaded the sources: a new process for each file takes
 * about 1.5 seconds of CPU time more. Such a file must not change the process, such as its clock, timers or environment,
 * nor measure its memory or open files. test/architecture checks that.
 */
export const SHARED_PROCESS_FOLDERS: readonly string[] = [
  'test/cli',
  'test/client',
  'test/contract',
  'test/crypto',
  'test/egress',
  'test/io',
  'test/mcp',
  'test/oauth',
  'test/probe',
  'test/rest',
  'test/services',
  'test/settings',
  'test/tools',
  'test/use',
  'test/vault/api_keys',
  'test/vault/approvals',
  'test/vault/credentials',
  'test/vault/definitions',
  'test/vault/destinations',
  'test/vault/handles',
  'test/vault/organizations',
  'test/vault/protection',
  'test/vault/records',
  'test/vault/stacks',
  'test/vault/uses',
  'test/vault/values',
];

/** Files in these folders that change or measure the process, and therefore have one of their own. */
export const OWN_PROCESS_TESTS: readonly string[] = [
  'test/mcp/http_oauth_issuer.test.ts',
  'test/probe/hostile_servers.test.ts',
];
