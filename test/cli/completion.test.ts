/** `keyhold completion`: the candidates, and the scripts in real shells. */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keyhold, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

async function candidates(...words: string[]): Promise<string[]> {
  return (await keyholdOk(home, ['__complete', '--', ...words])).split('\n').filter((line) => line !== '');
}

describe('completion candidates', () => {
  test('completion exits with 0 even if the line, a service definition or a setting is invalid', async () => {
    fs.mkdirSync(path.join(home, 'services'), { recursive: true });
    fs.writeFileSync(path.join(home, 'services', 'broken.json'), '{');
    for (const words of [['store', 'lin'], ['xyzzy', ''], ['store', '--xyzzy', ''], []]) {
      const run = await keyhold(home, ['__complete', '--', ...words]);
      expect(run.code).toBe(0);
      expect(run.stderr).toBe('');
    }
    expect(
      (await keyhold(home, ['__complete', '--', 'store', ''], { env: { KEYHOLD_LOG: 'loud' } })).code,
    ).toBe(0);
  });

  test('completion offers commands and subcommands, but no hidden ones', async () => {
    const all = await candidates('');
    expect(all).toEqual(expect.arrayContaining(['init', 'mcp', 'install', 'store', 'status', 'doctor']));
    expect(all).not.toContain('__complete');
    expect(await candidates('st')).toEqual(['store', 'status', 'stacks']);
    for (const hidden of ['get', 'show']) expect(all).not.toContain(hidden);
    expect(await candidates('services', 's')).toEqual(['show']);
  });

  test('completion offers service ids for the service argument, and nothing after it', async () => {
    expect(await candidates('store', 'linea')).toEqual(['linear']);
    expect(await candidates('services', 'show', 'datad')).toEqual(['datadog']);
    expect(await candidates('store', '--json', '--name', 'work', 'linea')).toEqual(['linear']);
    expect(await candidates('store', 'linear', '')).toEqual([]);
  });

  test('completion of run offers services, also after a comma, and the stacks of the vault', async () => {
    expect(await candidates('run', '--service', 'linea')).toEqual(['linear']);
    expect(await candidates('run', '--service', 'github,linea')).toEqual(['github,linear']);
    await keyholdOk(home, ['store', 'linear', '--stack', 'team'], { stdin: 'lin_api_abc123def456789' });
    expect(await candidates('run', '--stack', 'te')).toEqual(['team']);
  });

  test('completion of update offers the fields of the service that are not on the line yet', async () => {
    const fields = ['datadog_api_key', 'datadog_app_key', 'datadog_site', 'datadog_access_token'];
    expect(await candidates('update', 'datadog', '')).toEqual(fields);
    expect(await candidates('update', 'datadog', 'datadog_api_key', '')).toEqual(fields.slice(1));
    expect(await candidates('update', 'xyzzy', '')).toEqual([]);
  });

  test('completion offers options after a dash', async () => {
    expect(await candidates('store', 'linear', '--s')).toEqual(['--stack', '--stdin', '--set']);
    expect(await candidates('delete', '-')).toContain('--yes');
  });

  test('completion offers the values of an option that has a fixed list of them', async () => {
    expect(await candidates('store', '--type', '')).toEqual(['bearer', 'api_key']);
    expect(await candidates('store', '--type', '=', 'b')).toEqual(['bearer']);
    expect(await candidates('store', '--name', '')).toEqual([]);
  });

  test('completion of --from-env offers the names of environment variables, never their values', async () => {
    const env = { MY_SECRET_NAME: 'canary_5f1e9b' };
    const run = await keyhold(home, ['__complete', '--', 'store', 'linear', '--from-env', 'MY_'], { env });
    expect(run.stdout).toBe('MY_SECRET_NAME\n');
  });

  test('completion leaves out names with characters that a shell interprets', async () => {
    const env = {
      GOOD_NAME: '1',
      'BAD|NAME': '1',
      'BAD$(NAME)': '1',
      'BAD NAME': '1',
      'BAD*': '1',
      "BAD'": '1',
    };
    const run = await keyhold(home, ['__complete', '--', 'store', 'linear', '--from-env', ''], { env });
    expect(run.stdout).toContain('GOOD_NAME\n');
    expect(run.stdout).not.toContain('BAD');
  });

  test('completion offers clients after install and shells after completion', async () => {
    expect(await candidates('install', 'curs')).toEqual(['cursor']);
    expect(await candidates('install', '--pr')).toEqual(['--print']);
    expect(await candidates('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  });
});

describe('completion scripts', () => {
  /** Creates a folder with a program `keyhold` that prints candidates for `__complete`. */
  async function createFakeKeyhold(): Promise<string> {
    const bin = path.join(path.dirname(home), 'bin');
    fs.mkdirSync(bin);
    // The candidates are tested above; this tests the arguments that the shell passes.
    const script = `#!/bin/sh\nprintf '%s|' "$@" > "${bin}/called"\nprintf 'linear\\nlinkedin\\n'\n`;
    fs.writeFileSync(path.join(bin, 'keyhold'), script, { mode: 0o755 });
    return bin;
  }

  test.runIf(isInstalled('bash'))(
    'the bash script passes the line to keyhold and completes it with the output',
    async () => {
      const bin = await createFakeKeyhold();
      const file = path.join(bin, 'completion.bash');
      fs.writeFileSync(file, await keyholdOk(home, ['completion', 'bash']));
      const lines = [
        'set -eu',
        `source ${file}`,
        'complete -p keyhold',
        'COMP_WORDS=(keyhold store --name "a b" lin)',
        'COMP_CWORD=4',
        '_keyhold_completion',
        `printf "<%s>" "\${COMPREPLY[@]}"`,
      ];
      const env = { PATH: `${bin}:${process.env.PATH}` };
      const output = execFileSync('bash', ['--norc', '-c', lines.join('\n')], { env, encoding: 'utf8' });
      expect(output).toBe('complete -o default -F _keyhold_completion keyhold\n<linear><linkedin>');
      expect(fs.readFileSync(path.join(bin, 'called'), 'utf8')).toBe('__complete|--|store|--name|a b|lin|');
    },
  );

  test.runIf(isInstalled('zsh'))('the zsh script has valid syntax', async () => {
    const script = await keyholdOk(home, ['completion', 'zsh']);
    expect(spawnSync('zsh', ['-n'], { input: script, encoding: 'utf8' })).toMatchObject({
      status: 0,
      stderr: '',
    });
  });

  test.runIf(isInstalled('fish'))(
    'the fish script passes the line to keyhold and completes it with the output',
    async () => {
      const bin = await createFakeKeyhold();
      const file = path.join(bin, 'keyhold.fish');
      fs.writeFileSync(file, await keyholdOk(home, ['completion', 'fish']));
      const env = { PATH: `${bin}:${process.env.PATH}`, HOME: bin };
      const output = execFileSync('fish', ['-c', `source ${file}; complete -C 'keyhold store lin'`], {
        env,
        encoding: 'utf8',
      });
      expect(output.split('\n')).toEqual(expect.arrayContaining(['linear', 'linkedin']));
      expect(fs.readFileSync(path.join(bin, 'called'), 'utf8')).toBe('__complete|--|store|lin|');
    },
  );

  function isInstalled(shell: string): boolean {
    return spawnSync(shell, ['-c', 'true']).status === 0;
  }
});
