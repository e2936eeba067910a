/** The environment of a child process, and the private files that its variables name. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Secret } from '../../../src/contract/secret.ts';
import { ServiceDefinition } from '../../../src/contract/service/service.ts';
import { inheritedEnvironment, variableTexts } from '../../../src/use/run/environment.ts';
import { PrivateFiles } from '../../../src/use/run/private_files.ts';
import { planVariables, type Source } from '../../../src/use/run/variables.ts';
import { removeFolder } from '../../kit/remove_folder.ts';
import { ACME } from '../../kit/vault/custom_service.ts';

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'keyhold-environment-'));
  onTestFinished(() => removeFolder(folder));
  return folder;
}

function texts(field: object, value: string, files = new PrivateFiles({})) {
  onTestFinished(() => files.remove());
  const service = ServiceDefinition.parse({ ...ACME, fields: [{ ...ACME.fields[0], ...field }] });
  const source: Source = { service: { ...service, id: '0' }, name: null, fields: ['acme_key'] };
  const values = new Map([['acme_key', new Secret(value)]]);
  return variableTexts(planVariables([source]), () => values, files);
}

describe('inheritedEnvironment', () => {
  test('leaves out settings of Keyhold, its keys, and variables that are set for the child', () => {
    const parent = { PATH: '/bin', KEYHOLD_HOME: 'x', KEYHOLD_PASSPHRASE: 'x', MY_KEY: 'x', TOKEN: 'old' };
    expect(inheritedEnvironment(parent, ['MY_KEY'], [{ name: 'TOKEN' }])).toEqual({ PATH: '/bin' });
  });
});

describe('variableTexts', () => {
  test('refuses an empty value of a required field, and leaves out that of an optional one', () => {
    expect(() => texts({ env: ['A'] }, '')).toThrow(/^The value of the required field acme_key of acme is/);
    expect(texts({ env: ['A'], required: false }, '')).toEqual({});
  });

  test('refuses a value with a NUL character without repeating it', () => {
    expect(() => texts({ env: ['A'] }, 'top\0secret')).toThrow(/^(?!.*secret).*NUL character/);
  });

  test('sets every name of a field', () => {
    expect(texts({ env: ['A', 'B'] }, 'value')).toEqual({ A: 'value', B: 'value' });
  });
});

describe('private files', () => {
  test('are readable by their user only, in a folder of this user, until they are removed', () => {
    const runtime = newFolder();
    const files = new PrivateFiles({ XDG_RUNTIME_DIR: runtime });
    const { KEY_FILE = '' } = texts({ env_file: ['KEY_FILE'] }, 'line 1\nline 2\n', files);
    expect(readFileSync(KEY_FILE, 'utf8')).toBe('line 1\nline 2\n');
    expect(dirname(dirname(KEY_FILE))).toBe(runtime);
    expect(statSync(KEY_FILE).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(KEY_FILE)).mode & 0o777).toBe(0o700);
    files.remove();
    expect(existsSync(dirname(KEY_FILE))).toBe(false);
  });

  test('are in the folder for temporary files if XDG_RUNTIME_DIR is not usable', () => {
    for (const XDG_RUNTIME_DIR of ['/nonexistent', 'relative', '/etc/passwd']) {
      const { KEY_FILE = '' } = texts({ env_file: ['KEY_FILE'] }, 'x', new PrivateFiles({ XDG_RUNTIME_DIR }));
      expect(dirname(dirname(KEY_FILE))).toBe(tmpdir());
    }
  });

  test('of a process that was killed are removed by the next run, those of a running one stay', () => {
    const runtime = newFolder();
    const abandoned = join(runtime, 'keyhold-run-999999999-abc');
    const used = join(runtime, `keyhold-run-${process.ppid}-abc`);
    for (const folder of [abandoned, used]) mkdirSync(folder);
    texts({ env_file: ['KEY_FILE'] }, 'x', new PrivateFiles({ XDG_RUNTIME_DIR: runtime }));
    expect(existsSync(abandoned)).toBe(false);
    expect(existsSync(used)).toBe(true);
  });

  test('that cannot be written are an error without the value', () => {
    const runtime = newFolder();
    const files = new PrivateFiles({ XDG_RUNTIME_DIR: runtime });
    mkdirSync(join(files.folder(), 'KEY_FILE'));
    expect(() => texts({ env_file: ['KEY_FILE'] }, 'topsecret', files)).toThrow(
      /^A private file for the command could not be written/,
    );
  });
});
