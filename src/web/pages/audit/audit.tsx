/** The audit log: entries with filters, uses per day, and verification. Needs the scope `audit:read`. */
import type { FC } from 'hono/jsx';
import type { AuditEntry, AuditPage, AuditReport, UseCounts } from '../../../contract/audit.ts';
import { VaultError } from '../../../contract/errors.ts';
import { AUDIT_ENTRIES_READ_MAX } from '../../../contract/limits.ts';
import { HttpError } from '../../../http/error_response.ts';
import type { ServiceCatalogue } from '../../../services/catalogue.ts';
import {
  Button,
  ButtonLink,
  Card,
  Code,
  EmptyState,
  PageHeading,
  PostForm,
} from '../../layout/components.tsx';
import { definePage, type PageContext, type PageParts } from '../../page.ts';
import { redirectTo, showPage } from '../../respond.tsx';
import type { NameOf } from './actions.tsx';
import { UseChart } from './chart.tsx';
import { Entry } from './entry.tsx';
import {
  AUDIT_PATH,
  Filters,
  hrefOf,
  isEmptyFilter,
  isOnlyByService,
  type RequestedPage,
  readQuery,
  serviceIdOf,
  toAuditFilter,
} from './filters.tsx';

const ENTRIES_PER_PAGE = 50;
const CHART_DAYS = 30;
const FINDINGS_SHOWN_MAX = 100;
const TITLE = 'Audit log';
const OPTIONS = { title: TITLE, section: 'audit' } as const;

export const auditPages = definePage({
  register(app, { vault }) {
    app.get(AUDIT_PATH, (c) =>
      explainForbidden(c, async () => {
        const requested = readQuery(c.req.query());
        const page = await readEntries(c, vault, requested);
        const has_chart = requested.before === undefined && isOnlyByService(requested.filter);
        const chart = has_chart ? await readCounts(c, vault, requested.filter.service) : undefined;
        const { services } = vault;
        return showPage(
          c,
          OPTIONS,
          <Log {...requested} page={page} chart={chart} services={services} csrf={c.var.csrf} />,
        );
      }),
    );

    app.post(`${AUDIT_PATH}/verify`, (c) =>
      explainForbidden(c, async () => {
        const { caller } = c.var;
        const report = await c.env.mount.runAuditRead(caller, () => vault.verifyAudit(caller));
        if (report.ok)
          return redirectTo(c, AUDIT_PATH, {
            kind: 'success',
            text: `The audit log is intact: ${countOf(report)} were compared.`,
          });
        return showPage(c, OPTIONS, <Findings report={report} />);
      }),
    );
  },
});

/** A search reads many entries, a page without filter only its own. */
function readEntries(
  c: PageContext,
  vault: PageParts['vault'],
  { filter, before }: RequestedPage,
): Promise<AuditPage> {
  const { caller } = c.var;
  const list = () => vault.listAudit(caller, toAuditFilter(filter, vault.services), ENTRIES_PER_PAGE, before);
  return isEmptyFilter(filter) ? list() : c.env.mount.runAuditRead(caller, list);
}

/** `too_many` past the limit of reads of the log: the page then has no chart. */
async function readCounts(
  c: PageContext,
  vault: PageParts['vault'],
  service: string,
): Promise<UseCounts | 'too_many'> {
  const { caller } = c.var;
  const service_id = service === '' ? undefined : serviceIdOf(service, vault.services);
  try {
    return await c.env.mount.runAuditRead(caller, () =>
      vault.audit.countUses(caller, CHART_DAYS, service_id),
    );
  } catch (error) {
    if (error instanceof HttpError && error.http_status === 429) return 'too_many';
    throw error;
  }
}

/** Shows a page that names the missing scope instead of an error. */
async function explainForbidden(c: PageContext, show: () => Promise<Response>): Promise<Response> {
  try {
    return await show();
  } catch (error) {
    if (!(error instanceof VaultError && error.code === 'FORBIDDEN')) throw error;
    return showPage(c, { ...OPTIONS, status: 403 }, <Forbidden message={error.message} />);
  }
}

interface LogProps extends RequestedPage {
  readonly page: AuditPage;
  readonly chart: UseCounts | 'too_many' | undefined;
  readonly services: ServiceCatalogue;
  readonly csrf: string;
}

