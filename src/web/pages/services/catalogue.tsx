/** The services without a credential in the stack: the popular ones, the results of a search, or a page of all. */

import { raw } from 'hono/html';
import type { FC } from 'hono/jsx';
import { type Caller, canUseService } from '../../../contract/caller.ts';
import type { CredentialSummary } from '../../../contract/credential.ts';
import type { Service } from '../../../contract/service/service.ts';
import type { ServiceCatalogue } from '../../../services/catalogue.ts';
import { ButtonLink, Code, EmptyState } from '../../layout/components.tsx';
import { Logo } from '../../layout/logo.tsx';

/** Shown before a person searches, as far as they are not connected. */
export const POPULAR_SERVICES: readonly string[] = [
  'github',
  'slack',
  'gmail',
  'notion',
  'linear',
  'google_drive',
  'openai',
  'anthropic',
  'stripe',
  'aws',
  'postgresql',
  'jira',
  'google_calendar',
  'hubspot',
  'discord',
  'sentry',
  'cloudflare',
  'supabase',
];
const POPULAR_SHOWN = 12;
const SERVICES_PER_PAGE = 30;

export interface Available {
  /** Those of this page. */
  readonly services: readonly Service[];
  /** The slugs of all that match the search, connected or not. */
  readonly matching: readonly string[];
  /** Of all that match, without a credential. */
  readonly total: number;
  /** `undefined`: the popular ones. */
  readonly page: number | undefined;
  readonly last_page: number;
}

/** `page`: as in the query. A number that is no page shows the nearest one. */
export function availableServices(
  catalogue: ServiceCatalogue,
  caller: Caller,
  credentials: readonly CredentialSummary[],
  query: string,
  page: string | undefined,
): Available {
  const matching = catalogue.list(query).filter(({ slug }) => canUseService(caller, slug));
  const connected = new Set(credentials.map(({ service_id }) => service_id));
  const others = matching.filter(({ slug }) => !connected.has(slug));
  const last_page = Math.max(1, Math.ceil(others.length / SERVICES_PER_PAGE));
  const shared = { matching: matching.map(({ slug }) => slug), total: others.length, last_page };
  if (query === '' && page === undefined) {
    const by_slug = new Map(others.map((service) => [service.slug, service]));
    const popular = POPULAR_SERVICES.flatMap((slug) => by_slug.get(slug) ?? []).slice(0, POPULAR_SHOWN);
    return { ...shared, services: popular.length > 0 ? popular : others.slice(0, POPULAR_SHOWN), page };
  }
  const requested = /^[0-9]{1,4}$/.test(page ?? '') ? Number(page) : 1;
  const shown = Math.min(Math.max(requested, 1), last_page);
  const start = (shown - 1) * SERVICES_PER_PAGE;
  return { ...shared, services: others.slice(start, start + SERVICES_PER_PAGE), page: shown };
}

export const AvailableServices: FC<{
  readonly available: Available;
  readonly query: string;
  /** Of the page, with its stack. */
  readonly path: string;
}> = ({ available: { services, total, page, last_page }, query, path }) => {
  if (services.length === 0) return null;
  const { search } = new URL(path, 'http://here.invalid');
  const hrefOf = (number: number) => {
    const parameters = new URLSearchParams(search);
    if (query !== '') parameters.set('q', query);
    parameters.set('page', String(number));
    return `/dashboard?${parameters}`;
  };
  return (
    <section class="group">
      <h2>
        {page === undefined ? 'Popular services' : query === '' ? 'All services' : 'Available'}
        {page !== undefined && <span class="count">{total}</span>}
      </h2>
      <ul class="tiles">
        {services.map((service) => (
          <ServiceTile service={service} search={search} />
        ))}
      </ul>
      {page === undefined && total > services.length && (
        <p class="paging">
          <ButtonLink href={hrefOf(1)}>Browse all {total} services</ButtonLink>
        </p>
      )}
      {page !== undefined && last_page > 1 && (
        <nav class="paging" aria-label="Pages of services">
          {page > 1 && <ButtonLink href={hrefOf(page - 1)}>Previous</ButtonLink>}
          {page < last_page && <ButtonLink href={hrefOf(page + 1)}>Next</ButtonLink>}
          <span class="muted small">
            Page {page} of {last_page}
          </span>
        </nav>
      )}
    </section>
  );
};

export const NoMatch: FC = () => (
  <EmptyState title="No service matches">
    <p>
      Try another name or a category. Your own services are definitions in a folder: see{' '}
      <Code text="keyhold services add --help" />
    </p>
  </EmptyState>
);

/** The content of tiles, which is the same for every person. */
const rendered = new WeakMap<Service, string>();

const ServiceTile: FC<{ readonly service: Service; readonly search: string }> = ({ service, search }) => {
  let content = rendered.get(service);
  if (content === undefined) {
    content = String(<TileContent service={service} />);
    rendered.set(service, content);
  }
  return (
    <li>
      <a class="tile" href={`/dashboard/tools/${encodeURIComponent(service.slug)}${search}`}>
        {raw(content)}
      </a>
    </li>
  );
};

const TileContent: FC<{ readonly service: Service }> = ({ service: { slug, name, description } }) => (
  <>
    <Logo service_id={slug} name={name} />
    <span class="tile-main">
      <span class="tile-title">{name}</span>
      <span class="tile-text">{description}</span>
    </span>
  </>
);
