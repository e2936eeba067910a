/**
 * Finds paths of `node` and of Keyhold that still exist after an upgrade. The program knows only the real paths, which with
 * Homebrew, nvm, fnm and mise lead through the folder of one version.
 */
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { basename, delimiter, dirname, isAbsolute, join, relative, sep } from 'node:path';

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
}

export interface RunningProgram {
  /** `process.execPath` */
  readonly node: string;
  /** Real path of the script. */
  readonly script: string;
  /** `process.argv[1]`: the path of the script as it was started, maybe a symbolic link. */
  readonly started_script: string | undefined;
  /** The environment variable PATH. */
  readonly search_path: string;
}

const VERSION_FOLDER = /(?:^|[@-])v?\d+\.\d+\.\d+/;
/** fnm makes such a folder for each shell and removes it. */
const SHELL_FOLDER = 'fnm_multishells';
/** Programs of a project are for that project only. */
const PROJECT_FOLDER = 'node_modules';
const USUAL_FOLDERS = ['/opt/homebrew/bin', '/usr/local/bin', '/usr/bin'];

/** Whether the path leads through the folder of one version. */
export function isVersioned(path: string): boolean {
  return path.split(/[\\/]/).some((name) => VERSION_FOLDER.test(name));
}

/** The command that starts the same program. Every returned path leads to the same file as the given one. */
export function stableProgram({ node, script, started_script, search_path }: RunningProgram): Program {
  const stable_node = isVersioned(node) ? (stableNode(node, search_path) ?? node) : node;
  return { command: stable_node, args: [stableScript(script, started_script, node, stable_node)] };
}

function stableNode(node: string, search_path: string): string | undefined {
  const on_path = search_path.split(delimiter).filter(isAbsolute);
  const candidates = [
    ...on_path.map((folder) => join(folder, basename(node))),
    ...linkedVersions(node),
    ...USUAL_FOLDERS.map((folder) => join(folder, basename(node))),
  ];
  return candidates.find((path) => isStable(path) && leadsTo(path, node));
}

/** Paths with a link instead of the folder of the version. */
function linkedVersions(node: string): string[] {
  const version = versionFolder(node);
  if (version === undefined) return [];
  const rest = relative(version, node);
  const parent = dirname(version);
  return [
    // Homebrew: PREFIX/Cellar/FORMULA/VERSION, linked from PREFIX/bin and PREFIX/opt/FORMULA.
    join(parent, '..', '..', rest),
    join(parent, '..', '..', 'opt', basename(parent), rest),
    // nvm: ROOT/versions/node/VERSION, linked from ROOT/current if NVM_SYMLINK_CURRENT is set.
    join(parent, '..', '..', 'current', rest),
    // fnm: ROOT/node-versions/VERSION/installation, linked from ROOT/aliases/NAME.
    ...['default', ...folderNames(join(parent, '..', 'aliases'))].map((name) =>
      join(parent, '..', 'aliases', name, relative('installation', rest)),
    ),
    // mise: ROOT/node/VERSION, linked from ROOT/node/latest and others.
    ...folderNames(parent).map((name) => join(parent, name, rest)),
  ];
}

/** The folder of the version in the path. */
function versionFolder(path: string): string | undefined {
  const parent = dirname(path);
  if (parent === path) return undefined;
  return VERSION_FOLDER.test(basename(path)) ? path : versionFolder(parent);
}

function folderNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** The script beside a stable `node`, or as it was started, such as from pnpm's folder without a version. */
function stableScript(
  script: string,
  started_script: string | undefined,
  node: string,
  stable_node: string,
): string {
  if (!isVersioned(script)) return script;
  const rest = relative(dirname(dirname(node)), script);
  const sibling = join(dirname(dirname(stable_node)), rest);
  const candidates = rest.startsWith('..') ? [] : [sibling];
  // A package of pnpm is in a folder `node_modules` too.
  if (started_script !== undefined && !hasFolder(started_script, SHELL_FOLDER))
    candidates.push(started_script);
  return candidates.find((path) => isAbsolute(path) && !isVersioned(path) && leadsTo(path, script)) ?? script;
}

function isStable(path: string): boolean {
  return !isVersioned(path) && !hasFolder(path, SHELL_FOLDER) && !hasFolder(path, PROJECT_FOLDER);
}

function hasFolder(path: string, name: string): boolean {
  return path.split(sep).includes(name);
}

function leadsTo(path: string, target: string): boolean {
  try {
    return existsSync(path) && realpathSync(path) === realpathSync(target);
  } catch {
    return false;
  }
}
