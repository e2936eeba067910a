/** The volume of the Helm chart: who may write to its folder. */
import { chmodSync, statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { NO_USER, ordinaryUser } from '../kit/child/ordinary_user.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { isMissing, runExternal } from './external_program.ts';
import { MIGRATIONS, POSTGRES, podsOf, ROOT_KEY, render, SQLITE } from './helm_chart.ts';

describe.skipIf(isMissing('helm'))('the volume of the Helm chart', () => {
  test('a container as root mounts only the volume of the claim, and only with volumePermissions', async () => {
    const value = 'persistence.volumePermissions=true';
    const claim = 'persistence.existingClaim=keyhold-keys';
    for (const [values, name, mountPath, pods] of [
      [SQLITE, 'data', '/data', 2],
      [[...POSTGRES, ...MIGRATIONS, claim], 'keys', '/data/keys', 3],
    ] as const) {
      const without = podsOf(await render(values));
      expect(without.filter(({ initContainers }) => initContainers !== undefined)).toEqual([]);
      const all = podsOf(await render([...values, value]));
      expect(all.length).toBe(pods);
      for (const { initContainers } of all) {
        expect(initContainers).toMatchObject([
          {
            securityContext: {
              runAsNonRoot: false,
              runAsUser: 0,
              allowPrivilegeEscalation: false,
              capabilities: { drop: ['ALL'], add: ['CHOWN', 'FOWNER'] },
            },
            volumeMounts: [{ name, mountPath }],
          },
        ]);
        expect(initContainers?.[0]?.volumeMounts.length).toBe(1);
      }
    }
  });

  test('init creates no vault in a volume that every user can write, and one after the container as root has run', async ({
    skip,
  }) => {
    const user = ordinaryUser();
    if (user === undefined) return skip(NO_USER);
    const volume = temporaryFolder();
    chmodSync(volume, 0o777);
    const key = { KEYHOLD_ROOT_KEY: 'env:MY_KEY', MY_KEY: ROOT_KEY };
    const init = () => user.run(['init'], { KEYHOLD_HOME: volume, ...key });
    expect(await init()).toMatchObject({ code: 10, stderr: expect.stringContaining('No vault was created') });
    const [pod] = podsOf(await render([...SQLITE, 'persistence.volumePermissions=true']));
    const [, , script = ''] = pod?.initContainers?.[0]?.command ?? [];
    const { gid } = statSync(user.newFolder());
    const here = script.replaceAll('/data', volume).replaceAll('65532', String(gid));
    expect(here).not.toBe(script);
    // As at each start of a pod.
    for (let run = 1; run <= 2; run++) {
      expect(await runExternal('sh', ['-c', here])).toMatchObject({ code: 0, stderr: '' });
      expect(await init()).toMatchObject({ code: 0 });
    }
  });
});
