/** `keyhold run` with a stored access token that ends soon: the command gets the next one. */
import { expect, test } from 'vitest';
import { runProgram } from '../kit/child/built_program.ts';
import { upstreamEnv } from '../kit/upstream/upstream.ts';
import { oauthDefinition } from './oauth_kit.ts';
import { STORED, setup, tokens } from './token_endpoint.ts';

test('a run refreshes a stored access token before the command starts, and the next run uses it', async () => {
  const { home, forms, audit } = await setup(tokens(), {
    definition: oauthDefinition({}, { environment: { ACCESS_TOKEN: '{access_token}' } }),
  });
  const print = 'console.log(process.env.ACCESS_TOKEN)';
  const run = () =>
    runProgram(['run', '--raw', '--service', 'acme', '--', process.execPath, '-e', print], {
      env: { ...upstreamEnv(home), KEYHOLD_HOME: home },
    });
  for (let number = 0; number < 2; number++) {
    const { code, stdout, stderr } = await run();
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'access-token-1\n', stderr: '' });
  }
  expect(forms()).toMatchObject([{ grant_type: 'refresh_token', refresh_token: STORED.refresh_token }]);
  expect((await audit()).filter(({ action }) => action === 'refresh')).toHaveLength(1);
});
