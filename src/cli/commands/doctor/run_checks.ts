/** Runs the checks of the doctor in the order of their dependencies and prints the findings. */
import { ERROR_TABLE } from '../../../contract/errors.ts';
import { parseEgressSettings, parseForwardProxy } from '../../../settings/egress.ts';
import { parseHttpSettings } from '../../../settings/http.ts';
import { parseOAuthSettings } from '../../../settings/oauth.ts';
import type { ConnectionOptions } from '../../connect/server_option.ts';
import { serverOption } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { Exit } from '../../errors/exit.ts';
import { print, printJson } from '../../terminal/output.ts';
import { line, type Part, paintFor, type Style } from '../../terminal/terminal_text.ts';
import { checkFailed, type Finding, ok } from './finding.ts';
import { checkProcesses } from './processes.ts';
import { checkRootKey } from './root_key.ts';
import { checkCoreDumps, checkDisk, checkDriver, checkFileModes, checkNode } from './system.ts';
import { checkServices, checkVault } from './vault.ts';

const STYLES: Readonly<Record<Finding['state'], Style>> = { ok: 'green', warn: 'yellow', fail: 'red' };

interface Result {
  /** The subject of the checks: a property of the JSON output and the first line of the text. */
  readonly subject: { readonly home: string | null } | { readonly url: string | null };
  readonly findings: readonly Finding[];
}

/** Throws `Exit` with the code of the first check that failed. */
export async function runChecks(
  context: CliContext,
  { json, ...access }: ConnectionOptions & { readonly json?: boolean },
): Promise<void> {
  const { subject, findings } = await checkAll(context, access);
  const failed = findings.find(({ state }) => state === 'fail');
  if (json === true) await printJson(context, { ok: failed === undefined, ...subject, checks: findings });
  else await print(context, renderFindings(context, subject, findings));
  if (failed?.code !== undefined) throw new Exit(ERROR_TABLE[failed.code].exit_code);
}

async function checkAll(context: CliContext, { url, keyFile }: ConnectionOptions): Promise<Result> {
  const node = checkNode(process.versions.node, new Date());
  try {
    const server = serverOption(context.env, url, keyFile);
    if (server === undefined)
      return { subject: { home: homeOf(context) }, findings: [node, ...(await checkLocal(context))] };
    const { checkServer } = await import('./server.ts');
    return { subject: { url: server.url.href }, findings: [node, ...(await checkServer(context, server))] };
  } catch (error) {
    return { subject: { url: null }, findings: [node, await checkFailed(context, 'server', error)] };
  }
}

function homeOf(context: CliContext): string | null {
  try {
    return context.settings().home;
  } catch {
    return null;
  }
}

async function checkLocal(context: CliContext): Promise<Finding[]> {
  try {
    parseHttpSettings(context.env, context.settings().home);
    parseOAuthSettings(context.env);
    parseEgressSettings(context.env, context.settings().home);
  } catch (error) {
    return [await checkFailed(context, 'settings', error)];
  }
  const findings = [ok('settings', 'Every setting is valid.')];
  const { home, store } = context.settings();
  findings.push(await catchError(context, 'egress', () => checkEgress(context)));
  findings.push(await catchError(context, 'files', () => checkFileModes(context.settings())));
  findings.push(await catchError(context, 'root_key', () => checkRootKey(context)));
  findings.push(await catchError(context, 'driver', () => checkDriver(store)), checkCoreDumps());
  findings.push(await catchError(context, 'disk', () => checkDisk(home)));
  // Before this process opens the vault, so that it is not listed.
  if (store.kind === 'sqlite')
    findings.push(await catchError(context, 'processes', () => checkProcesses(store.path)));
  let is_reachable = true;
  if (store.kind === 'postgres') {
    const { checkDatabase } = await import('./database.ts');
    const found = await checkDatabase(context, store);
    findings.push(...found);
    is_reachable = found.every(({ check, state }) => check !== 'connection' || state !== 'fail');
  }
  const services = await checkServices(context);
  if (!is_reachable) return [...findings, services];
  try {
    return [...findings, services, ...(await checkVault(context, services.state === 'ok'))];
  } catch (error) {
    return [...findings, services, await checkFailed(context, 'vault', error)];
  }
}

/** Hosts of the operator's network are not shown: people paste this output into reports. */
function checkEgress({ env, settings }: CliContext): Finding {
  const { ca } = parseEgressSettings(env, settings().home);
  const is_open = (env.KEYHOLD_EGRESS_ALLOW ?? '').trim() !== '';
  const facts = [`Requests may go to public addresses${is_open ? ' and to KEYHOLD_EGRESS_ALLOW' : ' only'}`];
  if (parseForwardProxy(env) !== undefined) facts.push('https goes through HTTPS_PROXY');
  if (ca !== undefined) facts.push(`certificates trusted by KEYHOLD_EGRESS_CA: ${ca.length}`);
  return ok('egress', `${facts.join('; ')}.`);
}

/** Converts an error of one check into its finding, so that the other checks still run. */
async function catchError(
  context: CliContext,
  check: Finding['check'],
  act: () => Finding | Promise<Finding>,
): Promise<Finding> {
  try {
    return await act();
  } catch (error) {
    return checkFailed(context, check, error);
  }
}

function renderFindings(
  context: CliContext,
  subject: Result['subject'],
  findings: readonly Finding[],
): Part[] {
  const paint = paintFor(context);
  const lines = findings.flatMap(({ check, state, message, remedy }) => [
    line`${paint(STYLES[state], state.padEnd(4))}  ${check.padEnd(9)}  ${message}`,
    ...(remedy === null ? [] : [`${' '.repeat(17)}${remedy}`]),
  ]);
  const [[key = '', value] = []] = Object.entries(subject);
  const heading = key === 'url' ? 'Server' : 'Home';
  return [`${heading}: ${value ?? 'unknown'}`, '', ...lines];
}
