/** What is kept of a test, when the vault cannot be written to. */
import { expect, test } from 'vitest';
import { compose } from '../../../src/app/compose.ts';
import { IS_QUICK } from '../../kit/run_size.ts';
import { respondJson } from '../../kit/upstream/handlers.ts';
import { startUpstream, upstreamEnv } from '../../kit/upstream/upstream.ts';
import { openTestDatabase, test_engine } from '../../kit/vault/database.ts';
import { createPolicy, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const GITHUB = { service_id: 'github', credential_type: 'bearer' } as const;
/** Longer than the vault waits for another process. */
const TIMEOUT_MS = 60_000;

test.skipIf(IS_QUICK)(
  'a write with verify that is stored does not fail because its test cannot be kept',
  async () => {
    const home = temporaryFolder();
    let is_tested = false;
    let lock: Promise<() => Promise<void>> | undefined;
    const accept = respondJson({ login: 'ann' });
    await startUpstream(['api.github.com'], (request, response) => {
      is_tested = true;
      accept(request, response);
    });
    const env = { KEYHOLD_HOME: home, ...test_engine.settings(home), ...upstreamEnv(home) };
    const app = compose({ env, promptSecret: async () => undefined, now: () => new Date() });
    // The commit after the test is that of the values.
    const vault = await app.openVault(await createPolicy(home), 'library', () => {
      if (is_tested) lock ??= openTestDatabase(home).lockForWriting();
    });
    const input = { ...GITHUB, credential_value: 'ghp_kept5d1f2a', verify: true };
    const stored = await vault.store(app.caller('library'), input);
    expect(stored).toMatchObject({ status: 'stored', test: { result: 'valid' } });
    expect(lock).toBeDefined();
    await (await lock)?.();
    const status = await vault.status(app.caller('library'), { service_id: 'github' });
    expect(status).toMatchObject({ status: 'active', last_test: null });
    await vault.close();
    await app.closeEgress();
  },
  TIMEOUT_MS,
);
