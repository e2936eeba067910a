/** The paths of node and Keyhold in an entry, with the folders and links of Homebrew, nvm, fnm, mise, Volta and asdf. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isVersioned, stableProgram } from '../../../src/cli/commands/install/stable_program.ts';

let root: string;
beforeEach(() => {
  root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'keyhold-node-')));
});
afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

const at = (name: string) => path.join(root, name);

function writeFile(name: string): string {
  fs.mkdirSync(path.dirname(at(name)), { recursive: true });
  fs.writeFileSync(at(name), '', { mode: 0o755 });
  return at(name);
}

function link(target: string, name: string): void {
  fs.mkdirSync(path.dirname(at(name)), { recursive: true });
  fs.symlinkSync(target, at(name));
}

/** `on_path`: folders of PATH below the temporary folder. */
function programFor(node: string, on_path: readonly string[], script = '/opt/keyhold/dist/keyhold.js') {
  const search_path = ['relative', '', ...on_path.map(at)].join(path.delimiter);
  const { command, args } = stableProgram({ node, script, started_script: undefined, search_path });
  return { command, script: args[0] };
}

describe('Homebrew', () => {
  test('the entry has the path in bin instead of the folder of the version', () => {
    const node = writeFile('Cellar/node/22.1.0/bin/node');
    link('../Cellar/node/22.1.0', 'opt/node');
    link('../Cellar/node/22.1.0/bin/node', 'bin/node');
    const script = writeFile('lib/node_modules/keyhold/dist/keyhold.js');
    expect(programFor(node, ['bin'], script)).toEqual({ command: at('bin/node'), script });
    expect(programFor(node, [], script)).toEqual({ command: at('bin/node'), script });
  });

  test('the entry has the path in opt for a version that is not linked into bin', () => {
    const node = writeFile('Cellar/node@22/22.1.0/bin/node');
    link('../Cellar/node@22/22.1.0', 'opt/node@22');
    link('../Cellar/node/24.1.0/bin/node', 'bin/node');
    expect(programFor(node, ['bin']).command).toBe(at('opt/node@22/bin/node'));
  });
});

describe('nvm', () => {
  const VERSION = '.nvm/versions/node/v22.1.0';

  test('the entry has the path through the link `current`, for node and for a package of this version', () => {
    const node = writeFile(`${VERSION}/bin/node`);
    const script = writeFile(`${VERSION}/lib/node_modules/keyhold/dist/keyhold.js`);
    link('versions/node/v22.1.0', '.nvm/current');
    expect(programFor(node, [`${VERSION}/bin`], script)).toEqual({
      command: at('.nvm/current/bin/node'),
      script: at('.nvm/current/lib/node_modules/keyhold/dist/keyhold.js'),
    });
  });

  test('the entry keeps the folder of the version if no link leads to it', () => {
    const node = writeFile(`${VERSION}/bin/node`);
    const script = writeFile(`${VERSION}/lib/node_modules/keyhold/dist/keyhold.js`);
    expect(programFor(node, [`${VERSION}/bin`], script)).toEqual({ command: node, script });
    expect(isVersioned(node)).toBe(true);
  });

  test('the entry does not use a link to another version', () => {
    const node = writeFile(`${VERSION}/bin/node`);
    writeFile('.nvm/versions/node/v24.0.0/bin/node');
    link('versions/node/v24.0.0', '.nvm/current');
    expect(programFor(node, []).command).toBe(node);
  });
});

test('with fnm the entry has the path of the alias, not of the folder of one shell', () => {
  const node = writeFile('fnm/node-versions/v22.1.0/installation/bin/node');
  link('../fnm/node-versions/v22.1.0/installation', 'fnm_multishells/12_34');
  expect(programFor(node, ['fnm_multishells/12_34/bin']).command).toBe(node);
  link('../node-versions/v22.1.0/installation', 'fnm/aliases/lts-latest');
  expect(programFor(node, ['fnm_multishells/12_34/bin']).command).toBe(at('fnm/aliases/lts-latest/bin/node'));
  link('../node-versions/v22.1.0/installation', 'fnm/aliases/default');
  expect(programFor(node, ['fnm_multishells/12_34/bin']).command).toBe(at('fnm/aliases/default/bin/node'));
});

test('with mise the entry has the path through the link of the major version', () => {
  const node = writeFile('mise/installs/node/22.1.0/bin/node');
  link('./22.1.0', 'mise/installs/node/22');
  expect(programFor(node, ['mise/installs/node/22.1.0/bin']).command).toBe(
    at('mise/installs/node/22/bin/node'),
  );
});

test('with Volta and asdf the entry keeps the version, since their shims choose one by the working directory', () => {
  const volta = writeFile('.volta/tools/image/node/22.1.0/bin/node');
  link('volta-shim', '.volta/bin/node');
  writeFile('.volta/bin/volta-shim');
  expect(programFor(volta, ['.volta/bin']).command).toBe(volta);
  const asdf = writeFile('.asdf/installs/nodejs/22.1.0/bin/node');
  writeFile('.asdf/shims/node');
  expect(programFor(asdf, ['.asdf/shims']).command).toBe(asdf);
});

test('the entry has a link on PATH, but not one in a project or in a folder of a version', () => {
  const node = writeFile('tools/node-v22.1.0/bin/node');
  for (const folder of ['project/node_modules/.bin', 'other/v22.1.0']) link(node, `${folder}/node`);
  expect(programFor(node, ['project/node_modules/.bin', 'other/v22.1.0']).command).toBe(node);
  link(node, 'local/bin/node');
  expect(programFor(node, ['project/node_modules/.bin', 'local/bin']).command).toBe(at('local/bin/node'));
});

test('the entry keeps a path of node without a version', () => {
  const node = writeFile('usr/bin/node');
  link(node, 'local/bin/node');
  expect(programFor(node, ['local/bin']).command).toBe(node);
});

test('the entry has the path of the script as pnpm starts it, without the version of the package', () => {
  const script = writeFile('pnpm/global/5/.pnpm/keyhold@0.1.0/node_modules/keyhold/dist/keyhold.js');
  link('../.pnpm/keyhold@0.1.0/node_modules/keyhold', 'pnpm/global/5/node_modules/keyhold');
  const started_script = at('pnpm/global/5/node_modules/keyhold/dist/keyhold.js');
  const node = writeFile('usr/bin/node');
  expect(stableProgram({ node, script, started_script, search_path: '' }).args).toEqual([started_script]);
  const other = writeFile('elsewhere/keyhold.js');
  expect(stableProgram({ node, script, started_script: other, search_path: '' }).args).toEqual([script]);
});

test('with fnm the entry does not have the path of the script through the folder of one shell', () => {
  const node = writeFile('usr/bin/node');
  const script = writeFile('fnm/node-versions/v22.1.0/installation/lib/node_modules/keyhold/dist/keyhold.js');
  link('../fnm/node-versions/v22.1.0/installation', 'fnm_multishells/12_34');
  const started_script = at('fnm_multishells/12_34/lib/node_modules/keyhold/dist/keyhold.js');
  expect(stableProgram({ node, script, started_script, search_path: '' }).args).toEqual([script]);
});

test('the entry has the path of the script through a folder whose name only contains that of fnm', () => {
  const node = writeFile('usr/bin/node');
  const script = writeFile('keyhold-1.2.3/keyhold.js');
  link('keyhold-1.2.3', 'my_fnm_multishells_notes');
  const started_script = at('my_fnm_multishells_notes/keyhold.js');
  expect(stableProgram({ node, script, started_script, search_path: '' }).args).toEqual([started_script]);
});
