/** The actions of `keyhold approvals`. */
import { isDeepStrictEqual } from 'node:util';
import type { Approval } from '../../../contract/approval.ts';
import { VaultError } from '../../../contract/errors.ts';
import { assertLocal } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { nextCommand } from '../../terminal/next_command.ts';
import { note, print, printJson } from '../../terminal/output.ts';
import { paintFor } from '../../terminal/terminal_text.ts';

interface Options {
  readonly org?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

function assertOnThisMachine(context: CliContext): void {
  assertLocal(context.env, 'approvals', 'Run it on the machine of the vault.');
}

export async function listApprovals(context: CliContext, { org, json }: Options): Promise<void> {
  assertOnThisMachine(context);
  const approvals = await context.withVault('no', (vault) => vault.approvals.list(context.caller(), org));
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
  await print(context, [text, '', `Next: ${nextCommand(['approvals', 'show', 'ID'], { org })}`]);
}

export async function showApproval(context: CliContext, id: string, { org, json }: Options): Promise<void> {
  assertOnThisMachine(context);
  const approval = await context.withVault('no', (vault) => vault.approvals.get(context.caller(), id, org));
  if (json === true) return printJson(context, approval);
  const command = nextCommand(['approvals', 'approve', approval.id], { org });
  const next = approval.state === 'pending' ? ['', `Next: ${command}`] : [];
  await print(context, [...linesOf(approval), ...next]);
}

export async function approve(context: CliContext, id: string, { org, yes, json }: Options): Promise<void> {
  assertOnThisMachine(context);
  let shown: Approval | undefined;
  if (yes !== true) {
    const { isTerminal, promptConfirm } = await import('../../terminal/prompt.ts');
    shown = await context.withVault('no', (vault) => vault.approvals.get(context.caller(), id, org));
    await note(context, linesOf(shown));
    if (!isTerminal(context)) {
      const message =
        'Nothing was approved: not an interactive terminal. Use --yes to approve without a confirmation.';
      throw new VaultError('INVALID_INPUT', message);
    }
    if (!(await promptConfirm('Approve?', context))) return note(context, 'Nothing was approved.');
  }
  const approved = await context.withVault('no', async (vault) => {
    // While the person reads, the definition of the service can get other hosts.
    if (
      shown !== undefined &&
      !isDeepStrictEqual(await vault.approvals.get(context.caller(), id, org), shown)
    )
      throw changedError();
    return vault.approvals.approve(context.caller(), id, org);
  });
  if (json === true) return printJson(context, approved);
  const lines = [`Approved: ${approved.summary}`];
  if (approved.kind === 'request')
    lines.push(`Next: let the caller repeat the same request before ${approved.expires_at}. It works once.`);
  await print(context, lines);
}

export async function deny(context: CliContext, id: string, { org, json }: Options): Promise<void> {
  assertOnThisMachine(context);
  const denied = await context.withVault('no', (vault) => vault.approvals.deny(context.caller(), id, org));
  if (json === true) return printJson(context, denied);
  await print(context, 'Denied.');
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
    `  credential  ${credential_id}${name === null ? '' : ` (${name})`}, stack ${stack_id}, user ${user}`,
    ...(kind === 'request' ? requestLines(approval) : []),
    ...(kind === 'stored_values' ? valueLines(approval) : []),
    ...(kind === 'request' ? [] : originLines(approval)),
  ];
}

function requestLines({ requested_by, reason, headers, body }: Approval): string[] {
  const [header = 'none', ...more] = headers;
  return [
    `  requested   ${requested_by ?? 'unknown'}`,
    `  reason      ${reason ?? 'none was given'}`,
    `  headers     ${header}`,
    ...more.map((line) => `              ${line}`),
    `  body        ${body ?? 'none'}`,
  ];
}

function valueLines({ requested_by, fields }: Approval): string[] {
  return [`  given by    ${requested_by ?? 'unknown'}`, `  fields      ${fields.join(', ')}`];
}

function originLines({ bound_origins, new_origins }: Approval): string[] {
  const origins = (list: readonly string[] | null) =>
    list === null ? 'unknown' : list.length === 0 ? 'none' : list.join(', ');
  return [
    `  bound to    ${bound_origins === null ? 'nothing: a field is missing, or it was stored before credentials were bound' : origins(bound_origins)}`,
    `  would be    ${origins(new_origins)}`,
  ];
}
