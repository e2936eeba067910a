/** The actions of `keyhold approvals`. */
import { isDeepStrictEqual } from 'node:util';
import type { Approval, ApprovalChoiceInput } from '../../../contract/approval.ts';
import { VaultError } from '../../../contract/errors.ts';
import { USE_GRANT_MAX_MS } from '../../../contract/limits.ts';
import { describePolicy, type GrantExtent } from '../../../contract/use/rules.ts';
import type { ConnectionOptions } from '../../connect/server_option.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { nextCommand, type Selectors } from '../../terminal/next_command.ts';
import { note, print, printJson } from '../../terminal/output.ts';
import { paintFor } from '../../terminal/terminal_text.ts';
import type { UsePolicyOptions } from '../../use_policy/options.ts';

interface Options extends ConnectionOptions {
  readonly org?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

interface ApproveOptions extends Options, UsePolicyOptions {
  readonly for: string;
  readonly each: GrantExtent;
}

export async function listApprovals(
  context: CliContext,
  options: Options & { readonly granted?: boolean },
): Promise<void> {
  const { org, json, granted } = options;
  if (granted === true) return listGranted(context, options);
  const { withVault } = await connectVault(context, options);
  const approvals = await withVault('existing', (vault) => vault.listApprovals('pending', org));
  if (json === true) return printJson(context, { approvals });
  if (approvals.length === 0) return print(context, 'Nothing waits for a decision.');
  const [{ table }, { relativeTime }] = await Promise.all([
    import('../../terminal/table.ts'),
    import('../../terminal/relative_time.ts'),
  ]);
  const now = new Date();
  const rows = approvals.map(({ id, kind, user, summary, created_at }) => [
    id,
    kind,
    user,
    relativeTime(created_at, now),
    summary,
  ]);
  const text = await table(['ID', 'KIND', 'USER', 'SINCE', 'WHAT'], rows, paintFor(context));
  await print(context, [text, '', `Next: ${nextCommand(['approvals', 'show', 'ID'], sameVault(options))}`]);
}

async function listGranted(context: CliContext, options: Options): Promise<void> {
  const { org, json } = options;
  const { withVault } = await connectVault(context, options);
  const approvals = await withVault('existing', (vault) => vault.listApprovals('in_force', org));
  if (json === true) return printJson(context, { approvals });
  if (approvals.length === 0) return print(context, 'No approval of a request is in force.');
  const { table } = await import('../../terminal/table.ts');
  const rows = approvals.map((approval) => [
    approval.id,
    approval.user,
    approval.requested_by ?? '',
    extentOf(approval),
    termOf(approval),
    `${approval.grant?.uses ?? 0} of ${approval.grant?.uses_max ?? 1}`,
  ]);
  const text = await table(['ID', 'USER', 'CALLER', 'WHAT', 'VALID', 'USES'], rows, paintFor(context));
  await print(context, [text, '', `Next: ${nextCommand(['approvals', 'revoke', 'ID'], sameVault(options))}`]);
}

export async function showApproval(context: CliContext, id: string, options: Options): Promise<void> {
  const { org, json } = options;
  const { withVault } = await connectVault(context, options);
  const approval = await withVault('existing', (vault) => vault.getApproval(id, org));
  if (json === true) return printJson(context, approval);
  const command = nextCommand(['approvals', 'approve', approval.id], sameVault(options));
  const next = approval.state === 'pending' ? ['', `Next: ${command}`] : [];
  await print(context, [...linesOf(approval), ...next]);
}

export async function approve(context: CliContext, id: string, options: ApproveOptions): Promise<void> {
  const { org, yes, json } = options;
  const { parseUsePolicy } = await import('../../use_policy/parse.ts');
  const use_policy = parseUsePolicy(options, new Date());
  const choice: ApprovalChoiceInput = { ...choiceOf(options), use_policy };
  const { withVault } = await connectVault(context, options);
  let shown: Approval | undefined;
  if (yes !== true) {
    const { isTerminal, promptConfirm } = await import('../../terminal/prompt.ts');
    shown = await withVault('existing', (vault) => vault.getApproval(id, org));
    await note(context, linesOf(shown));
    if (!isTerminal(context)) {
      const message =
        'Nothing was approved: not an interactive terminal. Use --yes to approve without a confirmation.';
      throw new VaultError('INVALID_INPUT', message);
    }
    if (!(await promptConfirm('Approve?', context))) return note(context, 'Nothing was approved.');
  }
  const approved = await withVault('existing', async (vault) => {
    // While the person reads, the definition of the service can get other hosts.
    if (shown !== undefined && !isDeepStrictEqual(await vault.getApproval(id, org), shown))
      throw changedError();
    return vault.approve(id, choice, org);
  });
  if (json === true) return printJson(context, approved);
  const lines = [`Approved: ${approved.summary}`];
  if (approved.kind === 'access_request')
    lines.push(
      `Next: ${nextCommand(['store', approved.service_id], { stack: approved.stack_id, name: approved.name ?? undefined })}`,
    );
  else if (approved.grant !== null)
    lines.push(
      `It covers ${extentOf(approved)}, ${termOf(approved)}. Next: let the caller repeat the request.`,
    );
  else if (approved.kind === 'request')
    lines.push(`Next: let the caller repeat the same request before ${approved.expires_at}. It works once.`);
  await print(context, lines);
}

export async function deny(context: CliContext, id: string, options: Options): Promise<void> {
  const { org, json } = options;
  const { withVault } = await connectVault(context, options);
  const denied = await withVault('existing', (vault) => vault.deny(id, org));
  if (json === true) return printJson(context, denied);
  await print(context, 'Denied.');
}

export async function revoke(context: CliContext, id: string, options: Options): Promise<void> {
  const { org, json } = options;
  const { withVault } = await connectVault(context, options);
  const revoked = await withVault('existing', (vault) => vault.revokeApproval(id, org));
  if (json === true) return printJson(context, revoked);
  await print(context, `Revoked: ${extentOf(revoked)}`);
}

/** The options that select the vault, for the next command. */
function sameVault({ org, url, keyFile }: Options): Selectors {
  return { org, url, keyFile };
}

function choiceOf({ for: term, each }: Pick<ApproveOptions, 'for' | 'each'>): ApprovalChoiceInput {
  if (term === 'once' || term === 'session') return { for: term, each };
  const [, count, unit] = /^(\d{1,3})([mh])$/.exec(term) ?? [];
  const minutes = Number(count) * (unit === 'h' ? 60 : 1);
  if (minutes >= 1 && minutes <= USE_GRANT_MAX_MS / 60_000) return { for: 'duration', each, minutes };
  throw new VaultError('INVALID_INPUT', '--for takes once, session, or a time from 1m to 8h, such as 30m.');
}

/** What an approval covers. */
function extentOf({ summary, endpoint, host, grant }: Approval): string {
  if (grant?.each === 'host') return `every request to ${host} that its policy permits`;
  return grant?.each === 'endpoint' ? `${endpoint} with any query and body` : summary;
}

function termOf({ expires_at, grant }: Approval): string {
  const is_once = grant === null || grant.for === 'once';
  const term = is_once ? 'once, ' : grant.for === 'session' ? 'in this session, ' : '';
  return `${term}until ${expires_at}`;
}

function changedError(): VaultError {
  const message = 'Nothing was approved: it has changed since it was shown. Run the command again to see it.';
  return new VaultError('CONFLICT', message);
}

function linesOf(approval: Approval): string[] {
  const { kind, service_id, name, stack_id, user, credential_id, state, expires_at } = approval;
  return [
    `${kind}: ${approval.summary}`,
    `  state       ${state}${expires_at === null ? '' : `, expires at ${expires_at}`}`,
    `  service     ${service_id}`,
    `  credential  ${credential_id ?? 'none yet'}${name === null ? '' : ` (${name})`}, stack ${stack_id}, user ${user}`,
    ...(kind === 'request' ? requestLines(approval) : []),
    ...(kind === 'stored_values' ? valueLines(approval) : []),
    ...(kind === 'access_request' ? accessLines(approval) : []),
    ...(kind === 'destination' || kind === 'stored_values' ? originLines(approval) : []),
  ];
}

function requestLines(approval: Approval): string[] {
  const { requested_by, reason, headers, body } = approval;
  const [header = 'none', ...more] = headers;
  return [
    `  requested   ${requested_by ?? 'unknown'}`,
    `  reason      ${reason ?? 'none was given'}`,
    `  headers     ${header}`,
    ...more.map((line) => `              ${line}`),
    `  body        ${body ?? 'none'}`,
    ...(approval.grant === null ? [] : [`  granted     ${extentOf(approval)}, ${termOf(approval)}`]),
  ];
}

function valueLines({ requested_by, fields }: Approval): string[] {
  return [`  given by    ${requested_by ?? 'unknown'}`, `  fields      ${fields.join(', ')}`];
}

function accessLines({ requested_by, reason, access }: Approval): string[] {
  return [
    `  requested   ${requested_by ?? 'unknown'}`,
    `  code        ${access?.code ?? ''} (the agent shows it too)`,
    `  URL         ${access?.base_url ?? 'as the service is defined'}`,
    `  fields      ${access?.fields.join(', ') || 'as the service is defined'}`,
    `  reason      ${reason ?? 'none was given'} (the text of the agent)`,
    `  limits      ${describePolicy(access?.use_policy) ?? 'none; set them with --read-only, --methods, --path-prefix or --use-until'}`,
  ];
}

function originLines({ bound_origins, new_origins }: Approval): string[] {
  const origins = (list: readonly string[] | null) =>
    list === null ? 'unknown' : list.length === 0 ? 'none' : list.join(', ');
  return [
    `  bound to    ${bound_origins === null ? 'nothing: a field is missing, or it was stored before credentials were bound' : origins(bound_origins)}`,
    `  would be    ${origins(new_origins)}`,
  ];
}
