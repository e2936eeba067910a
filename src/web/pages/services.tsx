/** The first page: the services of a stack, connected ones first, and before anything is connected what to do next. */
import type { FC } from 'hono/jsx';
import type { CredentialSummary, ListedService } from '../../contract/credential.ts';
import { QUERY_MAX_CHARACTERS } from '../../contract/limits.ts';
import { Badge, Code, EmptyState, PageHeading, Time } from '../layout/components.tsx';
import { SearchIcon } from '../layout/icons.tsx';
import { Logo } from '../layout/logo.tsx';
import { CredentialStateBadge } from '../layout/states.tsx';
import { definePage } from '../page.ts';
import { showPage } from '../respond.tsx';

export const servicePages = definePage({
  register(app, { vault }) {
    app.get('/dashboard', async (c) => {
      const { caller } = c.var;
      const query = (c.req.query('q') ?? '').slice(0, QUERY_MAX_CHARACTERS).trim();
      const [services, { credentials }] = await Promise.all([
        vault.listServices(caller, query === '' ? {} : { query }),
        vault.listCredentials(caller, {}),
      ]);
      const title = 'Services';
      return showPage(
        c,
        { title, section: 'services' },
        <Services services={services} credentials={credentials} query={query} />,
      );
    });
  },
});

interface ServicesProps {
  readonly services: readonly ListedService[];
  readonly credentials: readonly CredentialSummary[];
  readonly query: string;
}

const Services: FC<ServicesProps> = ({ services, credentials, query }) => {
  const found = new Set(services.map(({ service_id }) => service_id));
  const connected = credentials.filter(({ service_id }) => query === '' || found.has(service_id));
  const with_credential = new Set(credentials.map(({ service_id }) => service_id));
  const others = services.filter(({ service_id }) => !with_credential.has(service_id));
  return (
    <>
      <PageHeading
        title="Services"
        text="Agents use these services with your credentials. They never see a value."
      />
      {credentials.length === 0 && query === '' && <FirstSteps />}
      <search>
        <form class="search" method="get" action="/dashboard">
          <SearchIcon />
          <input
            class="input"
            type="search"
            name="q"
            value={query}
            aria-label="Search services"
            placeholder="Search services"
            autocomplete="off"
            data-filter="services"
          />
          <button class="button button-secondary no-js-only" type="submit">
            Search
          </button>
        </form>
      </search>
      <div id="services">
        {connected.length > 0 && (
          <section class="group" data-filter-group="">
            <h2>
              Connected <span class="count">{connected.length}</span>
            </h2>
            <ul class="rows">
              {connected.map((credential) => (
                <CredentialRow credential={credential} />
              ))}
            </ul>
          </section>
        )}
        {others.length > 0 && (
          <section class="group" data-filter-group="">
            <h2>
              Available <span class="count">{others.length}</span>
            </h2>
            <ul class="tiles">
              {others.map((service) => (
                <ServiceTile service={service} />
              ))}
            </ul>
          </section>
        )}
        <div class="no-match" hidden={connected.length + others.length > 0} data-filter-empty="">
          <EmptyState title="No service matches">
            <p>
              Try another name or a category. Your own services are definitions in a folder: see{' '}
              <Code text="keyhold services add --help" />
            </p>
          </EmptyState>
        </div>
      </div>
    </>
  );
};

const CredentialRow: FC<{ readonly credential: CredentialSummary }> = ({ credential }) => {
  const { service_id, service_name, name, status, last_used_at, updated_at, pending_approval } = credential;
  return (
    <li data-filter-text={`${service_name} ${service_id} ${name ?? ''}`}>
      <a class="row" href={pathOf(service_id)}>
        <Logo service_id={service_id} name={service_name} />
        <span class="row-main">
          <span class="row-title">
            {service_name}
            {name !== null && <span class="row-name">{name}</span>}
          </span>
          <span class="row-text">
            {last_used_at !== null ? (
              <>
                Used <Time at={last_used_at} />
              </>
            ) : updated_at !== null ? (
              <>
                Not used yet, stored <Time at={updated_at} />
              </>
            ) : (
              'Not used yet'
            )}
          </span>
        </span>
        <span class="row-aside">
          {pending_approval !== null && <Badge tone="warning">New values wait</Badge>}
          <CredentialStateBadge state={status} />
        </span>
      </a>
    </li>
  );
};

const ServiceTile: FC<{ readonly service: ListedService }> = ({ service }) => (
  <li data-filter-text={`${service.name} ${service.service_id} ${service.category}`}>
    <a class="tile" href={pathOf(service.service_id)}>
      <Logo service_id={service.service_id} name={service.name} />
      <span class="tile-main">
        <span class="tile-title">{service.name}</span>
        <span class="tile-text">{service.description}</span>
      </span>
    </a>
  </li>
);

const FirstSteps: FC = () => (
  <section class="card first-steps">
    <div class="card-header">
      <h2>Get started</h2>
    </div>
    <ol class="steps">
      <li>
        <h3>Connect a service</h3>
        <p>Choose one below and enter its credential. It is encrypted, and no agent can read it back.</p>
      </li>
      <li>
        <h3>Connect your agent</h3>
        <p>
          Add Keyhold to its MCP servers with <Code text="keyhold install" />
        </p>
      </li>
      <li>
        <h3>Let the agent work</h3>
        <p>It calls the service through Keyhold. Every use is in the audit log, and you can stop it here.</p>
      </li>
    </ol>
  </section>
);

function pathOf(service_id: string): string {
  return `/dashboard/tools/${encodeURIComponent(service_id)}`;
}
