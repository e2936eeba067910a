/** `keyhold audit list`: validates the filter strictly, so that a typo does not look like an empty log. */
import { AUDIT_ACTIONS, type AuditEntry, type AuditedUse } from '../../../contract/audit.ts';
import { VaultError } from '../../../contract/errors.ts';
import { LIST_PAGE_MAX } from '../../../contract/limits.ts';
import type { ServiceCatalogue } from '../../../services/catalogue.ts';
import type { ConnectionOptions } from '../../connect/server_option.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { print, printJson } from '../../terminal/output.ts';
import { parseTime } from '../../terminal/relative_time.ts';
import { table } from '../../terminal/table.ts';
import { type Paint, paintFor, type TerminalText } from '../../terminal/terminal_text.ts';

export interface AuditListOptions extends ConnectionOptions {
  readonly limit: string;
  readonly before?: string;
  readonly action?: string;
  readonly service?: string;
  readonly credential?: string;
  readonly record?: string;
  readonly user?: string;
  readonly outcome?: string;
  readonly since?: string;
  readonly until?: string;
  readonly org?: string;
  readonly json?: boolean;
}

/** Prints one page; with `--json` `{entries, next}`, where `next` is what `--before` takes. */
export async function listAudit(context: CliContext, options: AuditListOptions): Promise<void> {
  const limit = wholeNumber('--limit', options.limit, LIST_PAGE_MAX);
  const before =
    options.before === undefined
      ? undefined
      : wholeNumber('--before', options.before, Number.MAX_SAFE_INTEGER);
  const now = new Date();
  const filter = {
    action: oneOf('--action', options.action, AUDIT_ACTIONS),
    outcome: oneOf('--outcome', options.outcome, ['allowed', 'denied']),
    user: options.user,
    credential_id: options.credential,
    record_id: options.record,
    since: timeOf('--since', options.since, now),
    until: timeOf('--until', options.until, now),
    organization: options.org,
  };
  const connection = await connectVault(context, options);
  const service_id = options.service && slugOf(await connection.services(), options.service);
  const page = await connection.withVault('existing', (vault) =>
    vault.listAudit({ ...filter, service_id }, limit, before),
  );
  if (options.json === true) return printJson(context, page);
  if (page.entries.length === 0) return print(context, 'No entries match.');
  const text = await draw(page.entries, paintFor(context));
  await print(context, page.next === null ? text : [text, `More: add --before ${page.next}`]);
}

async function draw(entries: readonly AuditEntry[], paint: Paint): Promise<TerminalText> {
  const rows = entries.map((entry) => [
    String(entry.position),
    entry.at,
    `${entry.user} (${interfaceOf(entry)})`,
    entry.action,
    entry.service_id ?? '',
    entry.name ?? '',
    entry.stack_id ?? '',
    entry.use ? describeUse(entry.use) : entry.fields.join(', '),
    entry.outcome === 'allowed'
      ? entry.outcome
      : paint('red', `${entry.outcome}: ${entry.reason ?? ''}${times(entry)}`),
  ]);
  return table(
    ['#', 'AT', 'WHO', 'ACTION', 'SERVICE', 'NAME', 'STACK', 'FIELDS OR USE', 'OUTCOME'],
    rows,
    paint,
  );
}

/** Such as `GET https://api.github.com/user (status 200)` or `test redis://cache.example.com:6379`. */
function describeUse({ kind, method, origin, path, status }: AuditedUse): string {
  const target = [method, `${origin ?? ''}${path ?? ''}`].filter(Boolean).join(' ');
  const use =
    kind === 'environment' ? 'child process' : `${kind === 'test' ? 'test ' : ''}${target}`.trimEnd();
  return status === null ? use : `${use} (status ${status})`;
}

function times({ count }: AuditEntry): string {
  return count === null || count === 1 ? '' : ` (${count} times)`;
}

/** Any program can claim to be any client. */
function interfaceOf({ edge, claimed_client }: AuditEntry): string {
  return claimed_client === null ? edge : `${edge}, client claims ${claimed_client}`;
}

/** Entries of a service remain after its definition was deleted. */
function slugOf(services: ServiceCatalogue, typed: string): string {
  return services.find(typed)?.slug ?? typed;
}

function wholeNumber(option: string, text: string, max: number): number {
  const number = /^[0-9]{1,16}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= max) return number;
  throw new VaultError('INVALID_INPUT', `${option} takes a whole number from 1 to ${max}.`);
}

function oneOf(option: string, text: string | undefined, words: readonly string[]): string | undefined {
  if (text === undefined || words.includes(text)) return text;
  throw new VaultError('INVALID_INPUT', `${option} takes one of: ${words.join(', ')}.`);
}

function timeOf(option: string, text: string | undefined, now: Date): string | undefined {
  const time = text === undefined ? undefined : parseTime(text, now);
  if (text === undefined || time !== undefined) return time;
  throw new VaultError(
    'INVALID_INPUT',
    `${option} takes a date or time such as 2026-01-31 or 2026-01-31T08:00Z, or a span such as 30d.`,
  );
}
