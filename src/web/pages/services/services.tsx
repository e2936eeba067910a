/** The first page: what needs attention, the credentials of a stack, and the services that can be connected. */
import type { FC } from 'hono/jsx';
import { DEFAULT_STACK } from '../../../contract/caller.ts';
import type { CredentialSummary } from '../../../contract/credential.ts';
import { VaultError } from '../../../contract/errors.ts';
import { QUERY_MAX_CHARACTERS } from '../../../contract/limits.ts';
import type { StackName } from '../../../contract/stack.ts';
import { PageHeading } from '../../layout/components.tsx';
import { SearchIcon } from '../../layout/icons.tsx';
import { definePage } from '../../page.ts';
import { showPage } from '../../respond.tsx';
import { Attention, findingsOf } from './attention.tsx';
import { type Available, AvailableServices, availableServices, NoMatch } from './catalogue.tsx';
import { ConnectedServices } from './connected.tsx';
import { FirstSteps } from './first_steps.tsx';
import { StackSwitch, servicesPath } from './stack_switch.tsx';

export const servicePages = definePage({
  register(app, { vault, now, public_url }) {
    app.get('/dashboard', async (c) => {
      const { caller, session } = c.var;
      const query = (c.req.query('q') ?? '').slice(0, QUERY_MAX_CHARACTERS).trim();
      const stack_id = c.req.query('stack') ?? caller.stack ?? DEFAULT_STACK;
      const may_decide = caller.is_person === true && caller.scopes.has('approvals:decide');
      const [{ credentials }, stacks, requests] = await Promise.all([
        vault.listCredentials(caller, { stack_id }),
        vault.stacks.names(caller),
        may_decide ? vault.approvals.listRequests(caller) : [],
      ]);
      if (!stacks.some((stack) => stack.stack_id === stack_id))
        throw new VaultError('NOT_FOUND', 'There is no such stack. Choose one of the list of stacks.');
      const available = availableServices(vault.services, caller, credentials, query, c.req.query('page'));
      const content = (
        <Services
          credentials={credentials}
          stacks={stacks}
          stack_id={stack_id}
          waiting={requests.length}
          available={available}
          query={query}
          now={now()}
          connect={{ is_local: session.method === 'local', mcp_url: `${public_url}/mcp` }}
        />
      );
      return showPage(c, { title: 'Services', section: 'services' }, content);
    });
  },
});

interface ServicesProps {
  readonly credentials: readonly CredentialSummary[];
  readonly stacks: readonly StackName[];
  readonly stack_id: string;
  /** The number of requests that wait for a decision of the person. */
  readonly waiting: number;
  readonly available: Available;
  readonly query: string;
  readonly now: Date;
  readonly connect: { readonly is_local: boolean; readonly mcp_url: string };
}

const Services: FC<ServicesProps> = (props) => {
  const { credentials, stacks, stack_id, waiting, available, query, now, connect } = props;
  const found = new Set(available.matching);
  const shown = query === '' ? credentials : credentials.filter(({ service_id }) => found.has(service_id));
  const is_first_page = query === '' && available.page === undefined;
  const is_empty = shown.length === 0 && available.services.length === 0;
  return (
    <>
      <PageHeading
        title="Services"
        text="Agents use these services with your credentials. They never see a value."
      >
        <StackSwitch stacks={stacks} stack_id={stack_id} />
      </PageHeading>
      {is_first_page && credentials.length === 0 && <FirstSteps {...connect} />}
      {is_first_page && <Attention findings={findingsOf(credentials, now)} waiting={waiting} now={now} />}
      <search>
        <form class="search" method="get" action="/dashboard">
          {stack_id !== DEFAULT_STACK && <input type="hidden" name="stack" value={stack_id} />}
          <SearchIcon />
          <input
            class="input"
            type="search"
            name="q"
            value={query}
            aria-label="Search services"
            placeholder="Search services"
            autocomplete="off"
            data-search="services"
          />
          <button class="button button-secondary no-js-only" type="submit">
            Search
          </button>
        </form>
      </search>
      <div id="services">
        <ConnectedServices credentials={shown} now={now} />
        <AvailableServices available={available} query={query} path={servicesPath(stack_id)} />
        {is_empty && <NoMatch />}
      </div>
    </>
  );
};
