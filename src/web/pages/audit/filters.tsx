/** The filters of the audit log, which are in the query of the page: action, service, outcome and dates. Never a user. */
import type { FC, PropsWithChildren } from 'hono/jsx';
import * as z from 'zod';
import { AUDIT_ACTIONS, type AuditAction, type AuditFilter } from '../../../contract/audit.ts';
import { VaultError } from '../../../contract/errors.ts';
import { ID_MAX_CHARACTERS } from '../../../contract/limits.ts';
import type { ServiceCatalogue } from '../../../services/catalogue.ts';
import { ACTION_GROUPS, ACTION_TEXTS } from './actions.tsx';

export const AUDIT_PATH = '/dashboard/audit';

/** As in the query; empty texts for filters that are not set. */
export interface ShownFilter {
  readonly action: '' | AuditAction;
  readonly service: string;
  readonly outcome: '' | 'allowed' | 'denied';
  readonly from: string;
  readonly to: string;
}

const NO_FILTER: ShownFilter = { action: '', service: '', outcome: '', from: '', to: '' };

const Day = z.union([z.literal(''), z.iso.date()]);
const Query = z.object({
  action: z.enum(['', ...AUDIT_ACTIONS]).default(''),
  service: z.string().trim().max(ID_MAX_CHARACTERS).default(''),
  outcome: z.enum(['', 'allowed', 'denied']).default(''),
  from: Day.default(''),
  to: Day.default(''),
  /** The page begins below this position. */
  before: z
    .string()
    .regex(/^[1-9][0-9]{0,14}$/)
    .transform(Number)
    .optional(),
});

export interface RequestedPage {
  readonly filter: ShownFilter;
  readonly before: number | undefined;
}

/** Throws INVALID_INPUT for a query that the page does not make. */
export function readQuery(query: Readonly<Record<string, string>>): RequestedPage {
  const parsed = Query.safeParse(query);
  if (!parsed.success)
    throw new VaultError('INVALID_INPUT', 'A filter in the address is not valid. Choose the filters again.');
  const { before, ...filter } = parsed.data;
  return { filter, before };
}

/** The filter as the vault takes it. The dates are days in UTC; the last one is included. */
export function toAuditFilter(
  { action, service, outcome, from, to }: ShownFilter,
  services: ServiceCatalogue,
): AuditFilter {
  return {
    action: action || undefined,
    service_id: service === '' ? undefined : serviceIdOf(service, services),
    outcome: outcome || undefined,
    since: from || undefined,
    until: to === '' ? undefined : dayAfter(to),
  };
}

/** A service is also found by its name. A service that is no longer defined has only its id. */
export function serviceIdOf(typed: string, services: ServiceCatalogue): string {
  const found = services.find(typed);
  if (found !== undefined) return found.slug;
  const name = typed.toLowerCase();
  return services.list().find((service) => service.name.toLowerCase() === name)?.slug ?? name;
}

function dayAfter(date: string): string {
  const day = new Date(date);
  day.setUTCDate(day.getUTCDate() + 1);
  return day.toISOString();
}

/** Whether only the service is filtered by, or nothing. */
export function isOnlyByService(filter: ShownFilter): boolean {
  return isEmptyFilter({ ...filter, service: '' });
}

export function isEmptyFilter(filter: ShownFilter): boolean {
  return Object.values(filter).every((value) => value === '');
}

/** The address of the page with this filter. */
export function hrefOf(filter: Partial<ShownFilter>, before?: number): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...NO_FILTER, ...filter }))
    if (value !== '') query.set(name, value);
  if (before !== undefined) query.set('before', String(before));
  return query.size === 0 ? AUDIT_PATH : `${AUDIT_PATH}?${query}`;
}

export const Filters: FC<{ readonly filter: ShownFilter; readonly services: ServiceCatalogue }> = ({
  filter,
  services,
}) => (
  <search>
    <form class="filters" method="get" action={AUDIT_PATH}>
      <FilterField name="action" label="Action">
        <select id="filter-action" class="input" name="action">
          <option value="">Any action</option>
          {ACTION_GROUPS.map((group) => (
            <optgroup label={group}>
              {AUDIT_ACTIONS.filter((action) => ACTION_TEXTS[action].group === group).map((action) => (
                <option value={action} selected={action === filter.action}>
                  {ACTION_TEXTS[action].label}
                </option>
              ))}
            </optgroup>
          ))}
        </select>
      </FilterField>
      <FilterField name="service" label="Service">
        <input
          id="filter-service"
          class="input"
          name="service"
          value={filter.service}
          placeholder="Any service"
          list="filter-services"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
        />
        <datalist id="filter-services">
          {services.list().map(({ slug, name }) => (
            <option value={slug}>{name}</option>
          ))}
        </datalist>
      </FilterField>
      <FilterField name="outcome" label="Outcome">
        <select id="filter-outcome" class="input" name="outcome">
          <option value="">Any outcome</option>
          <option value="allowed" selected={filter.outcome === 'allowed'}>
            Allowed
          </option>
          <option value="denied" selected={filter.outcome === 'denied'}>
            Refused
          </option>
        </select>
      </FilterField>
      <FilterField name="from" label="From (UTC)">
        <input id="filter-from" class="input" type="date" name="from" value={filter.from} />
      </FilterField>
      <FilterField name="to" label="To (UTC)">
        <input id="filter-to" class="input" type="date" name="to" value={filter.to} />
      </FilterField>
      <div class="filters-actions">
        <button class="button button-secondary" type="submit">
          Filter
        </button>
        {!isEmptyFilter(filter) && (
          <a class="button button-quiet" href={AUDIT_PATH}>
            Clear
          </a>
        )}
      </div>
    </form>
  </search>
);

const FilterField: FC<PropsWithChildren<{ readonly name: string; readonly label: string }>> = ({
  name,
  label,
  children,
}) => (
  <div class="field">
    <label for={`filter-${name}`}>{label}</label>
    {children}
  </div>
);
