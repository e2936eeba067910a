/**
 * Keyhold as somebody has installed it: the files of the package and the dependencies that it declares, in the
 * `node_modules` of a folder that has nothing else.
 */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url));

/** Creates the folder of a project that depends on Keyhold and the named packages. It is removed after the test. */
export function projectWithKeyhold(others: readonly string[] = []): string {
  const project = temporaryFolder();
  const modules = join(project, 'node_modules');
  const keyhold = join(modules, 'keyhold');
  mkdirSync(keyhold, { recursive: true });
  for (const part of ['dist', 'package.json'])
    cpSync(join(ROOT, part), join(keyhold, part), { recursive: true });
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  for (const name of [...Object.keys(dependencies), ...others]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  }
  writeFileSync(join(project, 'package.json'), '{"name":"consumer","private":true,"type":"module"}\n');
  return project;
}
