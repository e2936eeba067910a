/** Runs the doctor's checks in the order in which one depends on another, and shows what they found. */
import { ERROR_TABLE } from '../../../contract/errors.ts';
import { serverNamed } from '../../connect/server_option.ts';
import type { AccessOptions } from '../../connect/vault_connection.ts';
import type { CliApp } from '../../context.ts';
import { Exit } from '../../errors/exit.ts';
import { paintFor, print, printJson, type Style } from '../../terminal/output.ts';
import { printable } from '../../terminal/table.ts';
import { checkAdminKey } from './bootstrap_key.ts';
import { checkFileModes } from './file_modes.ts';
import { type Finding, failedWith, ok } from './finding.ts';
import { checkProcesses } from './processes.ts';
import { checkRootKey } from './root_key.ts';
import { checkDisk, checkNode } from './system.ts';
import { checkServices, checkVault } from './vault.ts';

const STYLES: Readonly<Record<Finding['state'], Style>> = { ok: 'green', warn: 'yellow', fail: 'red' };

interface Examined {
  /** What was looked at, as a property of the JSON and as a line for people. */
  readonly subject: { readonly home: string | null } | { readonly url: string | null };
  readonly findings: readonly Finding[];
}

/** Throws `Exit` with the code of the first check that failed. */
export async function examine(
  app: CliApp,
  { json, ...access }: AccessOptions & { readonly json?: boolean },
): Promise<void> {
  const { subject, findings } = await look(app, access);
  const failed = findings.find(({ state }) => state === 'fail');
  if (json === true) await printJson(app, { ok: failed === undefined, ...subject, checks: findings });
  else await print(app, draw(app, subject, findings));
  if (failed?.code !== undefined) throw new Exit(ERROR_TABLE[failed.code].exit_code);
}

async function look(app: CliApp, { url, keyFile }: AccessOptions): Promise<Examined> {
  const node = checkNode(process.versions.node, new Date());
  try {
    const server = serverNamed(app.env, url, keyFile);
    if (server === undefined)
      return { subject: { home: homeOf(app) }, findings: [node, ...(await findAll(app))] };
    const { checkServer } = await import('./server.ts');
    return { subject: { url: server.url.href }, findings: [node, ...(await checkServer(app, server))] };
  } catch (error) {
    return { subject: { url: null }, findings: [node, await failedWith(app, 'server', error)] };
  }
}

function homeOf(app: CliApp): string | null {
  try {
    return app.settings().home;
  } catch {
    return null;
  }
}

async function findAll(app: CliApp): Promise<Finding[]> {
  try {
    app.settings();
  } catch (error) {
    return [await failedWith(app, 'settings', error)];
  }
  const findings = [ok('settings', 'Every setting is right.')];
  const { home, store_path } = app.settings();
  findings.push(await guarded(app, 'files', () => checkFileModes(app.settings())));
  findings.push(await guarded(app, 'root_key', () => checkRootKey(app)));
  findings.push(...(await checkAdminKey(app, home)));
  findings.push(await guarded(app, 'disk', () => checkDisk(home)));
  // Before the vault is opened here, so that this process is not among them.
  findings.push(await guarded(app, 'processes', () => checkProcesses(store_path)));
  const services = await checkServices(app);
  try {
    return [...findings, services, ...(await checkVault(app, services.state === 'ok'))];
  } catch (error) {
    return [...findings, services, await failedWith(app, 'vault', error)];
  }
}

/** What stops one check is a finding of that check, and the others go on. */
async function guarded(
  app: CliApp,
  check: Finding['check'],
  act: () => Finding | Promise<Finding>,
): Promise<Finding> {
  try {
    return await act();
  } catch (error) {
    return failedWith(app, check, error);
  }
}

function draw(app: CliApp, subject: Examined['subject'], findings: readonly Finding[]): string {
  const paint = paintFor(app);
  const lines = findings.flatMap(({ check, state, message, remedy }) => [
    `${paint(STYLES[state], state.padEnd(4))}  ${check.padEnd(9)}  ${printable(message)}`,
    ...(remedy === null ? [] : [`${' '.repeat(17)}${printable(remedy)}`]),
  ]);
  const [[word = '', place] = []] = Object.entries(subject);
  const what = word === 'url' ? 'Server' : 'Home';
  return [`${what}: ${printable(place ?? 'unknown')}`, '', ...lines].join('\n');
}
