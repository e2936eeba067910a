/** What a person checks before entering values: who requests them, under which name they are saved, where they are sent. */
import type { FC } from 'hono/jsx';
import type { OpenHandle } from '../../../contract/handle.ts';
import type { Service } from '../../../contract/service/service.ts';
import { Card, Fact } from '../../layout/components.tsx';

export const HandleFacts: FC<{ readonly opened: OpenHandle; readonly service: Service }> = ({
  opened,
  service,
}) => (
  <Card>
    <dl class="facts">
      <Fact term="Requested by">
        {opened.edge === 'web' ? (
          'You'
        ) : opened.claimed_client === null ? (
          `a program over ${opened.edge}`
        ) : (
          <>
            {opened.claimed_client} <span class="muted">(as it calls itself)</span>
          </>
        )}
        {opened.api_key_id !== null && (
          <span class="muted"> with API key {opened.api_key_id.slice(0, 8)}</span>
        )}
      </Fact>
      <Fact term="Saved as">
        {service.name}
        {opened.name !== null && <>, {opened.name}</>}{' '}
        <span class="muted">in the stack {opened.stack_id}</span>
      </Fact>
      <Fact term="Sent to">
        <Destination opened={opened} service={service} />
      </Fact>
    </dl>
  </Card>
);

const Destination: FC<{ readonly opened: OpenHandle; readonly service: Service }> = ({ opened, service }) => {
  const { destination } = opened;
  if (destination === null) return <HostsToEnter service={service} />;
  return <>{destination.length === 0 ? `${service.name}, not over HTTP` : destination.join(', ')}</>;
};

/** The hosts of a definition, with the names of the fields that they are made from. */
const HostsToEnter: FC<{ readonly service: Service }> = ({ service: { hosts, fields } }) => {
  const nameOf = (id: string) => fields.find(({ field_id }) => field_id === id)?.name ?? id;
  const shown = hosts.filter((host) => !/^\{\w+\}(?::\d+)?$/.test(host));
  const list = shown.map((host) =>
    // The odd parts are the ids of fields.
    host.split(/\{(\w+)\}/).map((part, at) => (at % 2 === 0 ? part : <var>{nameOf(part)}</var>)),
  );
  if (shown.length < hosts.length || hosts.length === 0) list.push(['the host that you enter']);
  return (
    <>
      {list.map((parts, at) => (
        <>
          {at > 0 && ', '}
          {parts}
        </>
      ))}
    </>
  );
};