const Log: FC<LogProps> = ({ filter, before, page: { entries, next }, chart, services, csrf }) => {
  const nameOf = (service_id: string) => services.find(service_id)?.name ?? service_id;
  return (
    <>
      <PageHeading
        title={TITLE}
        text="Every change and use of a credential, and every refusal. Entries depend on each other, so that a changed or deleted one is found."
      >
        <PostForm action={`${AUDIT_PATH}/verify`} csrf={csrf} class="inline">
          <Button kind="secondary">Verify the log</Button>
        </PostForm>
      </PageHeading>
      {chart === 'too_many' && (
        <p class="message message-notice">
          The chart is left out, because the log was read too often. Open the page again in a minute.
        </p>
      )}
      {chart !== undefined && chart !== 'too_many' && (
        <UseChart
          counts={chart}
          service={filter.service === '' ? undefined : nameOf(serviceIdOf(filter.service, services))}
        />
      )}
      <Filters filter={filter} services={services} />
      {entries.length === 0 ? (
        <NoEntries is_end={next === null} />
      ) : (
        daysOf(entries).map(([day, of_day]) => <Day day={day} entries={of_day} nameOf={nameOf} />)
      )}
      <Paging filter={filter} before={before} next={next} is_short={entries.length < ENTRIES_PER_PAGE} />
    </>
  );
};

const Day: FC<{ readonly day: string; readonly entries: readonly AuditEntry[]; readonly nameOf: NameOf }> = ({
  day,
  entries,
  nameOf,
}) => (
  <section class="group">
    <h2>{DAY_FORMAT.format(new Date(day))}</h2>
    <ul class="rows">
      {entries.map((entry) => (
        <Entry entry={entry} nameOf={nameOf} />
      ))}
    </ul>
  </section>
);

const DAY_FORMAT = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeZone: 'UTC' });

/** Entries by their day in UTC. */
function daysOf(entries: readonly AuditEntry[]): (readonly [day: string, entries: AuditEntry[]])[] {
  const days: (readonly [string, AuditEntry[]])[] = [];
  for (const entry of entries) {
    const day = entry.at.slice(0, 10);
    const last = days.at(-1);
    if (last?.[0] === day) last[1].push(entry);
    else days.push([day, [entry]]);
  }
  return days;
}

const NoEntries: FC<{ readonly is_end: boolean }> = ({ is_end }) => (
  <EmptyState title={is_end ? 'No entry matches' : 'No entry found yet'}>
    <p>
      {is_end
        ? 'Choose other filters. Entries are never deleted, so that an empty list means that it did not happen.'
        : `None of the ${AUDIT_ENTRIES_READ_MAX} entries that were searched matches. Older ones may.`}
    </p>
  </EmptyState>
);

const Paging: FC<RequestedPage & { readonly next: number | null; readonly is_short: boolean }> = ({
  filter,
  before,
  next,
  is_short,
}) =>
  before === undefined && next === null ? null : (
    <nav class="paging" aria-label="Pages of the log">
      {before !== undefined && <ButtonLink href={hrefOf(filter)}>Newest</ButtonLink>}
      {next !== null && (
        <ButtonLink href={hrefOf(filter, next)}>{is_short ? 'Search older entries' : 'Older'}</ButtonLink>
      )}
    </nav>
  );

const Findings: FC<{ readonly report: AuditReport }> = ({ report }) => (
  <>
    <PageHeading title="Verification of the log" back={{ href: AUDIT_PATH, label: TITLE }} />
    <p class="message message-error" role="alert">
      The audit log or the vault was changed without Keyhold, or is damaged ({countOf(report)}).
    </p>
    <Card title={`Findings: ${report.findings.length}`}>
      <ul class="findings">
        {report.findings.slice(0, FINDINGS_SHOWN_MAX).map(({ message, credential_id }) => (
          <li>
            {message}
            {credential_id !== null && (
              <span class="muted">
                {' '}
                Credential <code>{credential_id}</code>
              </span>
            )}
          </li>
        ))}
        {report.findings.length > FINDINGS_SHOWN_MAX && (
          <li class="muted">
            And further ones: <Code text="keyhold audit verify" /> prints all.
          </li>
        )}
      </ul>
    </Card>
    <p class="muted">
      Restore the vault from a backup that you trust, and find out who could write to its file.
    </p>
  </>
);

function countOf({ entries, credentials }: AuditReport): string {
  const plural = (count: number, one: string, more: string) => `${count} ${count === 1 ? one : more}`;
  return `${plural(entries, 'entry', 'entries')} and ${plural(credentials, 'credential', 'credentials')}`;
}

const Forbidden: FC<{ readonly message: string }> = ({ message }) => (
  <>
    <PageHeading title={TITLE} />
    <EmptyState title="You cannot read the audit log">
      <p>{message}</p>
      <p>
        It takes an API key with the scope <code>audit:read</code> that is not limited to a stack, services or
        tools. An administrator makes one with <Code text="keyhold keys create --scopes audit:read" />
      </p>
    </EmptyState>
  </>
);
